//! HTTP GET over HTTP/1.1 and TLS, made for downloads: time limits on every step, bounded redirects, retries.
//!
//! What a server answers is not trusted here; callers verify digests or signatures.

mod absolute_form;
mod error;
mod proxy;
mod retry;
mod tls;
mod url;

pub use error::{HttpError, HttpErrorKind};
pub use proxy::{ProxyConfig, ProxyError, ProxyServer};
pub use retry::{Backoff, RetryPolicy};
pub use url::redacted;

use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use ureq::http::{HeaderMap, Uri};

/// Redirects followed before giving up.
const MAX_REDIRECTS: usize = 10;
/// A body that brings fewer bytes than this in one stall time counts as stalled.
const STALL_BYTES: u64 = 1024;
const USER_AGENT: &str = concat!("kiln/", env!("CARGO_PKG_VERSION"));

/// Settings of a [`Client`].
#[derive(Debug, Clone)]
pub struct HttpConfig {
    /// Proxies, from the environment.
    pub proxy: ProxyConfig,
    /// PEM file with the certificate authorities to trust instead of the host's (`SSL_CERT_FILE`).
    pub ca_file: Option<PathBuf>,
    /// Time to connect, TLS and proxy included, and to look up the host's name.
    pub connect_timeout: Duration,
    /// How long a server may send nothing.
    pub stall_timeout: Duration,
    /// When and how often to try again.
    pub retry: RetryPolicy,
    /// Refuse every request (`--offline`).
    pub offline: bool,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            proxy: ProxyConfig::default(),
            ca_file: None,
            connect_timeout: Duration::from_secs(20),
            stall_timeout: Duration::from_secs(30),
            retry: RetryPolicy::default(),
            offline: false,
        }
    }
}

/// An HTTP client; clones share connections. Making one touches neither network nor disk.
#[derive(Debug, Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    config: HttpConfig,
    agents: OnceLock<Result<Agents, HttpErrorKind>>,
}

#[derive(Debug)]
struct Agents {
    direct: ureq::Agent,
    /// Speaks to a proxy that forwards plain HTTP.
    forward: ureq::Agent,
}

impl Client {
    /// A client with these settings.
    pub fn new(config: HttpConfig) -> Self {
        Self { inner: Arc::new(Inner { config, agents: OnceLock::new() }) }
    }

    /// The settings.
    pub fn config(&self) -> &HttpConfig {
        &self.inner.config
    }

    /// Fetches a small document, with retries.
    ///
    /// # Errors
    /// [`HttpError`]; [`HttpErrorKind::TooLarge`] when it has more than `limit` bytes.
    pub fn get_bytes(&self, url: &str, limit: u64) -> Result<Vec<u8>, HttpError> {
        let mut backoff = Backoff::new(&self.config().retry, url);
        loop {
            let error = match self.get(url, 0).and_then(|response| response.bytes(limit)) {
                Ok(bytes) => return Ok(bytes),
                Err(error) => error,
            };
            match backoff.after(&error) {
                Some(delay) => std::thread::sleep(delay),
                None => return Err(error.after_attempts(backoff.attempts())),
            }
        }
    }

    /// One attempt to get `url` from byte `offset` on, redirects followed.
    ///
    /// A server may ignore the offset: see [`Response::offset`].
    ///
    /// # Errors
    /// [`HttpError`] for everything but status 200 and 206.
    pub fn get(&self, url: &str, offset: u64) -> Result<Response, HttpError> {
        let fail = |kind| HttpError::new(url, kind);
        if self.config().offline {
            return Err(fail(HttpErrorKind::Offline));
        }
        let mut uri = url::parse(url).map_err(|why| fail(HttpErrorKind::BadUrl { why }))?;
        for _ in 0..=MAX_REDIRECTS {
            let at = |kind| fail(kind).reached(&uri);
            let response = self.request(&uri, offset).map_err(at)?;
            if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
                return Response::new(url, &uri, response, offset, self.config().stall_timeout);
            }
            let next = redirect_target(&uri, response.headers()).map_err(at)?;
            uri = next;
        }
        Err(fail(HttpErrorKind::TooManyRedirects { limit: MAX_REDIRECTS }).reached(&uri))
    }

    fn request(&self, uri: &Uri, offset: u64) -> Result<ureq::http::Response<ureq::Body>, HttpErrorKind> {
        let agents = self.agents()?;
        let server = self.config().proxy.server_for(uri);
        let range = (offset > 0).then(|| format!("bytes={offset}-"));
        let result = match server {
            Some(server) if uri.scheme_str() == Some("http") => {
                let mut request = agents.forward.get(server.forward_uri(uri)?).header("host", url::host_and_port(uri));
                if let Some(credentials) = server.authorization() {
                    request = request.header("proxy-authorization", credentials);
                }
                if let Some(range) = range {
                    request = request.header("range", range);
                }
                request.call()
            }
            server => {
                let proxy = server.map(ProxyServer::tunnel);
                let mut request = agents.direct.get(uri).config().proxy(proxy).build();
                if let Some(range) = range {
                    request = request.header("range", range);
                }
                request.call()
            }
        };
        result.map_err(|error| HttpErrorKind::from_ureq(&error, server))
    }

    fn agents(&self) -> Result<&Agents, HttpErrorKind> {
        let made = self.inner.agents.get_or_init(|| Agents::new(&self.inner.config));
        made.as_ref().map_err(Clone::clone)
    }
}

