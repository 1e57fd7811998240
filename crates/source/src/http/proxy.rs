//! Chooses the proxy of a request from environment variables, as curl does, or else from apt's
//! settings.

use super::Purpose;
use super::error::HttpErrorKind;
use super::url;
use std::collections::BTreeMap;
use std::net::IpAddr;
use ureq::http::Uri;

/// Proxies by scheme, and the hosts that need no proxy.
#[derive(Debug, Clone, Default)]
pub struct ProxyConfig {
    http: Setting,
    https: Setting,
    no_proxy: Vec<NoProxy>,
    apt: AptProxies,
}

/// What the environment says about the requests of a scheme.
#[derive(Debug, Clone, Default)]
enum Setting {
    /// Nothing.
    #[default]
    Unset,
    /// That they need no proxy: the variable is empty.
    Direct,
    Server(ProxyServer),
}

/// apt's proxies for Debian's mirrors: `Acquire::http::Proxy`, `Acquire::https::Proxy`, and those
/// of single hosts below these (apt.conf(5), apt-transport-http(1)).
#[derive(Debug, Clone, Default)]
pub struct AptProxies {
    /// By host (empty: all others) and whether it is for https; `None` is `DIRECT`.
    servers: BTreeMap<(String, bool), Option<ProxyServer>>,
}

impl AptProxies {
    /// Adds a setting; without a `host`, for all hosts that have none of their own.
    ///
    /// # Errors
    /// The defect of `value`, which may contain a password and is not shown.
    pub fn add(&mut self, is_https: bool, host: &str, value: &str) -> Result<(), String> {
        let server = match value {
            "DIRECT" => None,
            value => Some(ProxyServer::parse(value)?),
        };
        self.servers.insert((host.to_ascii_lowercase(), is_https), server);
        Ok(())
    }

    /// As apt's method `http`: hosts come before defaults, and what is set for http is also for
    /// https unless that has a setting.
    fn server_for(&self, uri: &Uri) -> Option<&ProxyServer> {
        let host = uri.host()?.to_ascii_lowercase();
        let schemes = if uri.scheme_str() == Some("https") { [true, false].as_slice() } else { &[false] };
        let mut keys =
            [host, String::new()].into_iter().flat_map(|host| schemes.iter().map(move |https| (host.clone(), *https)));
        keys.find_map(|key| self.servers.get(&key))?.as_ref()
    }
}

/// A variable does not contain a proxy.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("the environment variable {variable} does not name a proxy ({why}); write it as http://host:port or unset it")]
pub struct ProxyError {
    /// Name of the variable.
    pub variable: String,
    /// The defect of its value (which may contain a password and is not shown).
    pub why: String,
}

impl ProxyConfig {
    /// Reads the proxy variables of an environment.
    ///
    /// As in curl, the variables are `http_proxy` (only in lower case, because a CGI server sets
    /// `HTTP_PROXY` from a request's `Proxy:` header), `https_proxy`, `all_proxy` and `no_proxy`;
    /// for the latter three, lower case takes precedence over upper case. An empty value means no
    /// proxy. `no_proxy` is separated by commas (curl of Debian 12 accepted blanks, curl of Debian 13
    /// and Go do not). Unlike in curl, it may contain IPv6 addresses in brackets and `/0` networks.
    ///
    /// # Errors
    /// [`ProxyError`] when a relevant variable does not contain an `http://` or `https://` proxy.
    pub fn from_vars<K, V>(vars: impl IntoIterator<Item = (K, V)>) -> Result<Self, ProxyError>
    where
        K: AsRef<str>,
        V: AsRef<str>,
    {
        const NAMES: [&str; 7] =
            ["http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY"];
        let mut values: [Option<String>; 7] = Default::default();
        for (name, value) in vars {
            if let Some(index) = NAMES.iter().position(|known| *known == name.as_ref()) {
                values[index] = Some(value.as_ref().to_owned());
            }
        }
        let server = |candidates: &[usize]| -> Result<Setting, ProxyError> {
            let set = candidates.iter().find_map(|index| values[*index].as_deref().map(|value| (NAMES[*index], value)));
            match set {
                None => Ok(Setting::Unset),
                Some((_, "")) => Ok(Setting::Direct),
                Some((name, value)) => ProxyServer::parse(value)
                    .map(Setting::Server)
                    .map_err(|why| ProxyError { variable: name.to_owned(), why }),
            }
        };
        let no_proxy = values[5].as_deref().or(values[6].as_deref()).unwrap_or_default();
        Ok(Self {
            http: server(&[0, 3, 4])?,
            https: server(&[1, 2, 3, 4])?,
            no_proxy: no_proxy.split(',').filter_map(|entry| NoProxy::parse(entry.trim())).collect(),
            apt: AptProxies::default(),
        })
    }

