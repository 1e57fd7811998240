//! A validated cluster file: settings that all nodes of a cluster share, whatever their role.

use super::model::KubernetesVersion;
use ipnet::IpNet;
use serde::Serialize;
use std::net::IpAddr;

/// A cluster. It contains no secrets, because its contents are in every node's image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Cluster {
    /// The stem of its file (`prod`).
    pub name: String,
    /// Version of the API servers.
    pub kubernetes: KubernetesVersion,
    /// `https://` URLs of the API, in the order to try them.
    pub api_servers: Vec<String>,
    /// The certificates of the certificate authority, PEM.
    pub ca_certificates: String,
    /// Networks of Services: one, or one of each address family.
    pub service_cidrs: Vec<IpNet>,
    /// Networks of pods: one, or one of each address family, with the prefix length of each node's
    /// part.
    pub pod_cidrs: Vec<PodCidr>,
    /// Networks of the nodes.
    pub node_networks: Vec<IpNet>,
    /// The cluster's DNS domain.
    pub dns_domain: String,
    /// The cluster's DNS servers.
    pub dns_addresses: Vec<IpAddr>,
}

impl Cluster {
    /// The networks of pods as kube-proxy accepts them, separated by a comma. Without `dual_stack`
    /// it accepts only one and implements Services of one family, so this returns the first
    /// network.
    pub fn cluster_cidr(&self, dual_stack: bool) -> String {
        let families = if dual_stack { usize::MAX } else { 1 };
        self.pod_cidrs.iter().take(families).map(|cidr| cidr.network.to_string()).collect::<Vec<_>>().join(",")
    }
}

/// A network of pods and its division among nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct PodCidr {
    /// The whole network.
    pub network: IpNet,
    /// Prefix length of one node's part.
    pub node_mask: u8,
}

impl PodCidr {
    /// The number of pods for which one node's part has addresses: all but the network's own, the
    /// broadcast address and the gateway's.
    pub fn pods(&self) -> u64 {
        let bits = self.network.max_prefix_len().saturating_sub(self.node_mask);
        1_u64.checked_shl(bits.into()).unwrap_or(u64::MAX).saturating_sub(3)
    }

    /// The number of parts.
    pub fn nodes(&self) -> u64 {
        1_u64.checked_shl(self.node_mask.saturating_sub(self.network.prefix_len()).into()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pods_and_nodes_are_counted() {
        let cidr = |text: &str, node_mask| PodCidr { network: text.parse().expect("a network"), node_mask };
        assert_eq!((cidr("10.244.0.0/16", 24).pods(), cidr("10.244.0.0/16", 24).nodes()), (253, 256));
        assert_eq!((cidr("10.0.0.0/8", 8).pods(), cidr("10.0.0.0/8", 8).nodes()), ((1 << 24) - 3, 1));
        assert_eq!((cidr("fd00::/48", 64).pods(), cidr("fd00::/48", 64).nodes()), (u64::MAX - 3, 65536));
    }
}