impl Agents {
    fn new(config: &HttpConfig) -> Result<Self, HttpErrorKind> {
        let tls = ureq::tls::TlsConfig::builder().root_certs(tls::roots(config.ca_file.as_deref())?).build();
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            // Followed here, because each hop may need another proxy and https must not become http.
            .max_redirects(0)
            // The library would read the environment otherwise.
            .proxy(None)
            .user_agent(USER_AGENT)
            .accept_encoding("identity")
            .timeout_resolve(Some(config.connect_timeout))
            .timeout_connect(Some(config.connect_timeout))
            .timeout_per_read(Some(config.stall_timeout))
            .timeout_per_write(Some(config.stall_timeout))
            // Bytes that trickle into a header reset the per-read limit.
            .timeout_recv_response(Some(config.stall_timeout.saturating_mul(2)))
            .max_idle_connections(64)
            .max_idle_connections_per_host(16)
            .tls_config(tls)
            .build();
        Ok(Self { direct: ureq::Agent::new_with_config(config.clone()), forward: absolute_form::agent(config) })
    }
}

fn redirect_target(from: &Uri, headers: &HeaderMap) -> Result<Uri, HttpErrorKind> {
    let location = headers.get("location").and_then(|value| value.to_str().ok());
    let location = location.ok_or(HttpErrorKind::BadRedirect { to: None })?;
    let bad = || HttpErrorKind::BadRedirect { to: Some(location.chars().take(200).collect()) };
    let to = url::join(from, location).ok_or_else(bad)?;
    if from.scheme_str() == Some("https") && to.scheme_str() != Some("https") {
        return Err(HttpErrorKind::Downgrade { to: redacted(&to.to_string()) });
    }
    Ok(to)
}

/// The body of an answer, being received.
#[derive(Debug)]
pub struct Response {
    url: String,
    /// Byte of the whole document with which the body starts: the offset asked for, or 0 when the server
    /// ignored that.
    pub offset: u64,
    /// Length of the whole document, when the server says it.
    pub total: Option<u64>,
    body: Body,
}

impl Response {
    fn new(
        url: &str,
        reached: &Uri,
        response: ureq::http::Response<ureq::Body>,
        asked: u64,
        stall: Duration,
    ) -> Result<Self, HttpError> {
        let length = response.body().content_length();
        let (offset, total) = match response.status().as_u16() {
            200 => (0, length),
            206 if asked > 0 => match content_range(response.headers()) {
                Some((start, total)) if start == asked => (start, total),
                _ => return Err(HttpError::new(url, HttpErrorKind::BadRange { asked }).reached(reached)),
            },
            416 if asked > 0 => return Err(HttpError::new(url, HttpErrorKind::BadRange { asked }).reached(reached)),
            status => {
                let kind = HttpErrorKind::Status { status, retry_after: retry::retry_after(response.headers()) };
                return Err(HttpError::new(url, kind).reached(reached));
            }
        };
        let reader = response.into_body().into_reader();
        let body = Body { reader: Box::new(reader), stall, window_start: Instant::now(), window_bytes: 0 };
        Ok(Self { url: url.to_owned(), offset, total, body })
    }

    /// Reads some bytes of the body; 0 at its end, which is never reported for a body that was cut.
    ///
    /// # Errors
    /// [`HttpError`] of the kind [`HttpErrorKind::Transport`].
    pub fn read(&mut self, buffer: &mut [u8]) -> Result<usize, HttpError> {
        self.body.read(buffer).map_err(|error| HttpError::new(&self.url, HttpErrorKind::from_body(error)))
    }

    /// Reads the whole body of a small document.
    ///
    /// # Errors
    /// [`HttpErrorKind::TooLarge`] when it has more than `limit` bytes, or as [`Response::read`].
    pub fn bytes(mut self, limit: u64) -> Result<Vec<u8>, HttpError> {
        let too_large = HttpErrorKind::TooLarge { limit };
        if self.total.is_some_and(|total| total > limit) {
            return Err(HttpError::new(&self.url, too_large));
        }
        let mut bytes = Vec::new();
        let read = (&mut self.body).take(limit.saturating_add(1)).read_to_end(&mut bytes);
        read.map_err(|error| HttpError::new(&self.url, HttpErrorKind::from_body(error)))?;
        if bytes.len() as u64 > limit {
            return Err(HttpError::new(&self.url, too_large));
        }
        Ok(bytes)
    }
}

/// `(first byte, whole length)` of a `Content-Range: bytes 100-199/200` (RFC 9110, 14.4).
fn content_range(headers: &HeaderMap) -> Option<(u64, Option<u64>)> {
    let (range, total) = headers.get("content-range")?.to_str().ok()?.strip_prefix("bytes ")?.split_once('/')?;
    let (start, _) = range.split_once('-')?;
    Some((start.trim().parse().ok()?, total.trim().parse().ok()))
}

/// A body that fails when it stalls, be it by trickling.
struct Body {
    reader: Box<dyn Read + Send>,
    stall: Duration,
    window_start: Instant,
    window_bytes: u64,
}

impl Read for Body {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // The window starts with the read: the time that the caller takes is not the server's.
        if self.window_bytes == 0 {
            self.window_start = Instant::now();
        }
        let count = self.reader.read(buffer)?;
        self.window_bytes += count as u64;
        if self.window_bytes >= STALL_BYTES {
            self.window_bytes = 0;
        } else if count > 0 && self.window_start.elapsed() > self.stall {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "the server sends too slowly"));
        }
        Ok(count)
    }
}

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Body").finish_non_exhaustive()
    }
}

/// Sleeps for `delay` unless `stop` becomes true; tells whether it slept to the end.
pub(crate) fn sleep_unless(delay: Duration, stop: &AtomicBool) -> bool {
    let end = Instant::now() + delay;
    loop {
        if stop.load(Relaxed) {
            return false;
        }
        match end.checked_duration_since(Instant::now()) {
            Some(left) if !left.is_zero() => std::thread::sleep(left.min(Duration::from_millis(50))),
            _ => return true,
        }
    }
}
