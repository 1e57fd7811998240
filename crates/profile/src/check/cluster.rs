//! Checks of a cluster file alone; `agree` compares it with a profile.

use super::super::cluster::{Cluster, PodCidr};
use super::super::key::{Field, fields};
use super::super::place::{At, Fault, Pos};
use super::super::raw::{RawCluster, RawDns};
use super::{Context, host_path, missing_of, names, pem, required_of, special, text};
use crate::kubelet::KUBEADM_DOMAIN;
use ipnet::IpNet;
use kiln_kubernetes::Minor;
use kiln_url::Url;
use std::net::IpAddr;

/// A cluster file: its name, its contents, and the position where it begins.
pub(in super::super) type ClusterFile = (At<String>, RawCluster, Pos);

pub(super) fn cluster((name, raw, start): &ClusterFile, context: &Context<'_>) -> Result<Cluster, Fault> {
    let RawCluster {
        kubernetes,
        api_servers,
        ca_certificate,
        ca_file,
        service_cidrs,
        pod_cidrs,
        node_cidr_mask_size_ipv4,
        node_cidr_mask_size_ipv6,
        node_networks,
        nodes,
        dns,
    } = raw;
    let what = format!("cluster {}", name.value);
    let kubernetes = required_of(kubernetes, *start, &what, fields::CLUSTER_KUBERNETES)?
        .check(fields::CLUSTER_KUBERNETES, |text| names::kubernetes_version(text))?;
    let services = networks(service_cidrs, fields::CLUSTER_SERVICE_CIDRS)?;
    let pods = networks(pod_cidrs, fields::CLUSTER_POD_CIDRS)?;
    let nodes_at = networks(node_networks, fields::CLUSTER_NODE_NETWORKS)?;
    one_of_each_family(&services, fields::CLUSTER_SERVICE_CIDRS, *start, &what)?;
    one_of_each_family(&pods, fields::CLUSTER_POD_CIDRS, *start, &what)?;
    services.iter().try_for_each(|network| check_service_size(network, kubernetes.minor))?;
    for service in &services {
        if !pods.iter().any(|pod| is_ipv4(pod) == is_ipv4(service)) {
            let family = if is_ipv4(service) { "IPv4" } else { "IPv6" };
            return Err(service.fault_of(
                fields::CLUSTER_SERVICE_CIDRS,
                format!("there are {family} Services, but no {family} network in podCIDRs"),
            ));
        }
    }
    reject_overlaps(&[
        (fields::CLUSTER_SERVICE_CIDRS, &services),
        (fields::CLUSTER_POD_CIDRS, &pods),
        (fields::CLUSTER_NODE_NETWORKS, &nodes_at),
    ])?;
    let mask = |pod: &At<IpNet>| {
        let (mask, key, default) = match is_ipv4(pod) {
            true => (node_cidr_mask_size_ipv4, fields::CLUSTER_MASK_IPV4, 24),
            false => (node_cidr_mask_size_ipv6, fields::CLUSTER_MASK_IPV6, 64),
        };
        node_mask(pod, mask.as_ref(), key, default)
    };
    let pod_cidrs = pods.iter().map(mask).collect::<Result<Vec<_>, _>>()?;
    if let Some(nodes) = nodes {
        check_nodes(nodes, &pod_cidrs)?;
    }
    if api_servers.is_empty() {
        return Err(missing_of(*start, &what, fields::CLUSTER_API_SERVERS));
    }
    let outside = [&services[..], &pods[..]].concat();
    let servers = api_servers.iter().map(|url| api_server(url, &outside));
    let RawDns { domain, addresses } = dns;
    Ok(Cluster {
        name: name.value.clone(),
        kubernetes,
        api_servers: servers.collect::<Result<_, _>>()?,
        ca_certificates: match (ca_certificate, ca_file) {
            (Some(text), None) => text.check(fields::CLUSTER_CA_CERTIFICATE, |text| pem::certificates(text))?,
            (None, Some(file)) => {
                let path = host_path(file, fields::CLUSTER_CA_FILE, context)?;
                file.check(fields::CLUSTER_CA_FILE, |_| pem::read(&path))?
            }
            (Some(_), Some(file)) => {
                return Err(file.fault_of(fields::CLUSTER_CA_FILE, "caCertificate is set as well; keep one of them"));
            }
            (None, None) => return Err(start.fault(format!("{what}: \"caCertificate\" (or \"caFile\") is missing"))),
        },
        dns_domain: match domain {
            Some(domain) => text(domain, fields::CLUSTER_DNS_DOMAIN, dns_domain)?,
            None => KUBEADM_DOMAIN.to_owned(),
        },
        dns_addresses: match addresses.is_empty() {
            true => services.iter().take(1).filter_map(|network| network.value.hosts().nth(9)).collect(),
            false => addresses.iter().map(|address| dns_address(address, &services)).collect::<Result<_, _>>()?,
        },
        service_cidrs: services.into_iter().map(|network| network.value).collect(),
        pod_cidrs,
        node_networks: nodes_at.into_iter().map(|network| network.value).collect(),
    })
}

