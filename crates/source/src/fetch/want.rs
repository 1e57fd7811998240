//! A requested input and its locations.

use crate::http::redacted;
use crate::registry::Part;
use kiln_tree::Digest;
use std::fmt;
use std::path::PathBuf;

/// An input that must be in the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Want {
    /// The name in messages: a package with its version, an artifact.
    pub name: String,
    /// The expected SHA-256.
    pub digest: Digest,
    /// Length in bytes, if known.
    pub size: Option<u64>,
    /// Its locations, tried in order.
    pub from: Vec<Location>,
}

/// A location of bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// An `http://` or `https://` URL.
    Url(String),
    /// A part of an image in a registry.
    Registry(Part),
    /// A file on this host.
    File(PathBuf),
}

impl Location {
    /// The `scheme://host:port` of a URL.
    pub(super) fn server(&self) -> Option<&str> {
        let Self::Url(url) = self else { return None };
        let start = url.find("://")? + 3;
        let end = url[start..].find(['/', '?', '#']).map_or(url.len(), |length| start + length);
        url.get(..end)
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(url) => f.write_str(&redacted(url)),
            Self::Registry(part) => part.fmt(f),
            Self::File(path) => path.display().fmt(f),
        }
    }
}
