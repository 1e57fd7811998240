//! A cluster: what all its nodes share, whatever their role.

use super::super::place::At;
use schemars::JsonSchema;
use serde::Deserialize;

/// A cluster: one file of `clusters/`, beside the profiles. It holds no secrets.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[schemars(title = "kiln cluster")]
pub(crate) struct RawCluster {
    /// Version of its API servers; of the oldest, while they are upgraded. Required.
    #[schemars(extend("examples" = ["1.36.4"]))]
    pub kubernetes: Option<At<String>>,
    /// Where its API is served, tried in turn: a load balancer, or each API server. Required.
    #[schemars(extend("examples" = [["https://api.prod.example.org:6443"]]))]
    pub api_servers: Vec<At<String>>,
    /// The certificates of the authority that signs the API's, in PEM. This or `caFile` is required.
    #[schemars(extend("examples" = ["-----BEGIN CERTIFICATE-----\n…\n-----END CERTIFICATE-----\n"]))]
    pub ca_certificate: Option<At<String>>,
    /// A file with them instead, relative to this one; `~/` is the home directory.
    #[schemars(extend("examples" = ["prod-ca.crt"]))]
    pub ca_file: Option<At<String>>,
    /// Addresses of Services, as kube-apiserver's `--service-cluster-ip-range`; one network, or one of each family. Required.
    #[serde(rename = "serviceCIDRs")]
    #[schemars(extend("examples" = [["10.96.0.0/12"]]))]
    pub service_cidrs: Vec<At<String>>,
    /// Addresses of pods, as kube-controller-manager's `--cluster-cidr`; one network, or one of each family. Required.
    #[serde(rename = "podCIDRs")]
    #[schemars(extend("examples" = [["10.244.0.0/16"]]))]
    pub pod_cidrs: Vec<At<String>>,
    /// Prefix of each node's part of the pods' IPv4 network (`--node-cidr-mask-size-ipv4`). Default: 24.
    #[serde(rename = "nodeCIDRMaskSizeIPv4")]
    #[schemars(extend("default" = 24))]
    pub node_cidr_mask_size_ipv4: Option<At<u32>>,
    /// The same for IPv6. Default: 64.
    #[serde(rename = "nodeCIDRMaskSizeIPv6")]
    #[schemars(extend("default" = 64))]
    pub node_cidr_mask_size_ipv6: Option<At<u32>>,
    /// Networks that the nodes themselves are in.
    #[schemars(extend("examples" = [["192.168.0.0/20"]]))]
    pub node_networks: Vec<At<String>>,
    /// How many nodes there may be at most: whether each finds a pod network is checked.
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
    /// Addresses of its Service, or of a cache on each node. Default: the tenth address of the first network of Services, as kubeadm has it.
    #[schemars(extend("examples" = [["10.96.0.10"]]))]
    pub addresses: Vec<At<String>>,
}
