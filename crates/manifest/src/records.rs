//! What rooms that make something say of it in the manifest.

use kiln_tree::Digest;
use serde::{Deserialize, Serialize};

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

/// What one rule removed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pruned {
    /// Entries.
    pub files: u64,
    /// Bytes of regular files.
    pub bytes: u64,
}

/// What is on a disk, for the manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DiskRecord {
    /// GUID of the disk.
    pub uuid: String,
    /// Bytes of the disk.
    pub size: u64,
    /// Kernel command line.
    pub cmdline: String,
    /// In the order they are on the disk.
    pub partitions: Vec<PartitionRecord>,
}

/// One partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PartitionRecord {
    /// Its label.
    pub label: String,
    /// GUID of its type.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its own GUID.
    pub uuid: String,
    /// First byte.
    pub start: u64,
    /// Bytes.
    pub size: u64,
    /// Whether nothing may write it.
    pub read_only: bool,
}