fn is_ipv4(network: &At<IpNet>) -> bool {
    network.value.addr().is_ipv4()
}

fn networks(raw: &[At<String>], key: Field) -> Result<Vec<At<IpNet>>, Fault> {
    let network = |raw: &At<String>| {
        let value = raw.check(key, |text| names::network(text))?;
        raw.check(key, |_| special::network(&value))?;
        Ok(At { value, pos: raw.pos })
    };
    raw.iter().map(network).collect()
}

fn one_of_each_family(networks: &[At<IpNet>], key: Field, start: Pos, what: &str) -> Result<(), Fault> {
    match networks {
        [] => Err(missing_of(start, what, key)),
        [_] => Ok(()),
        [first, second] if is_ipv4(first) != is_ipv4(second) => Ok(()),
        [_, second, ..] => Err(second.fault_of(key, "must be one network, or one IPv4 and one IPv6 network")),
    }
}

/// kube-apiserver accepts the network, and the network has the address that kubeadm gives to the
/// cluster's DNS.
fn check_service_size(network: &At<IpNet>, minor: Minor) -> Result<(), Fault> {
    let least = minor.shortest_service_prefix(is_ipv4(network));
    let prefix = network.value.prefix_len();
    if prefix < least {
        let why = format!("is too large for kube-apiserver 1.{minor}, which accepts /{least} and smaller networks");
        return Err(network.fault_of(fields::CLUSTER_SERVICE_CIDRS, format!("{} {why}", network.value)));
    }
    if network.value.max_prefix_len() - prefix < 4 {
        return Err(network.fault_of(
            fields::CLUSTER_SERVICE_CIDRS,
            format!("{} has no room for the cluster's DNS, its tenth address", network.value),
        ));
    }
    Ok(())
}

/// Rejects networks that overlap: routes for the shared addresses would be ambiguous.
fn reject_overlaps(groups: &[(Field, &[At<IpNet>])]) -> Result<(), Fault> {
    let all: Vec<_> =
        groups.iter().flat_map(|(key, networks)| networks.iter().map(move |network| (key, network))).collect();
    for (at, (key, network)) in all.iter().enumerate() {
        for (other_key, other) in &all[..at] {
            if overlap(&network.value, &other.value) {
                let other_key = other_key.path();
                return Err(network.fault_of(
                    **key,
                    format!("{} overlaps {} of {other_key}; no address can belong to both", network.value, other.value),
                ));
            }
        }
    }
    Ok(())
}

/// Whether two networks share an address.
pub(super) fn overlap(one: &IpNet, other: &IpNet) -> bool {
    one.contains(other) || other.contains(one)
}

/// The node IPAM controller divides a network into at most 2^16 parts.
fn node_mask(pod: &At<IpNet>, mask: Option<&At<u32>>, key: Field, default: u8) -> Result<PodCidr, Fault> {
    let (network, prefix) = (pod.value, pod.value.prefix_len());
    let (pos, value) = mask.map_or((pod.pos, u32::from(default)), |mask| (mask.pos, mask.value));
    let most = (network.max_prefix_len() - 2).min(prefix.saturating_add(16));
    match u8::try_from(value) {
        Ok(node_mask) if (prefix..=most).contains(&node_mask) => Ok(PodCidr { network, node_mask }),
        _ => Err(pos.fault_of(
            key,
            format!("a node's part of {network} needs a prefix length from {prefix} to {most}, not {value}"),
        )),
    }
}

