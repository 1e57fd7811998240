//! A cluster: settings that all its nodes share, whatever their role.

use super::super::place::At;
use schemars::JsonSchema;
use serde::Deserialize;

/// A cluster: a file in `clusters/`, beside the directory of profiles. It contains no secrets.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[schemars(title = "kiln cluster")]
pub(crate) struct RawCluster {
    /// Version of its API servers; during an upgrade, that of the oldest. Required.
    #[schemars(extend("examples" = ["1.36.4"]))]
    pub kubernetes: Option<At<String>>,
    /// URLs of its API, tried in order: a load balancer, or each API server. Required.
    #[schemars(extend("examples" = [["https://api.prod.example.org:6443"]]))]
    pub api_servers: Vec<At<String>>,
    /// The certificates of the authority that signs the API servers' certificates, in PEM. This or
    /// `caFile` is required.
    #[schemars(extend("examples" = ["-----BEGIN CERTIFICATE-----\n…\n-----END CERTIFICATE-----\n"]))]
    pub ca_certificate: Option<At<String>>,
    /// A file with these certificates instead, relative to this file; `~/` is the home directory.
    #[schemars(extend("examples" = ["prod-ca.crt"]))]
    pub ca_file: Option<At<String>>,
    /// Networks of Services, as in kube-apiserver's `--service-cluster-ip-range`: one, or one of
    /// each address family. Required.
    #[serde(rename = "serviceCIDRs")]
    #[schemars(extend("examples" = [["10.96.0.0/12"]]))]
    pub service_cidrs: Vec<At<String>>,
    /// Networks of pods, as in kube-controller-manager's `--cluster-cidr`: one, or one of each
    /// address family. Required.
    #[serde(rename = "podCIDRs")]
    #[schemars(extend("examples" = [["10.244.0.0/16"]]))]
    pub pod_cidrs: Vec<At<String>>,
    /// Prefix length of each node's part of the pods' IPv4 network (`--node-cidr-mask-size-ipv4`).
    /// Default: 24.
    #[serde(rename = "nodeCIDRMaskSizeIPv4")]
    #[schemars(extend("default" = 24))]
    pub node_cidr_mask_size_ipv4: Option<At<u32>>,
    /// The same for IPv6. Default: 64.
    #[serde(rename = "nodeCIDRMaskSizeIPv6")]
    #[schemars(extend("default" = 64))]
    pub node_cidr_mask_size_ipv6: Option<At<u32>>,
    /// Networks of the nodes themselves.
    #[schemars(extend("examples" = [["192.168.0.0/20"]]))]
    pub node_networks: Vec<At<String>>,
    /// Maximum number of nodes: kiln checks that each gets a part of the pods' networks.
    #[schemars(extend("examples" = [200]))]
    pub nodes: Option<At<u32>>,
    /// The cluster's DNS.
    pub dns: RawDns,
}

/// The cluster's DNS.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct RawDns {
    /// Its domain. Default: `cluster.local`.
    #[schemars(extend("default" = "cluster.local"))]
    pub domain: Option<At<String>>,
    /// Addresses of its Service, or of a cache on each node. Default: the tenth address of the
    /// first network of Services, as with kubeadm.
    #[schemars(extend("examples" = [["10.96.0.10"]]))]
    pub addresses: Vec<At<String>>,
}
