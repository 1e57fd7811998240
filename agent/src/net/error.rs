//! Why a server was not reached or not understood.

use super::{DnsError, UrlError};
use std::io;

/// Why a server was not reached or not understood. Every one may pass, so every one is worth another attempt.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// The address is none.
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
        /// Why, at the last address.
        source: io::Error,
    },
    /// The server is not who it should be, or speaks no TLS 1.3.
    #[error("making a TLS connection to {server}: {why}")]
    Tls {
        /// `HOST:PORT`.
        server: String,
        /// Why.
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
        /// Why.
        source: io::Error,
    },
    /// The connection ended too early.
    #[error("talking to {0}: the answer was cut off")]
    CutOff(String),
    /// No HTTP.
    #[error("talking to {server}: the answer is no HTTP/1.1: {why}")]
    NoHttp {
        /// `HOST:PORT`.
        server: String,
        /// What is wrong.
        why: &'static str,
    },
    /// More than is accepted.
    #[error("talking to {server}: the answer is larger than the {limit} bytes that are accepted")]
    TooLarge {
        /// `HOST:PORT`.
        server: String,
        /// Bytes.
        limit: usize,
    },
}
