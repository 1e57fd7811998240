//! URLs of servers: the part of RFC 3986 that `http` and `https` need.

use std::fmt;
use std::net::Ipv6Addr;

/// The scheme of a URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// Plain.
    Http,
    /// Over TLS.
    Https,
}

impl Scheme {
    /// The default port.
    pub fn port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// Why a string is not a URL of a server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not the address of a server: {why}")]
pub struct UrlError {
    text: String,
    why: &'static str,
}

impl UrlError {
    /// Quotes neither a user name, which comes with a password, nor text included by a misplaced
    /// quote.
    fn new(text: &str, why: &'static str) -> Self {
        let first = text.split(|c: char| c.is_control() || c.is_whitespace()).next().unwrap_or_default();
        Self { text: first.rsplit('@').next().unwrap_or_default().into(), why }
    }
}

/// A server and a path on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    /// Plain or over TLS.
    pub scheme: Scheme,
    /// A name or an address; IPv6 addresses without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Path and query, starting with `/`.
    pub path: String,
}

impl Url {
    /// Reads `http://…` and `https://…`.
    ///
    /// # Errors
    /// [`UrlError`], also for user names in the URL, which would be secrets in the wrong place.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        let fail = |why| Err(UrlError::new(text, why));
        if text.contains(|c: char| c.is_control() || c.is_whitespace() || !c.is_ascii()) {
            return fail("blanks, control characters and non-ASCII letters must be escaped");
        }
        let (scheme, rest) = match text.split_once("://") {
            Some(("https", rest)) => (Scheme::Https, rest),
            Some(("http", rest)) => (Scheme::Http, rest),
            _ => return fail("it must begin with https:// or http://"),
        };
        let rest = rest.split('#').next().unwrap_or_default();
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        if authority.contains('@') {
            return fail("it must not contain a user name");
        }
        let (host, port) = match authority.strip_prefix('[') {
            Some(bracketed) => match bracketed.split_once(']') {
                Some((host, port)) if host.parse::<Ipv6Addr>().is_ok() => (host, port),
                _ => return fail("the part in brackets must be an IPv6 address"),
            },
            None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
        };
        let port = match port.strip_prefix(':') {
            None if port.is_empty() => scheme.port(),
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => match digits.parse() {
                Ok(port @ 1..) => port,
                _ => return fail("the port must be 1 to 65535"),
            },
            _ => return fail("an IPv6 address must be in brackets, and a port is a number"),
        };
        if host.is_empty() || (!host.contains(':') && !is_host(host)) {
            return fail("the host must be a DNS name or an IP address");
        }
        let path = if path.starts_with('/') { path.into() } else { format!("/{path}") };
        Ok(Self { scheme, host: host.to_ascii_lowercase(), port, path })
    }

    /// Reads an API server's address as kubeadm accepts it (`HOST:PORT`), or a URL.
    ///
    /// # Errors
    /// [`UrlError`].
    pub fn parse_endpoint(text: &str) -> Result<Self, UrlError> {
        let spelt = if text.contains("://") { text.to_owned() } else { format!("https://{text}") };
        let url = Self::parse(&spelt).map_err(|error| UrlError::new(text, error.why))?;
        match url {
            Self { scheme: Scheme::Http, .. } => Err(UrlError::new(text, "an API server needs https")),
            Self { ref path, .. } if path != "/" => Err(UrlError::new(text, "it must not have a path")),
            url => Ok(url),
        }
    }

    /// The same server with another path.
    #[must_use]
    pub fn at(&self, path: impl Into<String>) -> Self {
        Self { path: path.into(), ..self.clone() }
    }

    /// `HOST:PORT`, IPv6 addresses in brackets.
    pub fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// `https://HOST:PORT`, as in a kubeconfig.
    pub fn server(&self) -> String {
        format!("{}://{}", self.scheme.as_str(), self.authority())
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.server(), self.path)
    }
}

fn is_host(host: &str) -> bool {
    host.len() <= 253 && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn urls() {
        let told = |text: &str| Url::parse(text).map(|url| (url.host.clone(), url.port, url.path.clone()));
        let is = |host: &str, port, path: &str| Ok((host.to_owned(), port, path.to_owned()));
        assert_eq!(told("https://API.example"), is("api.example", 443, "/"));
        assert_eq!(told("http://a:8080/x?y#z"), is("a", 8080, "/x?y"));
        assert_eq!(told("https://[fd00::1]:6443?x"), is("fd00::1", 6443, "/?x"));
        for bad in [
            "",
            "a",
            "ftp://a",
            "https://",
            "https://a:0",
            "https://a:x",
            "https://u@a",
            "https://a b",
            "https://[a]",
            "https://::1",
        ] {
            assert!(Url::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn endpoints() {
        let server = |text: &str| Url::parse_endpoint(text).map(|url| url.server()).map_err(|error| error.to_string());
        assert_eq!(server("10.0.2.2:6443"), Ok("https://10.0.2.2:6443".into()));
        assert_eq!(server("https://api.example"), Ok("https://api.example:443".into()));
        assert_eq!(server("[::1]:6443"), Ok("https://[::1]:6443".into()));
        assert_eq!(
            server("http://a:1"),
            Err("\"http://a:1\" is not the address of a server: an API server needs https".into())
        );
        assert_eq!(server("a:1/b"), Err("\"a:1/b\" is not the address of a server: it must not have a path".into()));
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(text in "\\PC{0,60}", near in "https?://[a-z\\[\\]:/?#@0-9.]{0,30}") {
            let _ = Url::parse(&text);
            if let Ok(url) = Url::parse(&near) {
                prop_assert_eq!(Url::parse(&url.to_string()), Ok(url));
            }
        }
    }
}
