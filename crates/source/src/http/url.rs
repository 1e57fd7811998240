//! URLs: checking, resolving references, and printing without secrets.

use ureq::http::Uri;

/// Parses an absolute `http` or `https` URL.
pub(super) fn parse(url: &str) -> Result<Uri, String> {
    let uri: Uri = url.parse().map_err(|error| format!("{error}"))?;
    match uri.scheme_str() {
        Some("http" | "https") => {}
        Some(scheme) => return Err(format!("{scheme}: is not http: or https:")),
        None => return Err("it does not start with http:// or https://".into()),
    }
    match uri.host() {
        None | Some("") => Err("it does not name a host".into()),
        Some(_) => Ok(uri),
    }
}

/// The target of a `Location` header (RFC 3986, 5.2); `None` when it is not an HTTP URL.
pub(super) fn join(base: &Uri, location: &str) -> Option<Uri> {
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

/// A printable form of a URL: user name and password are replaced with `***`.
pub fn redacted(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    match rest[..end].rfind('@') {
        Some(at) => format!("{scheme}://***{}", &rest[at..]),
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The examples of RFC 3986, 5.4, limited to HTTP.
    #[test]
    fn references_resolve_as_in_rfc_3986() {
        let base = parse("http://a/b/c/d;p?q").expect("a URL");
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
            assert_eq!(join(&base, reference).map(|uri| uri.to_string()).as_deref(), Some(target), "{reference}");
        }
        for bad in ["ftp://a/b", "file:///etc/passwd", "g:h", "http://", "a b", "http:g"] {
            assert_eq!(join(&base, bad), None, "{bad}");
        }
    }

    #[test]
    fn secrets_are_not_printed() {
        assert_eq!(redacted("https://me:pa@ss@host/a@b"), "https://***@host/a@b");
        assert_eq!(redacted("https://host/a@b"), "https://host/a@b");
        assert_eq!(host_and_port(&parse("http://me:x@host:81/a").expect("a URL")), "host:81");
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(text in "\\PC{0,60}", reference in "[a-z:/.?#@%\\PC]{0,40}") {
            let _ = redacted(&text);
            let _ = parse(&text);
            let base = parse("https://host/a/b").expect("a URL");
            if let Some(uri) = join(&base, &reference) {
                prop_assert!(uri.host().is_some());
            }
        }
    }
}
