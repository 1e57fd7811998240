//! Keys and certificates of X.509 (RFC 5280), as PEM files (RFC 7468) hold them.

mod certificate;
mod der;
mod key;
pub mod pem;

pub use certificate::{Certificate, CertificateError, request_spki, verify_client};
pub use key::{Key, KeyError};
