//! Finds the cluster: its address and its authority, verified before anything is trusted.

mod cluster_info;
mod jws;
mod kubeconfig;
mod pin;

pub use cluster_info::{DiscoveryError, discover};
pub use jws::{signature, verify as verify_jws};
pub use kubeconfig::{Cluster, KubeconfigError, node_kubeconfig};
pub use pin::pin_of;

use crate::net::{Url, Verify};
use crate::pki::pem;
use rustls::pki_types::CertificateDer;

/// A cluster whose identity was verified.
#[derive(Debug, Clone)]
pub struct Trusted {
    /// API servers, which are tried in order.
    pub servers: Vec<Url>,
    /// The authority's certificates, in PEM, unchanged.
    pub ca_pem: String,
    /// The same, in DER.
    pub authorities: Vec<CertificateDer<'static>>,
}

impl Trusted {
    /// `None` if there is no certificate in `ca_pem`.
    pub fn new(servers: Vec<Url>, ca_pem: String) -> Option<Self> {
        let authorities = pem::certificates(&ca_pem)?;
        Some(Self { servers, ca_pem, authorities })
    }

    /// How its servers are verified.
    pub fn verify(&self) -> Verify {
        Verify::Authorities(self.authorities.clone())
    }
}
