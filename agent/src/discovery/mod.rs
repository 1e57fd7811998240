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
use crate::seed::Pin;
use rustls::pki_types::CertificateDer;

/// A cluster whose identity was verified.
#[derive(Debug, Clone)]
pub struct Trusted {
    /// API servers, which are tried in order.
    pub servers: Vec<Url>,
    /// The authority's certificates, in PEM.
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

    /// Trusts only the authorities with one of `pins`, and returns the pins of the others as text;
    /// if none is pinned, that is the error.
    ///
    /// kubeadm trusts a whole bundle when one certificate of it is pinned (`CheckAny` of its
    /// pubkeypin). Here the others are left out, in memory and in the file that is written: whoever
    /// can sign cluster-info, with a token, could otherwise add an authority of his own. `kubeadm
    /// token create --print-join-command` prints the pins of all of them.
    ///
    /// # Errors
    /// The pins of all authorities.
    pub fn only(self, pins: &[Pin]) -> Result<(Self, String), String> {
        let is_pinned = |authority: &CertificateDer<'_>| pin_of(authority).is_some_and(|pin| pins.contains(&pin));
        let (pinned, others): (Vec<_>, Vec<_>) = self.authorities.into_iter().partition(is_pinned);
        let named = |authority: &CertificateDer<'_>| match pin_of(authority) {
            Some(pin) => pin.to_string(),
            None => "one that cannot be read".into(),
        };
        let others = others.iter().map(named).collect::<Vec<_>>().join(", ");
        if pinned.is_empty() {
            return Err(others);
        }
        // Written anew: another reader might see certificates in the text that this one does not.
        let ca_pem = pinned.iter().map(|der| pem::encode(pem::CERTIFICATE, der).to_string()).collect();
        Ok((Self { authorities: pinned, ca_pem, servers: self.servers }, others))
    }

    /// How its servers are verified.
    pub fn verify(&self) -> Verify {
        Verify::Authorities(self.authorities.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn authority() -> (String, Pin) {
        let key = rcgen::KeyPair::generate().expect("a key");
        let certificate = rcgen::CertificateParams::default().self_signed(&key).expect("a certificate");
        let pin = pin_of(certificate.der()).expect("a certificate");
        (pem::encode(pem::CERTIFICATE, certificate.der()).to_string(), pin)
    }

    #[test]
    fn only_pinned_authorities_are_trusted() {
        let ((ours, pin), (theirs, other)) = (authority(), authority());
        let bundle = |text: &str| Trusted::new(Vec::new(), text.into()).expect("certificates");
        let (trusted, unpinned) = bundle(&format!("{theirs}# ours\n{ours}")).only(&[pin]).expect("pinned");
        assert_eq!((trusted.ca_pem.as_str(), trusted.authorities.len()), (ours.as_str(), 1));
        assert_eq!(unpinned, other.to_string());
        let (trusted, unpinned) = bundle(&format!("{ours}{theirs}")).only(&[other, pin]).expect("pinned");
        assert_eq!((trusted.ca_pem, unpinned), (format!("{ours}{theirs}"), String::new()));
        assert_eq!(bundle(&theirs).only(&[pin]).expect_err("not pinned"), other.to_string());
    }
}
