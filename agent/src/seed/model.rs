//! What a seed says, checked.

use super::{Pin, Token};
use crate::url::Url;
use std::collections::BTreeMap;

/// The facts of one node. Everything but what leads to the cluster may be left out.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Seed {
    /// `hostname`: the machine's name. Without it the node's name.
    pub hostname: Option<String>,
    /// `nodeName`: the Node's name, an RFC 1123 subdomain. Without it the host's name.
    pub node_name: Option<String>,
    /// `apiServers`: where the API is served, tried in turn.
    pub api_servers: Vec<Url>,
    /// `token`: the bootstrap token. Required, though a platform may deliver it on its own.
    pub token: Option<Token>,
    /// `discovery`.
    pub discovery: Discovery,
    /// `kubelet`.
    pub kubelet: Kubelet,
    /// `files`: by absolute path.
    pub files: BTreeMap<String, File>,
    /// `ntpServers`: for systemd-timesyncd.
    pub ntp_servers: Vec<String>,
    /// `proxy`.
    pub proxy: ProxySettings,
}

/// `discovery`: how the cluster proves that it is the right one. One of them is enough; without any, the image must have been baked
/// for a cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Discovery {
    /// `caCertHashes`: pins of the cluster's authority, as `kubeadm join --discovery-token-ca-cert-hash` takes them.
    pub ca_cert_hashes: Vec<Pin>,
    /// `caCertificates`: the authority's certificates, in PEM.
    pub ca_certificates: Option<String>,
    /// `kubeconfig`: a kubeconfig that names server and authority, as `kubeadm join --discovery-file` takes it: its text.
    pub kubeconfig: Option<String>,
    /// `kubeconfigURL`: where to fetch it from, over https; the host is proved by the image's certificate authorities.
    pub kubeconfig_url: Option<Url>,
}

/// `kubelet`: what goes into its flags, with the names a profile has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Kubelet {
    /// `nodeIP`: one address, or one of each family separated by a comma.
    pub node_ip: Option<String>,
    /// `labels`, which go before the image's own.
    pub labels: BTreeMap<String, String>,
    /// `taints`, added to the image's own.
    pub taints: Vec<Taint>,
    /// `providerID`.
    pub provider_id: Option<String>,
    /// `podCIDR`: the node's pod network, for the image's bridge network.
    pub pod_cidr: Option<String>,
    /// `args`: further flags by name, without dashes.
    pub args: BTreeMap<String, String>,
}

/// A taint. It is set when the Node is first registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taint {
    /// Key.
    pub key: String,
    /// Value; may be empty.
    pub value: String,
    /// `NoSchedule`, `PreferNoSchedule` or `NoExecute`.
    pub effect: String,
}

impl std::fmt::Display for Taint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}={}:{}", self.key, self.value, self.effect)
    }
}

/// One of `files`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Text.
    pub content: String,
    /// Permissions; 0644 unless said.
    pub mode: u32,
    /// Owner; root unless said.
    pub uid: u32,
    /// Group; root unless said.
    pub gid: u32,
}

/// `proxy`: HTTP proxies of the agent's own requests.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProxySettings {
    /// `http`: for `http://` addresses.
    pub http: Option<Url>,
    /// `https`: for `https://` addresses.
    pub https: Option<Url>,
    /// `noProxy`: hosts, domains and CIDR ranges that are asked directly.
    pub no_proxy: Vec<String>,
}
