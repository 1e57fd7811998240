//! Errors about preloaded container images.

use kiln_cache::CacheError;
use kiln_finalize::elf::ElfError;
use kiln_oci::DocumentError;
use kiln_tree::{Digest, ReadError, TreePath};
use std::io;

/// Why a container image cannot be preloaded.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// One of its documents is invalid.
    #[error("images.{name}: {source}")]
    Document {
        /// The image.
        name: String,
        /// What is wrong.
        source: DocumentError,
    },
    /// The archive is not an OCI archive.
    #[error(
        "images.{name}: the archive has no index.json, so it is not an OCI archive{}",
        if *docker { "; \"skopeo copy docker-archive:FILE oci-archive:FILE\" converts the output of \"docker save\"" } else { "" }
    )]
    NoIndex {
        /// The image.
        name: String,
        /// Whether it looks like Docker's own format.
        docker: bool,
    },
    /// The archive has several images, and none has this name.
    #[error("images.{name}: the archive has no image of this name (it has {found}); name one of these")]
    OtherNames {
        /// The image.
        name: String,
        /// The names in the archive.
        found: String,
    },
    /// The archive lacks a blob.
    #[error("images.{name}: the archive lacks the blob sha256:{digest} of {size} bytes; make the archive again")]
    NoBlob {
        /// The image.
        name: String,
        /// The blob.
        digest: Digest,
        /// Its size in bytes, according to the document that refers to it.
        size: u64,
    },
    /// The lock and the manifest disagree.
    #[error("images.{name}: the lock lacks the blob sha256:{digest}; write it again with \"kiln lock\"")]
    NotLocked {
        /// The image.
        name: String,
        /// The blob.
        digest: Digest,
    },
    /// The lock has no input for the image.
    #[error("images.{name}: the lock has no file for it; write it again with \"kiln lock\"")]
    NotFetched {
        /// The image.
        name: String,
    },
    /// The node does not have the program.
    #[error("images.{name}: the node has no /{path}; add the package, component or artifact that brings it")]
    NoProgram {
        /// The image.
        name: String,
        /// The program.
        path: TreePath,
    },
    /// The binary is not a valid ELF file.
    #[error("images.{name}: its binary cannot be run: {source}")]
    NotElf {
        /// The image.
        name: String,
        /// Why.
        source: ElfError,
    },
    /// The binary needs libraries, which the image does not have.
    #[error(
        "images.{name}: its binary is linked dynamically, and an image of one file has no libraries; use a static build"
    )]
    Dynamic {
        /// The image.
        name: String,
    },
    /// The binary is for another architecture.
    #[error("images.{name}: its binary is for another architecture than {wanted}")]
    Machine {
        /// The image.
        name: String,
        /// The architecture of the image.
        wanted: &'static str,
    },
    /// A file is larger than the limit.
    #[error("images.{name}: {what} has {size} bytes, more than the limit of {limit}")]
    TooLarge {
        /// The image.
        name: String,
        /// The file.
        what: &'static str,
        /// Its size in bytes.
        size: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// The layer cannot hold a path.
    #[error("images.{name}: the entrypoint /{path} is too long for a tar archive; give it a shorter one")]
    Entrypoint {
        /// The image.
        name: String,
        /// The path.
        path: TreePath,
    },
    /// A content is missing or damaged.
    #[error("images.{name}: {source}")]
    Read {
        /// The image.
        name: String,
        /// Why.
        source: ReadError,
    },
    /// The cache cannot be written.
    #[error("archiving container images: {0}")]
    Cache(#[from] CacheError),
    /// The new archive cannot be opened.
    #[error("opening the archive of container images: {0}")]
    Open(io::Error),
    /// The archive cannot be placed in the tree.
    #[error("placing the archive of container images: {why}")]
    Place {
        /// Why.
        why: String,
    },
}

impl ImageError {
    /// Returns the image that the error is about, by its name in the profile.
    pub fn image(&self) -> Option<&str> {
        match self {
            Self::Document { name, .. }
            | Self::NoIndex { name, .. }
            | Self::OtherNames { name, .. }
            | Self::NoBlob { name, .. }
            | Self::NotLocked { name, .. }
            | Self::NotFetched { name, .. }
            | Self::NoProgram { name, .. }
            | Self::NotElf { name, .. }
            | Self::Dynamic { name, .. }
            | Self::Machine { name, .. }
            | Self::TooLarge { name, .. }
            | Self::Entrypoint { name, .. }
            | Self::Read { name, .. } => Some(name),
            Self::Cache(_) | Self::Open(_) | Self::Place { .. } => None,
        }
    }
}
