//! A read-only ext4 file system (Linux, Documentation/filesystems/ext4).
//!
//! The file system is written once and never changed: it has no journal, no reserved blocks, no
//! room to grow and no backups of the superblock (a hash tree verifies it, and it is built again
//! rather than repaired). All metadata precedes all contents, and contents follow one another
//! without a gap:
//!
//! ```text
//! superblock │ group descriptors │ bitmaps │ inode tables │ directories, long symlinks, xattrs, extents │ contents │ free
//! ```
//!
//! [`Layout::new`] assigns all blocks from metadata alone. `write` then makes the metadata and
//! copies each content once, from several threads or in order, to locations that are known
//! beforehand. So the bytes do not depend on the order of the threads, and no content is ever held
//! in memory.

mod checksum;
mod directory;
mod extent;
mod geometry;
mod inode;
mod layout;
mod stream;
mod superblock;

mod write;
mod xattr;

pub use layout::Layout;

use super::guid::Guid;

/// Bytes of a block.
pub const BLOCK_SIZE: usize = 4096;

/// [`BLOCK_SIZE`] in the type of file sizes.
const BLOCK: u64 = BLOCK_SIZE as u64;

/// The properties of a file system besides its files.
#[derive(Debug, Clone)]
pub struct Options<'a> {
    /// `s_uuid`, the seed of metadata checksums.
    pub uuid: Guid,
    /// `s_hash_seed`, the seed for hashes of names. A file system without indexed directories has
    /// no such hashes.
    pub hash_seed: Guid,
    /// `s_volume_name`, at most 16 bytes.
    pub label: &'a str,
    /// `s_mkfs_time`, seconds since 1970.
    pub time: u32,
    /// The size in bytes, a multiple of [`BLOCK_SIZE`]; the default is what the content needs.
    pub size: Option<u64>,
}

/// Why files cannot be stored on such a file system.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Ext4Error {
    /// The given size is too small.
    #[error("the root needs {needed} bytes as ext4, but its size is set to {size}; make it larger, or prune files")]
    TooSmall {
        /// The needed bytes.
        needed: u64,
        /// The given bytes.
        size: u64,
    },
    /// Block or inode numbers need more than 32 bits.
    #[error("ext4 without 64-bit block numbers holds at most 16 TiB and 4294967295 files: prune files")]
    TooLarge,
    /// The size is not a whole number of blocks.
    #[error("a file system of {0} bytes is not a whole number of blocks of 4096 bytes")]
    Unaligned(u64),
    /// The label does not fit the superblock.
    #[error("the label {0:?} is longer than the 16 bytes that ext4 holds")]
    Label(String),
    /// Linux does not allow such names.
    #[error(
        "{path}: ext4 cannot hold the name: names have 1 to 255 bytes, contain no slash or NUL, and are not . or .."
    )]
    Name {
        /// The file.
        path: String,
    },
    /// A file is too large for the extents that kiln writes.
    #[error("{path} has {size} bytes; ext4 files can have up to {} bytes", extent::MAX_FILE_SIZE)]
    FileTooLarge {
        /// The file.
        path: String,
        /// Its size.
        size: u64,
    },
    /// The target is longer than Linux accepts, or empty.
    #[error("{path} points to a target of {length} bytes; symbolic links hold 1 to 4095")]
    Target {
        /// The path of the symbolic link.
        path: String,
        /// Bytes of its target.
        length: usize,
    },
    /// Device numbers exceed Linux's 12 and 20 bits.
    #[error(
        "{path} is device {major}:{minor}; Linux supports major numbers up to 4095 and minor numbers up to 1048575"
    )]
    Device {
        /// The device node.
        path: String,
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A file has more names than an inode can have.
    #[error("{path} has {links} hard links; ext4 allows 65000")]
    Links {
        /// One of its names.
        path: String,
        /// Their number.
        links: u32,
    },
    /// ext4 cannot hold an extended attribute.
    #[error("{path}: extended attribute {name}: {why}")]
    Xattr {
        /// The file.
        path: String,
        /// The attribute.
        name: String,
        /// What is wrong with it.
        why: &'static str,
    },
}
