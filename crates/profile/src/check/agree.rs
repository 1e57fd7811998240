//! Agreement between the parts of a profile, the release and the cluster.
//!
//! Sources: the version skew policy of Kubernetes; kube-controller-manager's node IPAM.

use super::super::Cluster;
use super::super::authority;
use super::super::key::{Key, fields};
use super::super::model::Profile;
use super::super::place::Fault;
use super::cluster::cluster_dns;
use super::{cgroups, pod_network, resolver, sysctls};
use kiln_kubernetes::{Skew, kube_proxy_config, kubelet_config};
use serde_json::Value;

/// A field of kubelet's configuration.
pub(super) fn kubelet_field(name: &str) -> Key {
    Key::from(fields::KUBELET_CONFIG).within(name)
}

/// Checks that all parts agree.
pub(super) fn check(profile: &Profile) -> Result<(), Fault> {
    sysctls::agree(profile)?;
    cgroups::agree(profile)?;
    pod_network::agree(profile)?;
    resolver::agree(profile)?;
    let Some(cluster) = &profile.cluster else { return Ok(()) };
    check_skew(profile, cluster)?;
    check_max_pods(profile, cluster)?;
    check_dns(profile, cluster)?;
    check_cluster_cidr(profile, cluster)
}

/// kube-proxy recognizes pods by `clusterCIDR`, which must be the pods' networks of the cluster. A
/// kube-proxy that supports only one address family needs the network of that family, which need
/// not be the cluster's first.
fn check_cluster_cidr(profile: &Profile, cluster: &Cluster) -> Result<(), Fault> {
    const FIELD: &str = "clusterCIDR";
    let Some(proxy) = &profile.kube_proxy else { return Ok(()) };
    let Some(value) = proxy.config.get(FIELD) else { return Ok(()) };
    let dual_stack = kube_proxy_config::is_dual_stack(&proxy.config, profile.release.kubernetes.minor);
    let cidrs = cluster.cluster_cidr(true);
    let fits = match dual_stack {
        true => *value == *cidrs,
        false => cluster.pod_cidrs.iter().any(|cidr| *value == *cidr.network.to_string()),
    };
    match fits {
        true => Ok(()),
        false => {
            let key = fields::KUBE_PROXY_CONFIG;
            let why =
                format!("{FIELD} is {value}, and pods of cluster {} are in {cidrs:?}; leave it out", cluster.name);
            Err(profile.places.fault(Key::from(key).within(FIELD), key, why))
        }
    }
}

/// The version skew between kubelet and the cluster's API servers is supported.
fn check_skew(profile: &Profile, cluster: &Cluster) -> Result<(), Fault> {
    let (kubelet, api) = (profile.release.kubernetes, cluster.kubernetes);
    let fault = |why: String| profile.places.fault(fields::RELEASE, fields::RELEASE, why).by(authority::VERSION_SKEW);
    match kubelet.skew(api) {
        None => Ok(()),
        Some(Skew::Newer) => Err(fault(format!(
            "kubelet {kubelet} is newer than the API servers of cluster {}, {api}; upgrade these first, or build with an older release",
            cluster.name
        ))),
        Some(Skew::Older { most, oldest }) => Err(fault(format!(
            "kubelet {kubelet} is more than {most} minor releases older than the API servers of cluster {}, {api}; build with 1.{oldest} or later",
            cluster.name,
        ))),
    }
}

/// The number of pods that kubelet accepts.
pub(super) fn max_pods(profile: &Profile) -> u64 {
    let minor = profile.release.kubernetes.minor;
    kubelet_config::effective(&profile.kubelet.config, "maxPods", minor).as_u64().unwrap_or_default()
}

/// A node's part of each pod network has an address for every pod.
fn check_max_pods(profile: &Profile, cluster: &Cluster) -> Result<(), Fault> {
    let most = max_pods(profile);
    let Some(cidr) = cluster.pod_cidrs.iter().find(|cidr| cidr.pods() < most) else { return Ok(()) };
    let is_written = profile.kubelet.config.contains_key("maxPods");
    let at = if is_written { kubelet_field("maxPods") } else { fields::RELEASE.into() };
    let why = format!(
        "maxPods is {most}, and a node's /{} of {} has addresses for {} pods in cluster {}; lower maxPods or the mask",
        cidr.node_mask,
        cidr.network,
        cidr.pods(),
        cluster.name
    );
    Err(profile.places.fault(at, fields::KUBELET_CONFIG, why))
}

/// A profile's settings of the cluster's DNS match the cluster.
fn check_dns(profile: &Profile, cluster: &Cluster) -> Result<(), Fault> {
    let fault = |at: Key, why: String| profile.places.fault(at, fields::KUBELET_CONFIG, why);
    if let Some(value) = profile.kubelet.config.get("clusterDomain")
        && *value != *cluster.dns_domain
    {
        let (name, domain) = (&cluster.name, &cluster.dns_domain);
        let why = format!("clusterDomain is {value}, and cluster {name} has {domain:?}; leave it out");
        return Err(fault(kubelet_field("clusterDomain"), why));
    }
    let Some(Value::Array(addresses)) = profile.kubelet.config.get("clusterDNS") else { return Ok(()) };
    for (index, address) in addresses.iter().enumerate() {
        let Some(address) = address.as_str().and_then(|text| text.parse().ok()) else { continue };
        cluster_dns(&address, &cluster.service_cidrs)
            .map_err(|why| fault(kubelet_field("clusterDNS").index(index), format!("clusterDNS: {why}")))?;
    }
    Ok(())
}
