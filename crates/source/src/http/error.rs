//! Why a document could not be fetched, and what to do.

use super::proxy::ProxyServer;
use kiln_url::Url;
use std::fmt;
use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::time::Duration;
use ureq::http::Uri;

/// A failed request.
#[derive(Debug, Clone)]
pub struct HttpError {
    /// The requested URL.
    pub url: Url,
    /// The URL that redirects led to, if it is another one.
    pub reached: Option<Url>,
    /// What happened (at the last attempt).
    pub kind: HttpErrorKind,
    /// The number of attempts.
    pub attempts: u32,
}

/// The failure of a request.
#[derive(Debug, Clone)]
pub enum HttpErrorKind {
    /// The client was told not to use the network.
    Offline,
    /// Not a URL that can be fetched.
    BadUrl {
        /// The defect.
        why: String,
    },
    /// A status other than 200 and 206.
    Status {
        /// The status.
        status: u16,
        /// The pause that the server requests.
        retry_after: Option<Duration>,
        /// The required authorization (`WWW-Authenticate`); empty when another server answered
        /// than the one that was asked.
        challenges: Vec<String>,
    },
    /// The registry requires an authorization that kiln does not have.
    Unauthorized {
        /// The cause and the remedy.
        why: String,
    },
    /// The server cannot continue at this byte, or continues at another.
    BadRange {
        /// The first requested byte.
        asked: u64,
    },
    /// Redirected too often.
    TooManyRedirects {
        /// The number of redirects followed.
        limit: usize,
    },
    /// Redirected from https to http.
    Downgrade {
        /// The target.
        to: Url,
    },
    /// A redirect without a target, or to something that is not an HTTP URL.
    BadRedirect {
        /// The target as the server sent it.
        to: Option<Url>,
    },
    /// The document is larger than this kind of document can be.
    TooLarge {
        /// The number of allowed bytes.
        limit: u64,
    },
    /// The certificate authorities to trust could not be read.
    Roots {
        /// The file.
        path: PathBuf,
        /// The cause.
        why: String,
    },
    /// The server's certificate or TLS is not accepted.
    Tls {
        /// The cause.
        why: String,
    },
    /// The proxy rejects the request.
    Proxy {
        /// `host:port`.
        proxy: String,
        /// The cause.
        why: String,
    },
    /// The connection failed, ended early or stalled.
    Transport {
        /// What happened.
        why: String,
        /// `host:port` of the proxy in between.
        proxy: Option<String>,
    },
    /// The answer is not HTTP.
    Protocol {
        /// The cause.
        why: String,
    },
}

impl HttpError {
    pub(crate) fn new(url: &Url, kind: HttpErrorKind) -> Self {
        Self { url: url.clone(), reached: None, kind, attempts: 1 }
    }

    /// Adds where redirects led to, if anywhere.
    pub(super) fn reached(mut self, redirected: Option<&Uri>) -> Self {
        self.reached = redirected.map(|uri| uri.to_string().into());
        self
    }

    pub(crate) fn after_attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts;
        self
    }

    /// Whether the server answers that it does not have the document (any longer).
    pub fn is_gone(&self) -> bool {
        matches!(self.kind, HttpErrorKind::Status { status: 404 | 410, .. })
    }

    /// Whether no connection to the server worked, so that another request to it is unlikely to
    /// succeed.
    pub fn is_unreachable(&self) -> bool {
        matches!(self.kind, HttpErrorKind::Transport { .. } | HttpErrorKind::Tls { .. } | HttpErrorKind::Proxy { .. })
    }

    /// Whether another attempt may succeed.
    pub fn is_transient(&self) -> bool {
        match &self.kind {
            HttpErrorKind::Transport { .. } | HttpErrorKind::Protocol { .. } => true,
            HttpErrorKind::Status { status, .. } => matches!(status, 408 | 429 | 500..=599),
            _ => false,
        }
    }
}

impl HttpErrorKind {
    pub(super) fn from_ureq(error: &ureq::Error, server: Option<&ProxyServer>) -> Self {
        let proxy = server.map(ProxyServer::address);
        let transport = |why: String| Self::Transport { why, proxy: proxy.clone() };
        match error {
            ureq::Error::Io(error) => match tls_cause(error) {
                Some(why) => Self::Tls { why },
                None => transport(io_text(error)),
            },
            ureq::Error::Timeout(ureq::Timeout::Connect | ureq::Timeout::Resolve) => {
                transport("no connection in time".into())
            }
            ureq::Error::Timeout(_) => transport("the server sends nothing".into()),
            ureq::Error::HostNotFound => transport("the host name is not known".into()),
            ureq::Error::ConnectionFailed => transport("no connection".into()),
            ureq::Error::ConnectProxyFailed(why) => match proxy {
                Some(proxy) => Self::Proxy { proxy, why: why.clone() },
                None => transport(why.clone()),
            },
            ureq::Error::Rustls(error) => Self::Tls { why: error.to_string() },
            ureq::Error::Tls(why) => Self::Tls { why: (*why).to_owned() },
            // Its text has the URL.
            ureq::Error::BadUri(_) => Self::BadUrl { why: "it cannot be requested".into() },
            ureq::Error::Http(error) => Self::BadUrl { why: error.to_string() },
            other => Self::Protocol { why: other.to_string() },
        }
    }

