//! HTTP GET over HTTP/1.1 and TLS, for downloads, with time limits for every step, bounded
//! redirects and retries.
//!
//! Answers are not trusted; callers verify digests or signatures.

mod absolute_form;
mod error;
mod logins;
mod proxy;
mod response;
mod retry;
mod tls;
mod url;

pub use error::{HttpError, HttpErrorKind};
pub use logins::Logins;
pub use proxy::{AptProxies, ProxyConfig, ProxyError, ProxyServer};
pub use response::Response;
pub use retry::{Backoff, RetryPolicy};

use kiln_url::Url;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use ureq::http::{HeaderMap, Uri};
use url::Target;

/// The most redirects that are followed.
const MAX_REDIRECTS: usize = 10;
const USER_AGENT: &str = concat!("kiln/", env!("CARGO_PKG_VERSION"));

/// Settings of a [`Client`].
#[derive(Debug, Clone)]
pub struct HttpConfig {
    /// Proxies, from the environment and from apt.
    pub proxy: ProxyConfig,
    /// Users and passwords, from files.
    pub logins: Logins,
    /// PEM file with the certificate authorities to trust instead of the host's (`SSL_CERT_FILE`).
    pub ca_file: Option<PathBuf>,
    /// The time limit to connect, including TLS and proxy, and to look up the host's name.
    pub connect_timeout: Duration,
    /// The time limit without data from the server.
    pub stall_timeout: Duration,
    /// The policy for retries.
    pub retry: RetryPolicy,
    /// Reject every request (`--offline`).
    pub offline: bool,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            proxy: ProxyConfig::default(),
            logins: Logins::default(),
            ca_file: None,
            connect_timeout: Duration::from_secs(20),
            stall_timeout: Duration::from_secs(30),
            retry: RetryPolicy::default(),
            offline: false,
        }
    }
}

/// The headers of a request.
#[derive(Clone, Default)]
pub struct Headers {
    /// `Accept`.
    pub accept: Option<String>,
    /// `Authorization`; never printed.
    pub authorization: Option<String>,
}

/// What a client's requests are for, which decides whose proxies and passwords it uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Purpose {
    /// Container registries, which have credentials of their own.
    Registry,
    /// Files that a profile names: also the passwords of `~/.netrc`.
    #[default]
    Artifact,
    /// Debian's mirrors: also what apt is configured to use for them.
    Mirror,
}

/// An HTTP client; clones share connections. Making one uses neither network nor disk.
#[derive(Debug, Clone)]
pub struct Client {
    inner: Arc<Inner>,
    purpose: Purpose,
}

#[derive(Debug)]
struct Inner {
    config: HttpConfig,
    agents: OnceLock<Result<Agents, HttpErrorKind>>,
}

#[derive(Debug)]
struct Agents {
    direct: ureq::Agent,
    /// The agent for a proxy that forwards plain HTTP.
    forward: ureq::Agent,
}

impl Client {
    /// A client with these settings.
    pub fn new(config: HttpConfig) -> Self {
        Self { inner: Arc::new(Inner { config, agents: OnceLock::new() }), purpose: Purpose::default() }
    }

    /// The same client for requests of another purpose.
    pub fn to(&self, purpose: Purpose) -> Self {
        Self { inner: self.inner.clone(), purpose }
    }

    /// The settings.
    pub fn config(&self) -> &HttpConfig {
        &self.inner.config
    }

