//! A requested input and its locations.

use crate::registry::Part;
use kiln_tree::Digest;
use kiln_url::Url;
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
    Url(Url),
    /// A file of a Debian mirror, for which apt's passwords and proxies are used, too.
    Mirror(Url),
    /// A part of an image in a registry.
    Registry(Part),
    /// A file on this host.
    File(PathBuf),
}

impl Location {
    /// The `scheme://host:port` of a URL.
    pub(super) fn server(&self) -> Option<Url> {
        match self {
            Self::Url(url) | Self::Mirror(url) => url.server(),
            Self::Registry(_) | Self::File(_) => None,
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(url) | Self::Mirror(url) => url.fmt(f),
            Self::Registry(part) => part.fmt(f),
            Self::File(path) => path.display().fmt(f),
        }
    }
}
