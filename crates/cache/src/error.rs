//! What can go wrong with a cache directory.

use kiln_tree::Digest;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// Why the cache could not be used.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// The directory can be neither made, nor written, nor read.
    #[error(
        "opening the cache {}: {source}; make it writable, or set XDG_CACHE_HOME to a directory that is", path.display()
    )]
    Unusable {
        /// The cache directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Something was to be added to a cache that can only be read.
    #[error("the cache {} is read-only and lacks something; fill it where it can be written, or set XDG_CACHE_HOME", path.display())]
    ReadOnly {
        /// The cache directory.
        path: PathBuf,
    },
    /// No space, quota or permitted file size is left.
    #[error("writing {}: {source}; free some space, run `kiln cache trim`, or set XDG_CACHE_HOME to another disk", path.display())]
    Full {
        /// What was being written.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another failure of the file system.
    #[error("{doing} {}: {source}", path.display())]
    Io {
        /// `reading` or `writing`.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Bytes are not those that were asked for; they were not kept.
    #[error("the bytes have sha256 {found} ({found_size} bytes), expected {expected}{}", expected_size.map(|size| format!(" ({size} bytes)")).unwrap_or_default())]
    Mismatch {
        /// Digest asked for.
        expected: Digest,
        /// Size asked for, if known.
        expected_size: Option<u64>,
        /// Digest found.
        found: Digest,
        /// Size found.
        found_size: u64,
    },
    /// The cache was to be trimmed while someone uses it.
    #[error("the cache {} is in use by another kiln; try again when it has ended", path.display())]
    InUse {
        /// The cache directory.
        path: PathBuf,
    },
    /// A kind of derived data whose name cannot be a directory name.
    #[error("{kind:?} cannot name a kind of derived data: lower-case letters, digits and `-` only")]
    BadKind {
        /// The name.
        kind: String,
    },
}

impl CacheError {
    /// A failure while writing `path`; tells a full disk from the rest.
    pub fn writing(path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => Self::Full { path, source },
            _ => Self::Io { doing: "writing", path, source },
        }
    }

    /// A failure while reading `path`.
    pub(crate) fn reading(path: &Path, source: io::Error) -> Self {
        Self::Io { doing: "reading", path: path.to_owned(), source }
    }
}
