//! What must agree between parts of a profile, the release and the cluster.
//!
//! Sources: the version skew policy of Kubernetes; kube-controller-manager's node IPAM.

use super::super::json::Json;
use super::super::model::Profile;
use super::super::place::{At, Fault};
use super::super::raw::{RawCni, RawKernel, RawKubeProxy, RawKubelet, RawUnits};
use super::super::{Cluster, KubernetesVersion};
use super::cluster::cluster_dns;
use super::{cgroups, pod_network, resolver, sysctls};
use kiln_kubernetes::{Skew, kube_proxy_config, kubelet_config};

/// Where the parts were written.
pub(super) struct Places<'a> {
    /// The name of the release.
    pub release: &'a At<String>,
    /// kubelet's settings.
    pub kubelet: &'a RawKubelet,
    /// The kernel's.
    pub kernel: &'a RawKernel,
    /// The units.
    pub units: &'a RawUnits,
    /// The baked pod network.
    pub cni: &'a RawCni,
    /// kube-proxy's settings.
    pub kube_proxy: Option<&'a At<RawKubeProxy>>,
}

impl Places<'_> {
    /// A field of kubelet's configuration as it was written.
    pub fn field(&self, name: &str) -> Option<&At<Json>> {
        self.kubelet.config.iter().find(|(key, _)| key.value == name).map(|(_, item)| item)
    }

    /// The same of kube-proxy's.
    fn proxy_field(&self, name: &str) -> Option<&At<Json>> {
        self.kube_proxy?.value.config.iter().find(|(key, _)| key.value == name).map(|(_, item)| item)
    }
}

/// Checks all of it.
pub(super) fn check(profile: &Profile, places: &Places<'_>) -> Result<(), Fault> {
    sysctls::agree(profile, places)?;
    cgroups::agree(profile, places)?;
    pod_network::agree(profile, places)?;
    resolver::agree(profile, places)?;
    let Some(cluster) = &profile.cluster else { return Ok(()) };
    skew(profile.release.kubernetes, cluster, places.release)?;
    pods(profile, cluster, places)?;
    dns(cluster, places)?;
    proxied(profile, cluster, places)
}

/// kube-proxy tells pods from others by the network that the cluster gives them: where it knows one family only, by that of its family,
/// which need not be the cluster's first.
fn proxied(profile: &Profile, cluster: &Cluster, places: &Places<'_>) -> Result<(), Fault> {
    let (Some(At { value, pos }), Some(proxy)) = (places.proxy_field("clusterCIDR"), &profile.kube_proxy) else {
        return Ok(());
    };
    let dual_stack = kube_proxy_config::dual_stack(&proxy.config, profile.release.kubernetes.minor);
    let cidrs = cluster.cluster_cidr(true);
    let fits = match dual_stack {
        true => value.value() == *cidrs,
        false => cluster.pod_cidrs.iter().any(|cidr| value.value() == *cidr.network.to_string()),
    };
    match fits {
        true => Ok(()),
        false => Err(pos.fault(format!(
            "kubeProxy.config: clusterCIDR is {}, and pods of cluster {} are in {cidrs:?}; leave it out",
            value.value(),
            cluster.name
        ))),
    }
}

/// kubelet and the cluster's API servers may work together.
fn skew(kubelet: KubernetesVersion, cluster: &Cluster, release: &At<String>) -> Result<(), Fault> {
    let api = cluster.kubernetes;
    match kubelet.skew(api) {
        None => Ok(()),
        Some(Skew::Newer) => Err(release.fault(format!(
            "release: kubelet {kubelet} is newer than the API servers of cluster {}, {api}; upgrade these first, or build with an older release",
            cluster.name
        ))),
        Some(Skew::Older { most, oldest }) => Err(release.fault(format!(
            "release: kubelet {kubelet} is more than {most} minor releases older than the API servers of cluster {}, {api}; build with 1.{oldest} or later",
            cluster.name,
        ))),
    }
}

/// The number of pods that kubelet takes.
pub(super) fn max_pods(profile: &Profile) -> u64 {
    let minor = profile.release.kubernetes.minor;
    kubelet_config::effective(&profile.kubelet.config, "maxPods", minor).as_u64().unwrap_or_default()
}

/// Every pod finds an address in the node's part of the network.
fn pods(profile: &Profile, cluster: &Cluster, places: &Places<'_>) -> Result<(), Fault> {
    let most = max_pods(profile);
    let pos = places.field("maxPods").map_or(places.release.pos, |item| item.pos);
    match cluster.pod_cidrs.iter().find(|cidr| cidr.pods() < most) {
        None => Ok(()),
        Some(cidr) => Err(pos.fault(format!(
            "kubelet.config: maxPods is {most}, and a node's /{} of {} has addresses for {} pods in cluster {}; lower maxPods or the mask",
            cidr.node_mask,
            cidr.network,
            cidr.pods(),
            cluster.name
        ))),
    }
}

/// What a profile says of the cluster's DNS is what the cluster says.
fn dns(cluster: &Cluster, places: &Places<'_>) -> Result<(), Fault> {
    if let Some(At { value, pos }) = places.field("clusterDomain")
        && value.value() != *cluster.dns_domain
    {
        return Err(pos.fault(format!(
            "kubelet.config: clusterDomain is {}, and cluster {} has {:?}; leave it out",
            value.value(),
            cluster.name,
            cluster.dns_domain
        )));
    }
    let Some(Json::List(addresses)) = places.field("clusterDNS").map(|item| &item.value) else { return Ok(()) };
    for At { value, pos } in addresses {
        let Some(address) = value.value().as_str().and_then(|text| text.parse().ok()) else { continue };
        cluster_dns(&address, &cluster.service_cidrs)
            .map_err(|why| pos.fault(format!("kubelet.config: clusterDNS: {why}")))?;
    }
    Ok(())
}
