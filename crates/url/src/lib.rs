//! A URL that never shows the secrets in it: every way to print or serialize one leaves out user
//! name, password, and the values of its query, where signed URLs and tokens have theirs.
//!
//! Everything else of kiln holds URLs as this type, so that an error, a progress line, a plan or a
//! record cannot contain a secret by mistake; only [`Url::expose`] gives the whole text.

use serde::{Serialize, Serializer};
use std::fmt;

/// A URL as it was written, valid or not.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Url(String);

impl Url {
    /// The whole text with its secrets, for requests and for files that must contain it; never for
    /// messages or reports.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The URL of a file below this one: `path` goes before the query, which is kept.
    pub fn under(&self, path: &str) -> Self {
        let end = self.0.find(['?', '#']).unwrap_or(self.0.len());
        let (base, query) = self.0.split_at(end);
        Self(format!("{}/{path}{query}", base.trim_end_matches('/')))
    }

    /// The URL with each `from` replaced.
    pub fn replace(&self, from: &str, to: &str) -> Self {
        Self(self.0.replace(from, to))
    }

    /// The `scheme://host:port` of it.
    pub fn server(&self) -> Option<Self> {
        let (scheme, rest) = self.0.split_once("://")?;
        Some(Self(format!("{scheme}://{}", &rest[..authority_end(rest)])))
    }
}

impl From<&str> for Url {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl From<String> for Url {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (prefix, rest) = harmless(&self.0);
        f.write_str(&prefix)?;
        let (rest, fragment) = split(rest, '#');
        let (path, query) = split(rest, '?');
        f.write_str(path)?;
        if let Some(query) = query {
            for (index, parameter) in query.split('&').enumerate() {
                f.write_str(if index == 0 { "?" } else { "&" })?;
                match parameter.split_once('=') {
                    Some((name, _)) => write!(f, "{name}=***")?,
                    None if parameter.is_empty() => {}
                    None => f.write_str("***")?,
                }
            }
        }
        match fragment {
            Some(_) => f.write_str("#***"),
            None => Ok(()),
        }
    }
}

/// The shown form of scheme, user and password, and the rest after them.
fn harmless(url: &str) -> (String, &str) {
    let Some((scheme, rest)) = url.split_once("://") else {
        // Not a URL; what is before an "@" may still have been meant as a password.
        return match url.rfind('@') {
            Some(at) => ("***@".to_owned(), &url[at + 1..]),
            None => (String::new(), url),
        };
    };
    let authority = &rest[..authority_end(rest)];
    // A "/", "?" or "#" in a password ends the authority too early; what is left of it then has an "@"
    // as well, or a port that is none. So all is hidden that may be a part of the password.
    let has_user = authority.contains('@') || has_bad_port(authority);
    let at = if has_user { rest.rfind('@') } else { None };
    match at {
        Some(at) => (format!("{scheme}://***@"), &rest[at + 1..]),
        None => (format!("{scheme}://"), rest),
    }
}

fn authority_end(rest: &str) -> usize {
    rest.find(['/', '?', '#']).unwrap_or(rest.len())
}

fn has_bad_port(authority: &str) -> bool {
    let after_address = authority.rsplit_once(']').map_or(authority, |(_, rest)| rest);
    // An empty port is valid (RFC 3986, 3.2.3), but nobody writes one.
    after_address
        .split_once(':')
        .is_some_and(|(_, port)| port.is_empty() || !port.bytes().all(|byte| byte.is_ascii_digit()))
}

fn split(text: &str, at: char) -> (&str, Option<&str>) {
    text.split_once(at).map_or((text, None), |(before, after)| (before, Some(after)))
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.to_string(), f)
    }
}

/// Serialized is shown: plans and reports are kept and published.
impl Serialize for Url {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn secrets_are_never_shown() {
        for (url, shown) in [
            ("https://host/a@b", "https://host/a@b"),
            ("https://me:pa@ss@host/ab", "https://***@host/ab"),
            ("https://me:pass@host/a@b", "https://***@b"),
            ("https://me:@secret#@host/a", "https://***@host/a"),
            ("https://token@host", "https://***@host"),
            ("https://host/a?token=secret&sig=se/cret#secret", "https://host/a?token=***&sig=***#***"),
            ("https://host/a?secret", "https://host/a?***"),
            ("https://host/a?", "https://host/a?"),
            ("http://[::1]:80/a@b", "http://[::1]:80/a@b"),
            // A password that is not encoded.
            ("https://me:se/cret@host/a", "https://***@host/a"),
            ("https://me:se#cret@host/a", "https://***@host/a"),
            ("https://me:se?cret@host/a", "https://***@host/a"),
            ("https://me:/secret@host/a", "https://***@host/a"),
            ("https://host:/a", "https://host:/a"),
            // Not a URL.
            ("me:secret@host/a", "***@host/a"),
            ("http:/me:secret@host/a", "***@host/a"),
            ("nonsense", "nonsense"),
        ] {
            let parsed = Url::from(url);
            assert_eq!(parsed.to_string(), shown);
            assert_eq!(format!("{parsed:?}"), format!("{shown:?}"));
            assert_eq!(serde_json::json!(parsed), serde_json::json!(shown));
            assert_eq!(parsed.expose(), url);
        }
    }

    #[test]
    fn paths_go_before_the_query() {
        let below = |url: &str| Url::from(url).under("dists/x").expose().to_owned();
        assert_eq!(below("http://m/debian/"), "http://m/debian/dists/x");
        assert_eq!(below("http://m/debian?token=a"), "http://m/debian/dists/x?token=a");
        let server = |url: &str| Url::from(url).server().map(|server| server.expose().to_owned());
        assert_eq!(server("http://h:8/a/b"), Some("http://h:8".into()));
        assert_eq!(server("h:8/a/b"), None);
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(text in "\\PC{0,60}") {
            let url = Url::from(text);
            let _ = (url.to_string(), url.under("a"), url.server());
        }

        #[test]
        fn a_password_is_never_shown(password in "[A-Z:/?#@]{1,20}SECRET[A-Z:/?#@]{0,20}", path in "[a-z/]{0,10}") {
            let url = Url::from(format!("https://me:{password}@host/{path}"));
            prop_assert!(!url.to_string().contains("SECRET"), "{}", url);
        }
    }
}
