//! The checked contents of a seed.

use super::{Pin, Token};
use crate::url::Url;
use std::collections::BTreeMap;

/// The values of one node. Everything except what identifies the cluster is optional.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Seed {
    /// `hostname`: the machine's name; the default is the node's name.
    pub hostname: Option<String>,
    /// `nodeName`: the Node's name, an RFC 1123 subdomain; the default is the host's name.
    pub node_name: Option<String>,
    /// `apiServers`: addresses of the API server, tried in order.
    pub api_servers: Vec<Url>,
    /// `token`: the bootstrap token. Required, but a platform may deliver it separately.
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

/// `discovery`: how the cluster's identity is verified. One of the fields is enough; without any,
/// the image must have been built for a cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Discovery {
    /// `caCertHashes`: pins of the cluster's authorities, in the format of `kubeadm join
    /// --discovery-token-ca-cert-hash`. No others are trusted.
    pub ca_cert_hashes: Vec<Pin>,
    /// `caCertificates`: the authority's certificates, in PEM.
    pub ca_certificates: Option<String>,
    /// `kubeconfig`: a kubeconfig that names server and authority, in the format of `kubeadm join
    /// --discovery-file`, as text.
    pub kubeconfig: Option<String>,
    /// `kubeconfigURL`: the https URL to fetch it from; the image's certificate authorities verify
    /// the host.
    pub kubeconfig_url: Option<Url>,
}

/// `kubelet`: values for its flags, with the names of a profile.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Kubelet {
    /// `nodeIP`: one address, or one per family separated by a comma.
    pub node_ip: Option<String>,
    /// `labels`, which take precedence over the image's labels.
    pub labels: BTreeMap<String, String>,
    /// `taints`, added to the image's taints.
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
        f.write_str(&crate::names::taint(&self.key, &self.value, &self.effect))
    }
}

/// One of `files`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Text.
    pub content: String,
    /// Permissions; the default is 0644.
    pub mode: u32,
    /// Owner; the default is root.
    pub uid: u32,
    /// Group; the default is root.
    pub gid: u32,
}

/// `proxy`: HTTP proxies of the agent's own requests.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProxySettings {
    /// `http`: for `http://` addresses.
    pub http: Option<Url>,
    /// `https`: for `https://` addresses.
    pub https: Option<Url>,
    /// `noProxy`: hosts, domains and CIDR ranges that are reached directly.
    pub no_proxy: Vec<String>,
}
