//! Errors of requests to a server.

use super::{DnsError, UrlError};
use std::io;

/// Why a request to a server failed. Every one may be temporary, so every one is worth another
/// attempt.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// The address is invalid.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// The name has no address.
    #[error(transparent)]
    Dns(#[from] DnsError),
    /// No address of the host accepts a connection.
    #[error("connecting to {server}: {source}")]
    Connect {
        /// `HOST:PORT`.
        server: String,
        /// The cause at the last address.
        source: io::Error,
    },
    /// The server's identity is wrong, or it does not support TLS 1.3.
    #[error("making a TLS connection to {server}: {why}")]
    Tls {
        /// `HOST:PORT`.
        server: String,
        /// The cause.
        why: String,
    },
    /// The proxy does not connect.
    #[error("connecting to {server}: the proxy {proxy} answered with status {status}")]
    Proxy {
        /// `HOST:PORT`.
        server: String,
        /// Its address.
        proxy: String,
        /// HTTP status.
        status: u16,
    },
    /// The connection broke.
    #[error("talking to {server}: {source}")]
    Io {
        /// `HOST:PORT`.
        server: String,
        /// The cause.
        source: io::Error,
    },
    /// The connection ended too early.
    #[error("talking to {0}: the answer was truncated")]
    CutOff(String),
    /// The answer is not HTTP.
    #[error("talking to {server}: the answer is not HTTP/1.1: {why}")]
    NoHttp {
        /// `HOST:PORT`.
        server: String,
        /// The defect.
        why: &'static str,
    },
    /// The answer is larger than accepted.
    #[error("talking to {server}: the answer is larger than the {limit} bytes that are accepted")]
    TooLarge {
        /// `HOST:PORT`.
        server: String,
        /// Bytes.
        limit: usize,
    },
}
