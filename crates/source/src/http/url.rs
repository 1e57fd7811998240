//! URLs: checking, resolving references, and separating user name and password.

use base64::Engine as _;
use std::net::IpAddr;
use ureq::http::Uri;

/// A URL to request, without user name and password, and the `Authorization` of these.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) uri: Uri,
    pub(super) authorization: Option<String>,
}

/// Parses an absolute `http` or `https` URL.
pub(super) fn parse(url: &str) -> Result<Target, String> {
    let uri: Uri = url.parse().map_err(|error| format!("{error}"))?;
    match uri.scheme_str() {
        Some("http" | "https") => {}
        Some(_) => return Err("it is neither http: nor https:".into()),
        None => return Err("it does not start with http:// or https://".into()),
    }
    match uri.host() {
        None | Some("") => return Err("it does not name a host".into()),
        Some(_) => {}
    }
    let Some((user, _)) = uri.authority().and_then(|authority| authority.as_str().rsplit_once('@')) else {
        return Ok(Target { uri, authorization: None });
    };
    let (user, password) = user.split_once(':').unwrap_or((user, ""));
    let authorization = Some(basic(&decoded(user), &decoded(password)));
    let mut parts = uri.clone().into_parts();
    parts.authority = host_and_port(&uri).parse().ok();
    let uri = Uri::from_parts(parts).map_err(|error| format!("{error}"))?;
    Ok(Target { uri, authorization })
}

/// The `Authorization` of a user (RFC 7617).
pub(super) fn basic(user: &[u8], password: &[u8]) -> String {
    format!("Basic {}", base64::prelude::BASE64_STANDARD.encode([user, b":", password].concat()))
}

/// Percent-decodes a part of a URL; what is not an escape stays as it is.
fn decoded(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let escape = after.get(..2).filter(|_| *first == b'%').and_then(|digits| std::str::from_utf8(digits).ok());
        match escape.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    bytes
}

/// Whether both are on the same server, reached in the same way.
pub(super) fn same_server(one: &Uri, other: &Uri) -> bool {
    let server = |uri: &Uri| Some((uri.scheme_str()?.to_owned(), uri.host()?.to_ascii_lowercase(), port(uri)?));
    server(one).is_some() && server(one) == server(other)
}

fn port(uri: &Uri) -> Option<u16> {
    uri.port_u16().or(match uri.scheme_str() {
        Some("https") => Some(443),
        Some("http") => Some(80),
        _ => None,
    })
}

/// Whether it is on this host.
pub(super) fn is_loopback(uri: &Uri) -> bool {
    let host = uri.host().unwrap_or_default();
    host.eq_ignore_ascii_case("localhost") || address(host).is_some_and(|address| address.is_loopback())
}

/// An address, in brackets or not.
pub(super) fn address(text: &str) -> Option<IpAddr> {
    text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text).parse().ok()
}

/// The target of a `Location` header (RFC 3986, 5.2); `None` when it is not an HTTP URL.
pub(super) fn join(base: &Uri, location: &str) -> Option<Target> {
    let reference = location.split('#').next().unwrap_or_default();
    let scheme = base.scheme_str()?;
    let authority = base.authority()?.as_str();
    if has_scheme(reference) {
        return parse(reference).ok();
    }
    if let Some(rest) = reference.strip_prefix("//") {
        return parse(&format!("{scheme}://{rest}")).ok();
    }
    let (path, query) = match reference.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (reference, None),
    };
    let (path, query) = match path {
        "" => (base.path().to_owned(), query.or(base.query())),
        path if path.starts_with('/') => (without_dots(path), query),
        path => {
            let directory = base.path().rsplit_once('/').map_or("", |(directory, _)| directory);
            (without_dots(&format!("{directory}/{path}")), query)
        }
    };
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    parse(&format!("{scheme}://{authority}{path}{query}")).ok()
}

fn has_scheme(reference: &str) -> bool {
    let Some((scheme, _)) = reference.split_once(':') else { return false };
    scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.chars().all(|char| char.is_ascii_alphanumeric() || "+-.".contains(char))
}