    /// Fetches a small document, with retries.
    ///
    /// # Errors
    /// [`HttpError`]; [`HttpErrorKind::TooLarge`] when it has more than `limit` bytes.
    pub fn get_bytes(&self, url: &Url, limit: u64) -> Result<Vec<u8>, HttpError> {
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

    /// Makes one attempt to get `url` starting at byte `offset`, and follows redirects.
    ///
    /// A server may ignore the offset: see [`Response::offset`].
    ///
    /// # Errors
    /// [`HttpError`] for everything but status 200 and 206.
    pub fn get(&self, url: &Url, offset: u64) -> Result<Response, HttpError> {
        self.get_with(url, offset, &Headers::default())
    }

    /// Like [`Client::get`], with additional headers. An authorization, also that of the URL's
    /// user, is only for the requested server: a redirect to another one is followed without it.
    ///
    /// # Errors
    /// Those of [`Client::get`].
    pub fn get_with(&self, url: &Url, offset: u64, headers: &Headers) -> Result<Response, HttpError> {
        let fail = |kind| HttpError::new(url, kind);
        if self.config().offline {
            return Err(fail(HttpErrorKind::Offline));
        }
        let mut target = url::parse(url.expose()).map_err(|why| fail(HttpErrorKind::BadUrl { why }))?;
        let first = target.uri.clone();
        let own = headers.authorization.clone().or_else(|| target.authorization.clone());
        for _ in 0..=MAX_REDIRECTS {
            let Target { uri, authorization } = &target;
            let redirected = (*uri != first).then_some(uri);
            let is_asked_server = url::same_server(&first, uri);
            let at = |kind| fail(kind).reached(redirected);
            let authorization = own
                .clone()
                .filter(|_| is_asked_server)
                .or_else(|| authorization.clone())
                .or_else(|| self.config().logins.authorization(uri, self.purpose));
            let accept = headers.accept.as_deref().map(|value| ("accept", value));
            let authorization = authorization.as_deref().map(|value| ("authorization", value));
            let headers: Vec<_> = accept.into_iter().chain(authorization).collect();
            let response = self.request(uri, offset, &headers).map_err(at)?;
            if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
                let answered = (redirected, is_asked_server);
                return Response::new(url, answered, response, offset, self.config().stall_timeout);
            }
            target = redirect_target(uri, response.headers()).map_err(at)?;
        }
        Err(fail(HttpErrorKind::TooManyRedirects { limit: MAX_REDIRECTS }).reached(Some(&target.uri)))
    }

    fn request(
        &self,
        uri: &Uri,
        offset: u64,
        headers: &[(&'static str, &str)],
    ) -> Result<ureq::http::Response<ureq::Body>, HttpErrorKind> {
        let agents = self.agents()?;
        let server = self.config().proxy.server_for(uri, self.purpose);
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
                for (name, value) in headers {
                    request = request.header(*name, *value);
                }
                request.call()
            }
            server => {
                let proxy = server.map(ProxyServer::tunnel);
                let mut request = agents.direct.get(uri).config().proxy(proxy).build();
                if let Some(range) = range {
                    request = request.header("range", range);
                }
                for (name, value) in headers {
                    request = request.header(*name, *value);
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
            // Redirects are followed here, because each hop may need another proxy, and https must
            // not become http.
            .max_redirects(0)
            // Otherwise, the library would read the environment.
            .proxy(None)
            .user_agent(USER_AGENT)
            .accept_encoding("identity")
            .timeout_resolve(Some(config.connect_timeout))
            .timeout_connect(Some(config.connect_timeout))
            .timeout_per_read(Some(config.stall_timeout))
            .timeout_per_write(Some(config.stall_timeout))
            // Each byte of a slow header would reset the limit per read.
            .timeout_recv_response(Some(config.stall_timeout.saturating_mul(2)))
            .max_idle_connections(64)
            .max_idle_connections_per_host(16)
            .tls_config(tls)
            .build();
        Ok(Self { direct: ureq::Agent::new_with_config(config.clone()), forward: absolute_form::agent(config) })
    }
}

/// Whether a URL is `http://` to this host, where nobody is in between.
pub(crate) fn is_local_url(url: &str) -> bool {
    url::parse(url).is_ok_and(|target| target.uri.scheme_str() == Some("http") && url::is_loopback(&target.uri))
}

fn redirect_target(from: &Uri, headers: &HeaderMap) -> Result<Target, HttpErrorKind> {
    let location = headers.get("location").and_then(|value| value.to_str().ok());
    let location = location.ok_or(HttpErrorKind::BadRedirect { to: None })?;
    let bad = || HttpErrorKind::BadRedirect {
        to: Some(Url::from(location).to_string().chars().take(200).collect::<String>().into()),
    };
    let to = url::join(from, location).ok_or_else(bad)?;
    if from.scheme_str() == Some("https") && to.uri.scheme_str() != Some("https") {
        return Err(HttpErrorKind::Downgrade { to: to.uri.to_string().into() });
    }
    Ok(to)
}

/// Sleeps for `delay` unless `stop` becomes true; returns whether it slept to the end.
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