fn check_nodes(nodes: &At<u32>, pods: &[PodCidr]) -> Result<(), Fault> {
    if nodes.value == 0 {
        return Err(nodes.fault_of(
            fields::CLUSTER_NODES,
            "a cluster has at least one node; give the maximum number of nodes, or leave it out",
        ));
    }
    match pods.iter().find(|pod| pod.nodes() < nodes.value.into()) {
        None => Ok(()),
        Some(pod) => Err(nodes.fault_of(
            fields::CLUSTER_NODES,
            format!(
                "{} nodes need a /{} each, and {} has {}; use a longer mask or a larger network",
                nodes.value,
                pod.node_mask,
                pod.network,
                pod.nodes()
            ),
        )),
    }
}

/// `https://host[:port]`, reachable before the node has a pod network.
fn api_server(url: &At<String>, virtual_networks: &[At<IpNet>]) -> Result<String, Fault> {
    let bad = || {
        url.fault_of(
            fields::CLUSTER_API_SERVERS,
            format!(
                "{:?} is not an https:// URL with only a host and a port, such as \"https://api.example.org:6443\"",
                names::short(&Url::from(url.value.as_str()).to_string())
            ),
        )
    };
    let authority = url.value.strip_prefix("https://").ok_or_else(bad)?.trim_end_matches('/');
    let (host, port) = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, port)) => (host, port.strip_prefix(':').or(port.is_empty().then_some("6443"))),
        None => authority.split_once(':').map_or((authority, Some("443")), |(host, port)| (host, Some(port))),
    };
    let port = port.and_then(|port| port.parse::<u16>().ok());
    let address = host.parse::<IpAddr>().ok();
    if !(address.is_some() || names::is_subdomain(&host.to_ascii_lowercase())) || port.is_none_or(|port| port == 0) {
        return Err(bad());
    }
    if special::is_this_machine(host) {
        return Err(url.fault_of(fields::CLUSTER_API_SERVERS, format!(
            "{host} is the node itself, not the API server; name the load balancer or each API server as all nodes reach it"
        )));
    }
    match address.and_then(|address| virtual_networks.iter().find(|network| network.value.contains(&address))) {
        None => Ok(format!("https://{authority}")),
        Some(network) => Err(url.fault_of(fields::CLUSTER_API_SERVERS, format!(
            "{host} is in {}, and a node reaches Services and pods only after it has joined; name an address of the nodes' networks",
            network.value
        ))),
    }
}

fn dns_domain(text: &str) -> Result<(), String> {
    match names::is_subdomain(text) {
        true => Ok(()),
        false => Err(format!("{:?} is not a domain, such as \"cluster.local\"", names::short(text))),
    }
}

/// An address of a Service, or a link-local address (NodeLocal DNSCache).
fn dns_address(address: &At<String>, services: &[At<IpNet>]) -> Result<IpAddr, Fault> {
    let value = address.check(fields::CLUSTER_DNS_ADDRESSES, |text| {
        text.parse().map_err(|_| format!("{:?} is not an IP address", names::short(text)))
    })?;
    let networks: Vec<IpNet> = services.iter().map(|network| network.value).collect();
    cluster_dns(&value, &networks).map_err(|why| address.fault_of(fields::CLUSTER_DNS_ADDRESSES, why))?;
    Ok(value)
}

/// Checks that pods can query a DNS server at `address`.
pub(super) fn cluster_dns(address: &IpAddr, services: &[IpNet]) -> Result<(), String> {
    let link_local = match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    };
    let network = services.iter().find(|network| network.contains(address));
    match network {
        Some(network) if network.hosts().next() == Some(*address) || *address == network.network() => {
            Err(format!("{address} is taken: the first address of {network} is the API's Service"))
        }
        Some(_) => Ok(()),
        None if link_local => Ok(()),
        None => {
            let names: Vec<String> = services.iter().map(ToString::to_string).collect();
            let tenth = services.first().and_then(|network| network.hosts().nth(9));
            let hint = tenth.map(|address| format!("; kubeadm's is {address}")).unwrap_or_default();
            Err(format!(
                "{address} is not in the network of Services, {}, so no Service answers there{hint}",
                names.join(" or ")
            ))
        }
    }
}