    /// Adds apt's proxies, for requests to mirrors about which the environment says nothing.
    #[must_use]
    pub fn with_apts(mut self, apt: AptProxies) -> Self {
        self.apt = apt;
        self
    }

    /// The `host:port` of the proxy for `url`; `None` if the request is direct or `url` is not a
    /// URL.
    pub fn proxy_for(&self, url: &str, purpose: Purpose) -> Option<String> {
        self.server_for(&url.parse().ok()?, purpose).map(ProxyServer::address)
    }

    /// The proxy for `uri`.
    pub(super) fn server_for(&self, uri: &Uri, purpose: Purpose) -> Option<&ProxyServer> {
        let host = uri.host()?;
        if self.no_proxy.iter().any(|rule| rule.matches(host)) {
            return None;
        }
        // A registry on this host needs no TLS only because nobody is in between.
        if purpose == Purpose::Registry && url::is_loopback(uri) {
            return None;
        }
        match if uri.scheme_str() == Some("https") { &self.https } else { &self.http } {
            Setting::Server(server) => Some(server),
            // apt's proxy is elsewhere, or is itself on this host.
            Setting::Unset if purpose == Purpose::Mirror && !url::is_loopback(uri) => self.apt.server_for(uri),
            Setting::Unset | Setting::Direct => None,
        }
    }
}

/// One proxy.
#[derive(Clone)]
pub struct ProxyServer {
    proxy: ureq::Proxy,
}

impl ProxyServer {
    fn parse(value: &str) -> Result<Self, String> {
        let lower = value.trim().to_ascii_lowercase();
        if let Some((scheme, _)) = lower.split_once("://")
            && !matches!(scheme, "http" | "https")
        {
            return Err(format!("{scheme} proxies are not supported"));
        }
        let proxy = ureq::Proxy::new(value.trim()).map_err(|_| "it is not a URL".to_owned())?;
        if proxy.host().is_empty() {
            return Err("it does not name a host".into());
        }
        Ok(Self { proxy })
    }

    /// The proxy for requests through a tunnel.
    pub(super) fn tunnel(&self) -> ureq::Proxy {
        self.proxy.clone()
    }

    /// The URI to which a request for `target` is sent for forwarding: the proxy's authority and
    /// the target's path.
    pub(super) fn forward_uri(&self, target: &Uri) -> Result<Uri, HttpErrorKind> {
        let path = target.path_and_query().map_or("/", |path| path.as_str());
        let scheme = self.proxy.uri().scheme_str().unwrap_or("http");
        Uri::builder()
            .scheme(scheme)
            .authority(self.address())
            .path_and_query(path)
            .build()
            .map_err(|error| HttpErrorKind::BadUrl { why: error.to_string() })
    }

    /// The `Proxy-Authorization` header, if the proxy's URL contains a user name.
    pub(super) fn authorization(&self) -> Option<String> {
        let user = self.proxy.username()?;
        let password = self.proxy.password().unwrap_or_default();
        Some(url::basic(user.as_bytes(), password.as_bytes()))
    }

    /// `host:port`, for requests and messages.
    pub(super) fn address(&self) -> String {
        format!("{}:{}", self.proxy.host(), self.proxy.port())
    }
}

impl std::fmt::Debug for ProxyServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("ProxyServer").field(&self.address()).finish()
    }
}

/// One entry of `no_proxy`.
#[derive(Debug, Clone, PartialEq, Eq)]
enum NoProxy {
    All,
    /// The domain and all below it, lower case, without leading or trailing dots.
    Domain(String),
    /// Addresses with the same first bits.
    Network(IpAddr, u8),
}

