//! Installs what kubelet needs: its certificate, its kubeconfig, its flags, and everything else in
//! a seed.

mod certificate;
mod cni;
mod files;
mod flags;
mod hostname;
mod node;

pub use certificate::{
    CertificateFault, PKI, check as check_certificate, drop_key, identity, load_certificate, store_certificate,
    take_key,
};
pub use cni::{CONFLIST, assign as assign_pod_network};
pub use files::{InstallError, install, install_ntp};
pub use hostname::current_hostname;
pub use node::{NODE_FILE, Node, NodeError};

/// kubelet's kubeconfig. kubelet starts when it exists, so it is written last.
pub const KUBELET_CONF: &str = "/etc/kubernetes/kubelet.conf";
/// kubelet's configuration.
pub const KUBELET_CONFIG: &str = "/var/lib/kubelet/config.yaml";
/// The kubeconfig of kubeadm while it joins a node itself.
pub const BOOTSTRAP_CONF: &str = "/etc/kubernetes/bootstrap-kubelet.conf";
/// The certificates of the cluster's authority.
pub const CA_FILE: &str = "/etc/kubernetes/pki/ca.crt";
