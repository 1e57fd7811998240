//! Names of images: `registry.example.org:5000/team/app:1.2@sha256:…`.

use kiln_tree::Digest;
use serde::{Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// The longest name without tag and digest, as in the distribution project.
const MAX_NAME: usize = 255;
/// The longest tag.
const MAX_TAG: usize = 128;

/// A full reference: the registry is always given.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reference {
    /// `host` or `host:port`.
    pub registry: String,
    /// `team/app`.
    pub repository: String,
    /// The tag, after `:`.
    pub tag: Option<String>,
    /// The digest, after `@`.
    pub digest: Option<Digest>,
}

/// A string that is not a full reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not an image with its registry, such as \"registry.k8s.io/pause:3.10.2\": {why}")]
pub struct ReferenceError {
    /// The string, shortened.
    text: String,
    /// What is wrong with it.
    why: &'static str,
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        parse(text).map_err(|why| ReferenceError { text: text.chars().take(80).collect(), why })
    }
}

fn parse(text: &str) -> Result<Reference, &'static str> {
    let (text, digest) = match text.split_once('@') {
        Some((text, digest)) => {
            let digest = digest.strip_prefix("sha256:").and_then(|digits| digits.parse().ok());
            (text, Some(digest.ok_or("\"@\" must be followed by sha256: and 64 hexadecimal digits")?))
        }
        None => (text, None),
    };
    let (registry, path) = text.split_once('/').ok_or("it does not name a registry")?;
    if !is_registry(registry) {
        return Err("its first part is not a registry's host name");
    }
    let (repository, tag) = match path.rsplit_once(':') {
        Some((repository, tag)) => (repository, Some(tag)),
        None => (path, None),
    };
    if registry.len() + 1 + repository.len() > MAX_NAME || !repository.split('/').all(is_component) {
        return Err("its path may contain only lower-case words and numbers");
    }
    if registry == "docker.io" && !repository.contains('/') {
        return Err("the names of Docker's own images are docker.io/library/NAME");
    }
    if !tag.is_none_or(is_tag) {
        return Err("its tag is malformed");
    }
    Ok(Reference { registry: registry.into(), repository: repository.into(), tag: tag.map(Into::into), digest })
}

/// Distinguishes a registry from a user of Docker Hub by a dot, a port or `localhost`.
fn is_registry(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (text, None),
    };
    let label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    (host == "localhost" || host.contains('.') || port.is_some())
        && host.split('.').all(label)
        && port.is_none_or(|port| port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok())
}

/// `path-component` of the distribution project: words of `[a-z0-9]`, joined by `.`, `_`, `__` or
/// any number of `-`.
fn is_component(text: &str) -> bool {
    let word = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let separators = text.split(|char: char| char.is_ascii_lowercase() || char.is_ascii_digit());
    let separator = |text: &str| matches!(text, "" | "." | "_" | "__") || text.bytes().all(|byte| byte == b'-');
    text.as_bytes().first().is_some_and(word)
        && text.as_bytes().last().is_some_and(word)
        && separators.into_iter().all(separator)
}

fn is_tag(text: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    text.len() <= MAX_TAG
        && text.bytes().next().is_some_and(word)
        && text.bytes().all(|byte| word(byte) || matches!(byte, b'.' | b'-'))
}

impl Reference {
    /// Whether the registry is on this host, where no TLS is needed: containerd's rule.
    pub fn is_local(&self) -> bool {
        let host = self.registry.rsplit_once(':').map_or(self.registry.as_str(), |(host, _)| host);
        host == "localhost" || host.parse().is_ok_and(|address: std::net::Ipv4Addr| address.is_loopback())
    }
}

impl Serialize for Reference {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        match &self.digest {
            Some(digest) => write!(f, "@sha256:{digest}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn references_round_trip_through_parsing() {
        let digest = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
        for (text, registry, repository, tag) in [
            ("registry.k8s.io/pause:3.10.2".to_owned(), "registry.k8s.io", "pause", Some("3.10.2")),
            ("localhost/a".into(), "localhost", "a", None),
            (
                format!("r.example.org:5000/a/b__c/d--e:V_1@sha256:{digest}"),
                "r.example.org:5000",
                "a/b__c/d--e",
                Some("V_1"),
            ),
            (format!("127.0.0.1:5000/a.b@sha256:{digest}"), "127.0.0.1:5000", "a.b", None),
            ("docker.io/library/nginx:1".into(), "docker.io", "library/nginx", Some("1")),
        ] {
            let reference: Reference = text.parse().expect("a reference");
            assert_eq!(reference.registry, registry);
            assert_eq!(reference.repository, repository);
            assert_eq!(reference.tag.as_deref(), tag);
            assert_eq!(reference.to_string(), text);
        }
    }

    #[test]
    fn short_or_malformed_references_are_rejected() {
        for (text, why) in [
            ("nginx", "does not name a registry"),
            ("nginx:1", "does not name a registry"),
            ("library/nginx:1", "not a registry's host"),
            ("docker.io/nginx:1", "docker.io/library/NAME"),
            ("-a.b/c:1", "not a registry's host"),
            ("a.b:99999/c:1", "not a registry's host"),
            ("a.b/C:1", "lower-case"),
            ("a.b/c_:1", "lower-case"),
            ("a.b/c//d:1", "lower-case"),
            ("a.b/../d:1", "lower-case"),
            ("a.b/c:", "tag"),
            ("a.b/c:-1", "tag"),
            ("a.b/c@sha512:00", "sha256:"),
            ("a.b/c@sha256:00", "sha256:"),
        ] {
            let error = text.parse::<Reference>().expect_err(text).to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn registries_on_this_host_are_recognized() {
        for (text, local) in [("localhost:5000/a", true), ("127.1.2.3/a", true), ("localhost.example.org/a", false)] {
            assert_eq!(text.parse::<Reference>().expect("a reference").is_local(), local, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_accepted_string_round_trips(text in "[a-zA-Z0-9.:/@_-]{0,40}|\\PC{0,20}") {
            if let Ok(reference) = text.parse::<Reference>() {
                prop_assert_eq!(reference.to_string().parse(), Ok(reference));
            }
        }
    }
}