    /// A failure while reading the body.
    pub(super) fn from_body(error: io::Error) -> Self {
        Self::from_ureq(&ureq::Error::from(error), None)
    }

    fn advice(&self) -> Option<String> {
        Some(match self {
            Self::Offline => "--offline uses only the cache; run once without it".into(),
            Self::Status { status: 407, .. } => "the proxy requires a user name and password: http://user:password@host:port in http_proxy and https_proxy".into(),
            Self::Status { status: 401, .. } => "put user name and password into ~/.netrc, those of a Debian mirror also into apt's auth.conf (for http:// write \"machine http://HOST\"), or name another mirror (--mirror)".into(),
            Self::Status { status: 403, .. } => "check the URL, user name and password, or name another mirror (--mirror)".into(),
            Self::Status { status: 404 | 410, .. } => "the server does not have it (any longer)".into(),
            Self::Status { .. } => "try again later, or name another mirror (--mirror)".into(),
            Self::TooManyRedirects { .. } | Self::Downgrade { .. } | Self::BadRedirect { .. } | Self::Protocol { .. } => {
                "the server is misconfigured; name another mirror (--mirror)".into()
            }
            Self::Tls { .. } => "if a company's authority signed it, add that authority to the host's CA certificates or name its PEM file in SSL_CERT_FILE".into(),
            Self::Proxy { proxy, .. } => format!("check the proxy {proxy} (https_proxy; for mirrors also apt's Acquire::https::Proxy), or name the host in no_proxy"),
            Self::Transport { proxy: Some(proxy), .. } => format!("check the proxy {proxy} (http_proxy, https_proxy, no_proxy; for mirrors also apt's Acquire::http::Proxy)"),
            Self::Transport { proxy: None, .. } => {
                "check the network and whether a proxy is needed (http_proxy, https_proxy), or name another mirror (--mirror)".into()
            }
            Self::Roots { .. } => "correct or unset SSL_CERT_FILE".into(),
            Self::BadUrl { .. } | Self::TooLarge { .. } | Self::BadRange { .. } | Self::Unauthorized { .. } => return None,
        })
    }
}

impl fmt::Display for HttpErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Offline => write!(f, "the network must not be used"),
            Self::Unauthorized { why } => f.write_str(why),
            Self::BadUrl { why } => write!(f, "not a URL that can be fetched: {why}"),
            Self::Status { status, .. } => {
                let reason = ureq::http::StatusCode::from_u16(*status).ok().and_then(|code| code.canonical_reason());
                write!(f, "the server answers {status} {}", reason.unwrap_or_default().to_lowercase())
            }
            Self::BadRange { asked } => write!(f, "the server cannot continue at byte {asked}"),
            Self::TooManyRedirects { limit } => write!(f, "redirected more than {limit} times"),
            Self::Downgrade { to } => write!(f, "redirected from https to unprotected {to}"),
            Self::BadRedirect { to: Some(to) } => write!(f, "redirected to {to:?}, which is not an http URL"),
            Self::BadRedirect { to: None } => write!(f, "redirected without a target"),
            Self::TooLarge { limit } => write!(f, "it has more than {limit} bytes"),
            Self::Roots { path, why } => write!(f, "reading the CA certificates {}: {why}", path.display()),
            Self::Tls { why } => write!(f, "no trusted connection: {why}"),
            Self::Proxy { proxy, why } => write!(f, "the proxy {proxy} rejects the request: {why}"),
            Self::Transport { why, .. } => write!(f, "{why}"),
            Self::Protocol { why } => write!(f, "the answer is not valid HTTP: {why}"),
        }
    }
}

impl fmt::Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "fetching {}", self.url)?;
        if let Some(reached) = &self.reached {
            write!(f, " (redirected to {reached})")?;
        }
        write!(f, ": {}", self.kind)?;
        if self.attempts > 1 {
            write!(f, " (tried {} times)", self.attempts)?;
        }
        match self.kind.advice() {
            Some(advice) => write!(f, "; {advice}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for HttpError {}

/// TLS failures are I/O errors that contain a rustls error.
fn tls_cause(error: &io::Error) -> Option<String> {
    let inner = error.get_ref()?;
    (error.kind() == ErrorKind::InvalidData).then(|| inner.to_string())
}

fn io_text(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::ConnectionRefused => "the connection was refused".into(),
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => "the connection was reset".into(),
        ErrorKind::UnexpectedEof => "the connection was closed early".into(),
        _ => error.to_string(),
    }
}
