//! TLS 1.3 and the verification of servers.

use super::provider::{SIGNATURES, provider};
use crate::discovery::pin_of;
use crate::seed::Pin;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::version::TLS13;
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use std::sync::Arc;

/// How a server's identity is verified.
#[derive(Debug, Clone)]
pub enum Verify {
    /// It is not verified, and nothing it sends is trusted: only for a cluster-info that is
    /// verified by other means.
    Nothing,
    /// By a certificate for the host from one of these authorities.
    Authorities(Vec<CertificateDer<'static>>),
    /// Like `Authorities`, and the client presents a certificate.
    Mutual(Arc<Identity>),
    /// Like `Authorities`, with an authority that the server sends and that has this pin.
    Pinned(Pin),
}

/// The identity of a client and the authorities that it trusts.
#[derive(Debug)]
pub struct Identity {
    /// The servers' authorities.
    pub authorities: Vec<CertificateDer<'static>>,
    /// The client's certificate and its intermediate certificates.
    pub chain: Vec<CertificateDer<'static>>,
    /// The client's key.
    pub key: PrivatePkcs8KeyDer<'static>,
}

impl Verify {
    /// The TLS configuration for this verification; an error if an authority's certificate cannot
    /// be used.
    pub(super) fn config(&self) -> Result<Arc<ClientConfig>, rustls::Error> {
        let builder = ClientConfig::builder_with_provider(Arc::new(provider())).with_protocol_versions(&[&TLS13])?;
        let config = match self {
            Self::Nothing => {
                builder.dangerous().with_custom_certificate_verifier(Arc::new(Anyone)).with_no_client_auth()
            }
            Self::Pinned(pin) => {
                builder.dangerous().with_custom_certificate_verifier(Arc::new(Pinned(*pin))).with_no_client_auth()
            }
            Self::Authorities(authorities) => builder.with_root_certificates(roots(authorities)?).with_no_client_auth(),
            Self::Mutual(own) => builder
                .with_root_certificates(roots(&own.authorities)?)
                .with_client_auth_cert(own.chain.clone(), own.key.clone_key().into())?,
        };
        Ok(Arc::new(config))
    }
}

fn roots(authorities: &[CertificateDer<'static>]) -> Result<RootCertStore, rustls::Error> {
    let mut roots = RootCertStore::empty();
    for authority in authorities {
        roots.add(authority.clone())?;
    }
    Ok(roots)
}

/// All verifiers check in the same way that the server has the certificate's key.
macro_rules! signatures {
    () => {
        fn verify_tls12_signature(
            &self,
            message: &[u8],
            certificate: &CertificateDer<'_>,
            signed: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, rustls::Error> {
            rustls::crypto::verify_tls12_signature(message, certificate, signed, &SIGNATURES)
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            certificate: &CertificateDer<'_>,
            signed: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, rustls::Error> {
            rustls::crypto::verify_tls13_signature(message, certificate, signed, &SIGNATURES)
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            SIGNATURES.supported_schemes()
        }
    };
}

/// Accepts every certificate, but the server must have its key.
#[derive(Debug)]
struct Anyone;

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    signatures!();
}

/// Accepts a chain that leads to a certificate with this pin.
#[derive(Debug)]
struct Pinned(Pin);

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let pinned = intermediates.iter().find(|authority| pin_of(authority) == Some(self.0));
        let pinned = pinned
            .ok_or_else(|| rustls::Error::General("it does not send a certificate authority with the pin".into()))?;
        let mut roots = RootCertStore::empty();
        roots.add(pinned.clone().into_owned())?;
        let parsed = ParsedCertificate::try_from(certificate)?;
        verify_server_cert_signed_by_trust_anchor(&parsed, &roots, intermediates, now, SIGNATURES.all)?;
        verify_server_name(&parsed, name)?;
        Ok(ServerCertVerified::assertion())
    }

    signatures!();
}
