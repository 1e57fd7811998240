//! Why an image cannot be taken along.

use kiln_cache::CacheError;
use kiln_finalize::elf::ElfError;
use kiln_oci::DocumentError;
use kiln_tree::{Digest, ReadError, TreePath};
use std::io;

/// Why an image cannot be taken along.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// One of its documents is not what it should be.
    #[error("images.{name}: {source}")]
    Document {
        /// The image.
        name: String,
        /// What is wrong.
        source: DocumentError,
    },
    /// The archive is not of this format.
    #[error(
        "images.{name}: the archive has no index.json, so it is no OCI archive{}",
        if *docker { "; \"skopeo copy docker-archive:FILE oci-archive:FILE\" makes one of what \"docker save\" wrote" } else { "" }
    )]
    NoIndex {
        /// The image.
        name: String,
        /// Whether it looks like Docker's own format.
        docker: bool,
    },
    /// The archive has several images and none of this name.
    #[error("images.{name}: the archive has no image of this name (it has {found}); name one of these")]
    OtherNames {
        /// The image.
        name: String,
        /// What it has.
        found: String,
    },
    /// The archive lacks something.
    #[error("images.{name}: the archive lacks the blob sha256:{digest} of {size} bytes; write it anew")]
    NoBlob {
        /// The image.
        name: String,
        /// The blob.
        digest: Digest,
        /// Its size, as what refers to it says.
        size: u64,
    },
    /// The lock and the manifest disagree.
    #[error("images.{name}: the lock lacks the blob sha256:{digest}; write it anew with \"kiln lock\"")]
    NotLocked {
        /// The image.
        name: String,
        /// The blob.
        digest: Digest,
    },
    /// There is no input for it.
    #[error("images.{name}: the lock has no file for it; write it anew with \"kiln lock\"")]
    NotFetched {
        /// The image.
        name: String,
    },
    /// The node has no such program.
    #[error("images.{name}: the node has no /{path}; add the package, component or artifact that brings it")]
    NoProgram {
        /// The image.
        name: String,
        /// The program.
        path: TreePath,
    },
    /// Not a program.
    #[error("images.{name}: its binary cannot be run: {source}")]
    NotElf {
        /// The image.
        name: String,
        /// Why.
        source: ElfError,
    },
    /// It needs what the image does not have.
    #[error(
        "images.{name}: its binary is linked dynamically, and an image of one file has no libraries; take a static build"
    )]
    Dynamic {
        /// The image.
        name: String,
    },
    /// For another machine.
    #[error("images.{name}: its binary is for another architecture than {wanted}")]
    Machine {
        /// The image.
        name: String,
        /// What is built for.
        wanted: &'static str,
    },
    /// More than a program has.
    #[error("images.{name}: {what} has {size} bytes, more than the {limit} that are taken")]
    TooLarge {
        /// The image.
        name: String,
        /// What.
        what: &'static str,
        /// Its size.
        size: u64,
        /// The most.
        limit: u64,
    },
    /// A path that the layer cannot hold.
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
    /// The archive that was made cannot be read again.
    #[error("opening the archive of container images: {0}")]
    Open(io::Error),
    /// Something else is where they belong.
    #[error("placing the archive of container images: {why}")]
    Place {
        /// Why.
        why: String,
    },
}

impl ImageError {
    /// The image that is wrong, by its name in the profile.
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
