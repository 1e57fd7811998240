//! What must agree between the baked pod network, kubelet's settings and the cluster.
//!
//! Sources: host-local of the CNI plugins (which addresses it gives); kube-controller-manager's `--cluster-cidr`.

use super::super::Cluster;
use super::super::cluster::PodCidr;
use super::super::json::Json;
use super::super::model::{Cni, Profile};
use super::super::place::{At, Fault};
use super::agree::{Places, max_pods};
use super::cluster::overlap;
use ipnet::IpNet;
use std::net::IpAddr;

/// Only of what the profile says: the default stands in on a node that joins nothing.
pub(super) fn agree(profile: &Profile, places: &Places<'_>) -> Result<(), Fault> {
    let (Cni::Bridge { subnet, assigned: false, .. }, Some(raw)) = (&profile.cni, &places.cni.subnet) else {
        return Ok(());
    };
    let Ok(network) = subnet.parse::<IpNet>() else { return Ok(()) };
    let subnet = At { value: network, pos: raw.pos };
    room(&subnet, profile)?;
    dns(&subnet, places)?;
    match &profile.cluster {
        Some(cluster) => within(&subnet, cluster),
        None => Ok(()),
    }
}

/// Every pod that kubelet takes finds an address.
fn room(subnet: &At<IpNet>, profile: &Profile) -> Result<(), Fault> {
    let most = max_pods(profile);
    let pods = PodCidr { network: subnet.value, node_mask: subnet.value.prefix_len() }.pods();
    match pods < most {
        false => Ok(()),
        true => Err(subnet.fault(format!(
            "cni.subnet: {} has addresses for {pods} pods, without its own, the gateway's and the last one, and kubelet takes {most}; take a \
             larger network, or lower maxPods in kubelet.config",
            subnet.value
        ))),
    }
}

/// A pod would get the address that all others ask for names, or nobody would answer there.
fn dns(subnet: &At<IpNet>, places: &Places<'_>) -> Result<(), Fault> {
    let Some(Json::List(servers)) = places.field("clusterDNS").map(|item| &item.value) else { return Ok(()) };
    let servers = servers.iter().filter_map(|item| item.value.value().as_str()?.parse::<IpAddr>().ok());
    match servers.into_iter().find(|server| subnet.value.contains(server)) {
        None => Ok(()),
        Some(server) => Err(subnet.fault(format!(
            "cni.subnet: {} has the address of clusterDNS in kubelet.config, {server}, which a pod would get; take another network",
            subnet.value
        ))),
    }
}

/// Pods reach Services and nodes, and are known as pods everywhere.
fn within(subnet: &At<IpNet>, cluster: &Cluster) -> Result<(), Fault> {
    let networks = [("serviceCIDRs", &cluster.service_cidrs), ("nodeNetworks", &cluster.node_networks)];
    for (key, other) in networks.iter().flat_map(|(key, networks)| networks.iter().map(move |network| (key, network))) {
        if overlap(&subnet.value, other) {
            return Err(subnet.fault(format!(
                "cni.subnet: {} and {other} of {key} in cluster {} have addresses in common; take a part of the pods' network",
                subnet.value, cluster.name
            )));
        }
    }
    if cluster.pod_cidrs.iter().any(|pods| pods.network.contains(&subnet.value)) {
        return Ok(());
    }
    Err(subnet.fault(format!(
        "cni.subnet: {} is outside the pods' network of cluster {}, {}, where nobody knows its addresses for pods'; leave it out, \
         and the cluster gives each node its part",
        subnet.value,
        cluster.name,
        cluster.cluster_cidr(true)
    )))
}
