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
pub use cni::assign as assign_pod_network;
pub use files::{InstallError, install, install_ntp, write_files};
pub use hostname::current_hostname;
pub use node::{NODE_FILE, Node, NodeError};