impl NoProxy {
    fn parse(entry: &str) -> Option<Self> {
        let entry = entry.trim();
        if entry == "*" {
            return Some(Self::All);
        }
        let (address, bits) = match entry.split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse().ok()?)),
            None => (entry, None),
        };
        if let Some(address) = url::address(address) {
            return Some(Self::Network(address, bits.unwrap_or(u8::MAX)));
        }
        let domain = entry.trim_matches('.').to_ascii_lowercase();
        (!domain.is_empty() && bits.is_none()).then_some(Self::Domain(domain))
    }

    fn matches(&self, host: &str) -> bool {
        match self {
            Self::All => true,
            Self::Domain(domain) => {
                let host = host.trim_end_matches('.').to_ascii_lowercase();
                host.strip_suffix(domain.as_str()).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
            }
            Self::Network(network, bits) => url::address(host).is_some_and(|host| same_network(*network, host, *bits)),
        }
    }
}

fn same_network(network: IpAddr, host: IpAddr, bits: u8) -> bool {
    let (differing, width) = match (network, host) {
        (IpAddr::V4(a), IpAddr::V4(b)) => (u128::from(u32::from(a) ^ u32::from(b)), 32),
        (IpAddr::V6(a), IpAddr::V6(b)) => (u128::from(a) ^ u128::from(b), 128),
        _ => return false,
    };
    let host_bits = width - u32::from(bits).min(width);
    differing.checked_shr(host_bits).unwrap_or(0) == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn via(vars: &[(&str, &str)], url: &str) -> Option<String> {
        let config = ProxyConfig::from_vars(vars.iter().copied()).expect("valid variables");
        config.proxy_for(url, Purpose::Artifact)
    }

    #[test]
    fn variables_have_the_same_meaning_as_in_curl() {
        let proxy = |port: u16| Some(format!("p:{port}"));
        assert_eq!(via(&[("http_proxy", "http://p:1")], "http://h/"), proxy(1));
        assert_eq!(via(&[("http_proxy", "p:1")], "http://h/"), proxy(1), "http:// is the default");
        assert_eq!(via(&[("HTTP_PROXY", "http://p:1")], "http://h/"), None, "a CGI server sets it from a request");
        assert_eq!(via(&[("http_proxy", "http://p:1")], "https://h/"), None);
        assert_eq!(via(&[("HTTPS_PROXY", "http://p:2")], "https://h/"), proxy(2));
        assert_eq!(via(&[("HTTPS_PROXY", "http://p:2"), ("https_proxy", "http://p:3")], "https://h/"), proxy(3));
        assert_eq!(via(&[("HTTPS_PROXY", "http://p:2"), ("https_proxy", "")], "https://h/"), None);
        assert_eq!(via(&[("ALL_PROXY", "http://p:4")], "http://h/"), proxy(4));
        assert_eq!(via(&[("ALL_PROXY", "http://p:4"), ("https_proxy", "http://p:5")], "https://h/"), proxy(5));
        assert_eq!(via(&[("http_proxy", "http://p")], "http://h/"), proxy(80));
    }

    #[test]
    fn no_proxy_matches_hosts_domains_and_networks() {
        let direct = |no_proxy: &str, host: &str| {
            let vars = [("http_proxy", "http://p:1"), ("no_proxy", no_proxy)];
            via(&vars, &format!("http://{host}/")).is_none()
        };
        assert!(direct("*", "h"));
        assert!(direct("a, h", "h") && !direct("a h", "h") && direct("H", "h") && direct("h", "H."));
        assert!(direct("example.com", "example.com") && direct("example.com", "www.example.com"));
        assert!(direct(".example.com", "example.com") && direct(".example.com", "a.b.example.com"));
        assert!(!direct("example.com", "notexample.com") && !direct("www.example.com", "example.com"));
        assert!(direct("192.0.2.1", "192.0.2.1") && !direct("192.0.2.1", "192.0.2.10"));
        assert!(direct("192.0.2.0/24", "192.0.2.9:8080") && !direct("192.0.2.0/24", "192.0.3.9"));
        assert!(direct("0.0.0.0/0", "192.0.2.9") && !direct("192.0.2.0/x", "192.0.2.9"));
        assert!(direct("2001:db8::/32", "[2001:db8::5]") && direct("[::1]", "[::1]") && !direct("::/0", "192.0.2.9"));
        assert!(!direct("", "h") && !direct(",,", "h") && !direct("*.h", "h"));
        let upper = [("http_proxy", "http://p:1"), ("NO_PROXY", "h")];
        assert_eq!(via(&upper, "http://h/"), None);
    }

    #[test]
    fn apts_proxies_are_for_mirrors_that_the_environment_does_not_decide() {
        let mut apt = AptProxies::default();
        for (is_https, host, value) in [
            (false, "", "http://me:secret@apt:1"),
            (true, "tls.example", "http://tls:2/"),
            (false, "Direct.example", "DIRECT"),
        ] {
            apt.add(is_https, host, value).expect("a proxy");
        }
        let error = apt.add(false, "", "socks5h://me:secret@p").expect_err("unsupported");
        assert!(error.contains("socks5h") && !error.contains("secret"), "{error}");
        assert!(!format!("{apt:?}").contains("secret"), "{apt:?}");
        let via = |vars: &[(&str, &str)], url: &str, purpose| {
            let config = ProxyConfig::from_vars(vars.iter().copied()).expect("valid variables").with_apts(apt.clone());
            config.proxy_for(url, purpose)
        };
        let proxy = |address: &str| Some(address.to_owned());
        assert_eq!(via(&[], "http://m/", Purpose::Mirror), proxy("apt:1"));
        assert_eq!(via(&[], "https://m/", Purpose::Mirror), proxy("apt:1"), "http's is the default of https");
        assert_eq!(via(&[], "https://tls.example/", Purpose::Mirror), proxy("tls:2"));
        assert_eq!(via(&[], "http://tls.example/", Purpose::Mirror), proxy("apt:1"));
        assert_eq!(via(&[], "http://direct.example/", Purpose::Mirror), None);
        assert_eq!(via(&[], "http://127.0.0.1/", Purpose::Mirror), None);
        for purpose in [Purpose::Artifact, Purpose::Registry] {
            assert_eq!(via(&[], "http://m/", purpose), None);
        }
        assert_eq!(via(&[("http_proxy", "http://env:3")], "http://m/", Purpose::Mirror), proxy("env:3"));
        assert_eq!(via(&[("http_proxy", "")], "http://m/", Purpose::Mirror), None);
        assert_eq!(via(&[("https_proxy", "http://env:3")], "http://m/", Purpose::Mirror), proxy("apt:1"));
        assert_eq!(via(&[("no_proxy", "m")], "http://m/", Purpose::Mirror), None);
    }

    #[test]
    fn registries_on_this_host_are_reached_directly() {
        let config = ProxyConfig::from_vars([("all_proxy", "http://p:1")]).expect("valid");
        let via =
            |url: &str, purpose| config.server_for(&url.parse().expect("a URL"), purpose).map(ProxyServer::address);
        for url in ["http://localhost:5000/", "http://127.0.0.1:5000/"] {
            assert_eq!(via(url, Purpose::Registry), None, "{url}");
            assert!(via(url, Purpose::Artifact).is_some(), "{url}");
        }
        assert!(via("https://registry.example/", Purpose::Registry).is_some());
    }

    #[test]
    fn a_bad_variable_is_named_without_its_value() {
        let error = ProxyConfig::from_vars([("https_proxy", "socks5://me:secret@p")]).expect_err("unsupported");
        assert_eq!(error.variable, "https_proxy");
        let text = error.to_string();
        assert!(text.contains("socks5 proxies are not supported") && !text.contains("secret"), "{text}");
        assert!(ProxyConfig::from_vars([("http_proxy", "http://")]).is_err());
        assert!(ProxyConfig::from_vars([("http_proxy", "a b")]).is_err());
    }

    #[test]
    fn credentials_are_decoded_and_not_printed() {
        let config = ProxyConfig::from_vars([("http_proxy", "http://me:p%40ss@p:1")]).expect("valid");
        let Setting::Server(server) = &config.http else { panic!("not set: {config:?}") };
        assert_eq!(server.authorization().as_deref(), Some("Basic bWU6cEBzcw=="));
        assert!(!format!("{config:?}").contains("ss@"), "{config:?}");
        let uri = server.forward_uri(&"http://h/a?b".parse().expect("a URL")).expect("a URL");
        assert_eq!(uri.to_string(), "http://p:1/a?b");
    }

    proptest! {
        #[test]
        fn arbitrary_values_never_panic(proxy in "\\PC{0,40}", rules in "[0-9a-f.:/*, \\PC]{0,40}", host in "[a-z0-9.]{1,20}") {
            let vars = [("all_proxy", proxy.as_str()), ("no_proxy", rules.as_str())];
            if let (Ok(config), Ok(uri)) = (ProxyConfig::from_vars(vars), format!("http://{host}/").parse()) {
                let _ = config.server_for(&uri, Purpose::Artifact);
            }
        }
    }
}
