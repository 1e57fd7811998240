//! Errors of a cache directory.

use kiln_tree::Digest;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// Why the cache cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// The directory cannot be created, written or read.
    #[error(
        "opening the cache {}: {source}; make it writable, or set XDG_CACHE_HOME to a directory that is", path.display()
    )]
    Unusable {
        /// The cache directory.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The directory is not a cache of kiln; nothing in it was changed.
    #[error(
        "{} is not a cache of kiln: {why}; name a new or an empty directory with --cache or XDG_CACHE_HOME (a cache that was restored in part needs its CACHEDIR.TAG, too)",
        path.display()
    )]
    Foreign {
        /// The directory.
        path: PathBuf,
        /// How that was recognized.
        why: String,
    },
    /// Other users can change the cache, and with it the images made from it.
    #[error("the cache cannot be trusted: {}: {why}; use a cache of your own, or correct owner and mode (chown, chmod go-w)", path.display())]
    Shared {
        /// The directory or file.
        path: PathBuf,
        /// Who can write it.
        why: String,
    },
    /// An entry is missing from a cache that is read-only.
    #[error("the cache {} is read-only and incomplete; fill it on a host that can write to it, or set XDG_CACHE_HOME", path.display())]
    ReadOnly {
        /// The cache directory.
        path: PathBuf,
    },
    /// The disk is full, or a quota or file size limit is reached.
    #[error("writing {}: {source}; free some space, run `kiln cache trim`, or set XDG_CACHE_HOME to another disk", path.display())]
    Full {
        /// The file being written.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// Another error of the file system.
    #[error("{doing} {}: {source}", path.display())]
    Io {
        /// `reading` or `writing`.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The bytes do not match the expected digest or size; they were not kept.
    #[error("the bytes have sha256 {found} ({found_size} bytes), expected {expected}{}", expected_size.map(|size| format!(" ({size} bytes)")).unwrap_or_default())]
    Mismatch {
        /// The expected digest.
        expected: Digest,
        /// The expected size, if known.
        expected_size: Option<u64>,
        /// The found digest.
        found: Digest,
        /// The found size.
        found_size: u64,
    },
    /// A blob was damaged or replaced after it was stored.
    #[error("{} has the sha256 {found}, which is not its name: it was damaged or replaced", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The digest of its bytes.
        found: Digest,
    },
    /// The cache cannot be trimmed while it is in use.
    #[error("the cache {} is in use by another kiln; try again when that process has exited", path.display())]
    InUse {
        /// The cache directory.
        path: PathBuf,
    },
    /// A kind of derived data whose name cannot be a directory name.
    #[error("{kind:?} cannot name a kind of derived data: use only lower-case letters, digits and `-`")]
    BadKind {
        /// The name.
        kind: String,
    },
}

impl CacheError {
    /// A failure while writing `path`; distinguishes a full disk from other errors.
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
