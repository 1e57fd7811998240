//! What must agree between parts of a profile, the release and the cluster.
//!
//! Sources: the version skew policy of Kubernetes; `pkg/kubelet/cm` (the sysctls of protectKernelDefaults, control groups);
//! kube-controller-manager's node IPAM.

use super::super::json::Json;
use super::super::model::{Cni, Profile};
use super::super::place::{At, Fault, Pos};
use super::super::raw::{RawCni, RawKernel, RawKubeProxy, RawKubelet};
use super::super::{Cluster, KubernetesVersion};
use super::cluster::{cluster_dns, overlap};
use crate::kubernetes::kube_proxy_config;
use ipnet::IpNet;
use serde_json::Value;

/// Where the parts were written.
pub(super) struct Places<'a> {
    /// The name of the release.
    pub release: &'a At<String>,
    /// kubelet's settings.
    pub kubelet: &'a RawKubelet,
    /// The kernel's.
    pub kernel: &'a RawKernel,
    /// The baked pod network.
    pub cni: &'a RawCni,
    /// kube-proxy's settings.
    pub kube_proxy: Option<&'a At<RawKubeProxy>>,
}

impl Places<'_> {
    /// A field of kubelet's configuration as it was written.
    fn field(&self, name: &str) -> Option<&At<Json>> {
        self.kubelet.config.iter().find(|(key, _)| key.value == name).map(|(_, item)| item)
    }

    /// The same of kube-proxy's.
    fn proxy_field(&self, name: &str) -> Option<&At<Json>> {
        self.kube_proxy?.value.config.iter().find(|(key, _)| key.value == name).map(|(_, item)| item)
    }
}

/// Checks all of it.
pub(super) fn check(profile: &Profile, places: &Places<'_>) -> Result<(), Fault> {
    kernel_defaults(profile, places)?;
    control_groups(profile, places)?;
    connection_table(profile, places)?;
    let Some(cluster) = &profile.cluster else { return Ok(()) };
    skew(profile.release.kubernetes, cluster, places.release)?;
    pods(profile, cluster, places)?;
    dns(cluster, places)?;
    proxied(profile, cluster, places)?;
    bridge(&profile.cni, cluster, places.cni)
}

/// What kubelet compares with when `protectKernelDefaults` is set (`pkg/util/sysctl`).
const KERNEL_DEFAULTS: [(&str, &str); 6] = [
    ("kernel.keys.root_maxbytes", "25000000"),
    ("kernel.keys.root_maxkeys", "1000000"),
    ("kernel.panic", "10"),
    ("kernel.panic_on_oops", "1"),
    ("vm.overcommit_memory", "1"),
    ("vm.panic_on_oom", "0"),
];

/// Otherwise kubelet would stop at every boot.
fn kernel_defaults(profile: &Profile, places: &Places<'_>) -> Result<(), Fault> {
    let Some(protect) = places.field("protectKernelDefaults").filter(|item| item.value.value() == Value::Bool(true))
    else {
        return Ok(());
    };
    for (name, wanted) in KERNEL_DEFAULTS {
        match profile.kernel.sysctls.get(name).map(|value| value.trim()) {
            Some(value) if value == wanted => {}
            Some(found) => {
                let key = places.kernel.sysctls.iter().find(|(key, _)| key.value == name);
                let pos = key.map_or(protect.pos, |(_, value)| value.pos);
                return Err(pos.fault(format!(
                    "kernel.sysctls: {name} is {found:?}, and kubelet starts with {wanted:?} only; set that, or protectKernelDefaults: false in kubelet.config"
                )));
            }
            None => {
                return Err(protect.fault(format!(
                    "kubelet.config: protectKernelDefaults needs {name}: {wanted:?} in kernel.sysctls; set it, or protectKernelDefaults: false"
                )));
            }
        }
    }
    Ok(())
}

/// Words of the kernel's command line that bring systemd's old hierarchy back.
const CGROUP_V1: [&str; 4] = [
    "systemd.unified_cgroup_hierarchy=0",
    "systemd.unified_cgroup_hierarchy=no",
    "systemd.unified_cgroup_hierarchy=false",
    "systemd.legacy_systemd_cgroup_controller",
];

