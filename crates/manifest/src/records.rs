//! Records in the manifest that other rooms write about what they make.

use kiln_tree::Digest;
use serde::{Deserialize, Serialize};

/// One output file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OutputFile {
    /// Its path below the output directory, such as `pxe/vmlinuz`.
    pub path: String,
    /// The size in bytes.
    pub size: u64,
    /// SHA-256 of the bytes.
    pub sha256: Digest,
    /// The SHA-256 of the contents before compression, if the file is compressed: versions of
    /// compressors change the file's bytes but not its contents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<Digest>,
}

/// What one prune rule removed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pruned {
    /// The number of entries.
    pub files: u64,
    /// The bytes of regular files.
    pub bytes: u64,
}

/// The layout of a disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DiskRecord {
    /// GUID of the disk.
    pub uuid: String,
    /// The size of the disk in bytes.
    pub size: u64,
    /// Kernel command line.
    pub cmdline: String,
    /// The partitions in the order of the disk.
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
    /// Its unique GUID.
    pub uuid: String,
    /// The first byte.
    pub start: u64,
    /// The size in bytes.
    pub size: u64,
    /// Whether it is read-only.
    pub read_only: bool,
}
