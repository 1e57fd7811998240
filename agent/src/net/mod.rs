//! The network functions that a first boot needs: names, proxies, TLS and HTTP/1.1, all blocking
//! and with deadlines.

mod backoff;
mod connection;
mod dns;
mod error;
mod http;
mod provider;
mod proxy;
mod tls;

pub use crate::url::{Scheme, Url, UrlError};
pub use backoff::Backoff;
pub use connection::{Connection, Network};
pub use dns::{DnsError, Resolver};
pub use error::NetError;
pub use http::{Head, Request, Response};
pub(crate) use provider::SIGNATURES;
pub use proxy::Proxy;
pub use tls::{Identity, Verify};

use ring::rand::{SecureRandom as _, SystemRandom};

/// Bytes that nobody can guess. (They are zeros in the first moments of a machine whose kernel has
/// no entropy; no secret is made from them.)
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).ok();
    bytes
}
