//! Composes formats into things to boot.

pub mod cloud;
pub mod disk;
pub mod initramfs;
pub mod kernel;
pub mod platform;
pub mod pxe;
pub mod root;
pub mod tar;

use crate::tree::Digest;
use serde::{Deserialize, Serialize};
use std::io::{self, ErrorKind};

/// One file of an artifact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OutputFile {
    /// Path below the output directory, `pxe/vmlinuz`.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// SHA-256 of the bytes.
    pub sha256: Digest,
    /// SHA-256 of what is inside before compression, where the file is compressed: compressors change their bytes between
    /// versions, what is inside does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<Digest>,
}

/// What to do about an output that cannot be written, to follow the system's words.
pub(crate) fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
            "; free some space there, or choose another place with --out"
        }
        _ => "; choose another place with --out",
    }
}
