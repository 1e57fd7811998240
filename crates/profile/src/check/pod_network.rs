//! Agreement between the baked pod network, kubelet's settings and the cluster.
//!
//! Sources: host-local of the CNI plugins (which addresses it assigns); kube-controller-manager's
//! `--cluster-cidr`.

use super::super::Cluster;
use super::super::cluster::PodCidr;
use super::super::key::fields;
use super::super::model::{Cni, Profile};
use super::super::place::Fault;
use super::agree::max_pods;
use super::cluster::overlap;
use ipnet::IpNet;
use serde_json::Value;
use std::net::IpAddr;

/// Checks a subnet that the profile sets; the default is used only on a node that joins no cluster.
pub(super) fn agree(profile: &Profile) -> Result<(), Fault> {
    let Cni::Bridge { subnet, assigned: false, .. } = &profile.cni else { return Ok(()) };
    let Ok(subnet) = subnet.parse::<IpNet>() else { return Ok(()) };
    let checked =
        check_size(&subnet, profile).and_then(|()| check_dns(&subnet, profile)).and_then(|()| match &profile.cluster {
            Some(cluster) => check_cluster(&subnet, cluster),
            None => Ok(()),
        });
    checked.map_err(|why| profile.places.fault(fields::CNI_SUBNET, fields::CNI_SUBNET, why))
}

/// Every pod that kubelet accepts gets an address.
fn check_size(subnet: &IpNet, profile: &Profile) -> Result<(), String> {
    let most = max_pods(profile);
    let pods = PodCidr { network: *subnet, node_mask: subnet.prefix_len() }.pods();
    match pods < most {
        false => Ok(()),
        true => Err(format!(
            "{subnet} has addresses for {pods} pods (without its own, the gateway's and the last one), and kubelet accepts {most}; use a \
             larger network, or lower maxPods in kubelet.config"
        )),
    }
}

/// The address of the cluster's DNS is outside the subnet: a pod could get it, or no server would
/// answer there.
fn check_dns(subnet: &IpNet, profile: &Profile) -> Result<(), String> {
    let Some(Value::Array(servers)) = profile.kubelet.config.get("clusterDNS") else { return Ok(()) };
    let servers = servers.iter().filter_map(|server| server.as_str()?.parse::<IpAddr>().ok());
    match servers.into_iter().find(|server| subnet.contains(server)) {
        None => Ok(()),
        Some(server) => Err(format!(
            "{subnet} has the address of clusterDNS in kubelet.config, {server}, which a pod would get; use another network"
        )),
    }
}

/// The subnet overlaps no other network of the cluster, and is part of the pods' network.
fn check_cluster(subnet: &IpNet, cluster: &Cluster) -> Result<(), String> {
    let networks = [("serviceCIDRs", &cluster.service_cidrs), ("nodeNetworks", &cluster.node_networks)];
    for (key, other) in networks.iter().flat_map(|(key, networks)| networks.iter().map(move |network| (key, network))) {
        if overlap(subnet, other) {
            return Err(format!(
                "{subnet} overlaps {other} of {key} in cluster {}; use a part of the pods' network",
                cluster.name
            ));
        }
    }
    if cluster.pod_cidrs.iter().any(|pods| pods.network.contains(subnet)) {
        return Ok(());
    }
    Err(format!(
        "{subnet} is outside the pods' network of cluster {}, {}, where its addresses are not recognized as pods'; leave it out, \
         and the cluster assigns each node its part",
        cluster.name,
        cluster.cluster_cidr(true)
    ))
}