fn control_groups(profile: &Profile, places: &Places<'_>) -> Result<(), Fault> {
    let Some(word) = places.kernel.cmdline.iter().find(|word| CGROUP_V1.contains(&word.value.as_str())) else {
        return Ok(());
    };
    let config = &profile.kubelet.config;
    let minor = profile.release.kubernetes.minor;
    if minor >= 35 && config.get("failCgroupV1") != Some(&Value::Bool(false)) {
        return Err(word.fault(format!(
            "kernel.cmdline: {:?} boots cgroup v1, with which kubelet 1.{minor} does not start; leave it out",
            word.value
        )));
    }
    let swap = config.get("memorySwap").and_then(|swap| swap.get("swapBehavior")).and_then(Value::as_str);
    if swap == Some("LimitedSwap") {
        return Err(word.fault(format!(
            "kernel.cmdline: {:?} boots cgroup v1, and LimitedSwap of kubelet.config.memorySwap needs v2",
            word.value
        )));
    }
    Ok(())
}

/// kube-proxy sets the size of the connection table by the number of processors, unless it is told to leave it.
fn connection_table(profile: &Profile, places: &Places<'_>) -> Result<(), Fault> {
    const TABLE: &str = "net.netfilter.nf_conntrack_max";
    let Some(proxy) = &profile.kube_proxy else { return Ok(()) };
    let key = places.kernel.sysctls.iter().find(|(key, _)| key.value == TABLE);
    let left = proxy.config.get("conntrack").and_then(|conntrack| conntrack.get("maxPerCore")) == Some(&Value::from(0));
    match key {
        Some((_, size)) if !left => Err(size.fault(format!(
            "kernel.sysctls: kube-proxy would replace {TABLE}; leave it to \"conntrack: {{min: {}}}\" in kubeProxy.config, or set its maxPerCore to 0",
            size.value
        ))),
        _ => Ok(()),
    }
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

/// kubelet is never newer than an API server, and at most three minor releases older; before 1.25 two.
fn skew(kubelet: KubernetesVersion, cluster: &Cluster, release: &At<String>) -> Result<(), Fault> {
    let api = cluster.kubernetes;
    if (kubelet.major, kubelet.minor) > (api.major, api.minor) {
        return Err(release.fault(format!(
            "release: kubelet {kubelet} is newer than the API servers of cluster {}, {api}; upgrade these first, or build with an older release",
            cluster.name
        )));
    }
    let most = if kubelet.minor < 25 { 2 } else { 3 };
    if kubelet.major < api.major || api.minor - kubelet.minor > most {
        return Err(release.fault(format!(
            "release: kubelet {kubelet} is more than {most} minor releases older than the API servers of cluster {}, {api}; build with 1.{} or later",
            cluster.name,
            api.minor.saturating_sub(if api.minor < 28 { 2 } else { 3 })
        )));
    }
    Ok(())
}

/// Every pod finds an address in the node's part of the network.
fn pods(profile: &Profile, cluster: &Cluster, places: &Places<'_>) -> Result<(), Fault> {
    let most = profile.kubelet.config.get("maxPods").and_then(Value::as_u64).unwrap_or(110);
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

/// Pods of the baked network reach Services and nodes. It may lie in the pods' own network, of which each node's seed names a part.
fn bridge(cni: &Cni, cluster: &Cluster, raw: &RawCni) -> Result<(), Fault> {
    let Cni::Bridge { subnet, .. } = cni else { return Ok(()) };
    let Ok(subnet) = subnet.parse::<IpNet>() else { return Ok(()) };
    let pos = raw.subnet.as_ref().map_or(Pos::default(), |subnet| subnet.pos);
    let networks = [("serviceCIDRs", &cluster.service_cidrs), ("nodeNetworks", &cluster.node_networks)];
    for (key, other) in networks.iter().flat_map(|(key, networks)| networks.iter().map(move |network| (key, network))) {
        if overlap(&subnet, other) {
            return Err(pos.fault(format!(
                "cni.subnet: {subnet} and {other} of {key} in cluster {} have addresses in common; take a part of the pods' network",
                cluster.name
            )));
        }
    }
    Ok(())
}
