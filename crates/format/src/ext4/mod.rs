//! A read-only ext4 file system (Linux, Documentation/filesystems/ext4).
//!
//! It is written once and never changed: no journal, no reserved blocks, no room to grow, no backups of the superblock (it is proved
//! by a hash tree, and made again rather than repaired). All metadata precedes all contents, and contents follow one another without
//! a gap:
//!
//! ```text
//! superblock │ group descriptors │ bitmaps │ inode tables │ directories, long symlinks, xattrs, extents │ contents │ free
//! ```
//!
//! [`Layout::new`] decides where everything goes from metadata alone. `write` then makes the metadata and copies each
//! content once, from several threads or in order, to places that are known beforehand, so the bytes do not depend on who was
//! first, and no content is ever held in memory.

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

/// [`BLOCK_SIZE`] as files count.
const BLOCK: u64 = BLOCK_SIZE as u64;

/// What a file system is besides its files.
#[derive(Debug, Clone)]
pub struct Options<'a> {
    /// Its UUID, which metadata checksums begin with.
    pub uuid: Guid,
    /// Seed for hashes of names; nothing in a file system without indexed directories has any.
    pub hash_seed: Guid,
    /// Its label, at most 16 bytes.
    pub label: &'a str,
    /// When it was made, seconds since 1970.
    pub time: u32,
    /// Bytes, a multiple of [`BLOCK_SIZE`]; what the content takes when absent.
    pub size: Option<u64>,
}

/// Why files cannot be on such a file system.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Ext4Error {
    /// The given size is not enough.
    #[error("the root takes {needed} bytes as ext4, but is to have {size}; make it larger, or prune files")]
    TooSmall {
        /// Bytes needed.
        needed: u64,
        /// Bytes given.
        size: u64,
    },
    /// Block or inode numbers of 32 bits do not suffice.
    #[error("ext4 without 64-bit block numbers holds 16 TiB and 4294967295 files: prune files")]
    TooLarge,
    /// A size that is not whole blocks.
    #[error("a file system of {0} bytes is not a whole number of blocks of 4096 bytes")]
    Unaligned(u64),
    /// The superblock has no room for the label.
    #[error("the label {0:?} is longer than the 16 bytes ext4 holds")]
    Label(String),
    /// Linux has no such names.
    #[error(
        "{path}: ext4 cannot hold the name: names have 1 to 255 bytes, none of them a slash or NUL, and are not . or .."
    )]
    Name {
        /// The file.
        path: String,
    },
    /// A file too large for the extents that are written.
    #[error("{path} has {size} bytes; files of up to {} bytes can be on ext4", extent::MAX_FILE_SIZE)]
    FileTooLarge {
        /// The file.
        path: String,
        /// Its size.
        size: u64,
    },
    /// The target is longer than Linux accepts, or empty.
    #[error("{path} points to a target of {length} bytes; symbolic links hold 1 to 4095")]
    Target {
        /// The symbolic link.
        path: String,
        /// Bytes of its target.
        length: usize,
    },
    /// Device numbers beyond Linux's 12 and 20 bits.
    #[error("{path} is device {major}:{minor}; Linux has major numbers up to 4095 and minor ones up to 1048575")]
    Device {
        /// The device node.
        path: String,
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// More names than an inode can have.
    #[error("{path} has {links} hard links; ext4 holds 65000")]
    Links {
        /// One of its names.
        path: String,
        /// All of them.
        links: u32,
    },
    /// An extended attribute that ext4 has no place for.
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