/// Resolves `.` and `..` in an absolute path (RFC 3986, 5.2.4).
fn without_dots(path: &str) -> String {
    let mut segments: Vec<&str> = Vec::new();
    let mut rest = path.split('/').skip(1).peekable();
    while let Some(segment) = rest.next() {
        let last = rest.peek().is_none();
        match segment {
            "." | ".." => {
                if segment == ".." {
                    segments.pop();
                }
                if last {
                    segments.push("");
                }
            }
            segment => segments.push(segment),
        }
    }
    format!("/{}", segments.join("/"))
}

/// The `Host` header for a URL: without user name and password.
pub(super) fn host_and_port(uri: &Uri) -> String {
    let host = uri.host().unwrap_or_default();
    match uri.port_u16() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The examples of RFC 3986, 5.4, limited to HTTP.
    #[test]
    fn references_resolve_as_in_rfc_3986() {
        let base = parse("http://a/b/c/d;p?q").expect("a URL").uri;
        for (reference, target) in [
            ("g", "http://a/b/c/g"),
            ("./g", "http://a/b/c/g"),
            ("g/", "http://a/b/c/g/"),
            ("/g", "http://a/g"),
            ("//g", "http://g/"),
            ("?y", "http://a/b/c/d;p?y"),
            ("g?y", "http://a/b/c/g?y"),
            ("#s", "http://a/b/c/d;p?q"),
            ("g#s", "http://a/b/c/g"),
            (";x", "http://a/b/c/;x"),
            ("", "http://a/b/c/d;p?q"),
            (".", "http://a/b/c/"),
            ("./", "http://a/b/c/"),
            ("..", "http://a/b/"),
            ("../g", "http://a/b/g"),
            ("../..", "http://a/"),
            ("../../g", "http://a/g"),
            ("../../../g", "http://a/g"),
            ("/./g", "http://a/g"),
            ("/../g", "http://a/g"),
            ("g.", "http://a/b/c/g."),
            ("..g", "http://a/b/c/..g"),
            ("./g/.", "http://a/b/c/g/"),
            ("g/./h", "http://a/b/c/g/h"),
            ("g/../h", "http://a/b/c/h"),
            ("g?y/../x", "http://a/b/c/g?y/../x"),
            ("https://b:8/x", "https://b:8/x"),
        ] {
            assert_eq!(join(&base, reference).map(|to| to.uri.to_string()).as_deref(), Some(target), "{reference}");
        }
        for bad in ["ftp://a/b", "file:///etc/passwd", "g:h", "http://", "a b", "http:g"] {
            assert!(join(&base, bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn user_and_password_are_separated_from_the_url() {
        for (url, uri, authorization) in [
            ("http://h:81/a", "http://h:81/a", None),
            ("http://me:x@h:81/a?b", "http://h:81/a?b", Some("Basic bWU6eA==")),
            ("https://me:p%40s%zz@h", "https://h/", Some("Basic bWU6cEBzJXp6")),
            ("https://token@[::1]/", "https://[::1]/", Some("Basic dG9rZW46")),
        ] {
            let target = parse(url).expect("a URL");
            assert_eq!((target.uri.to_string().as_str(), target.authorization.as_deref()), (uri, authorization));
        }
    }

    #[test]
    fn servers_differ_by_scheme_host_and_port() {
        let same =
            |one: &str, other: &str| same_server(&parse(one).expect("a URL").uri, &parse(other).expect("a URL").uri);
        assert!(same("https://h/a", "https://me:x@H:443/b"));
        for other in ["http://h/a", "https://h:444/a", "https://g/a", "https://h.g/a"] {
            assert!(!same("https://h/a", other), "{other}");
        }
        for (url, local) in [("http://localhost:1/", true), ("http://127.1.2.3/", true), ("http://[::1]/", true)] {
            assert_eq!(is_loopback(&parse(url).expect("a URL").uri), local, "{url}");
        }
        assert!(!is_loopback(&parse("http://localhost.example/").expect("a URL").uri));
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(text in "\\PC{0,60}", reference in "[a-z:/.?#@%\\PC]{0,40}") {
            let _ = parse(&text);
            let base = parse("https://host/a/b").expect("a URL").uri;
            if let Some(to) = join(&base, &reference) {
                prop_assert!(to.uri.host().is_some());
            }
        }
    }
}
