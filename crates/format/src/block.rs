//! A disk's bytes, read anywhere and in any order: what the formats of disks are written from.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

/// The bytes of a disk or of a file system on it, most of which may be zero.
pub trait BlockSource: Sync {
    /// Bytes, a multiple of 512.
    fn size(&self) -> u64;

    /// Where anything other than zeros may be, in bytes: ascending, disjoint, never empty.
    fn data(&self) -> &[Range<u64>];

    /// Fills `buffer` with the bytes at `offset`.
    ///
    /// # Errors
    /// Whatever reading fails with; [`io::ErrorKind::UnexpectedEof`] past the end.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;
}

/// Where the blocks of a file system go, from several threads and in any order.
pub trait BlockSink: Sync {
    /// Puts `blocks` at `offset`, both whole blocks of 4096 bytes; no place is written twice.
    ///
    /// # Errors
    /// Whatever writing fails with.
    fn write_at(&self, blocks: &[u8], offset: u64) -> io::Result<()>;
}

/// Why a disk cannot be written in another format.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// The disk cannot be read.
    #[error("reading the disk at byte {offset}: {source}")]
    Read {
        /// Where.
        offset: u64,
        /// Why.
        source: io::Error,
    },
    /// The compressor failed, for want of memory most likely.
    #[error("compressing: {0}")]
    Compress(io::Error),
    /// The file cannot be written.
    #[error("writing: {0}")]
    Write(#[from] io::Error),
    /// The format's fields are too narrow for the disk.
    #[error("a disk of {size} bytes is too large for {format}, which holds {limit} at most: make it smaller")]
    TooLarge {
        /// The disk's size in bytes.
        size: u64,
        /// The format's name.
        format: &'static str,
        /// Its limit in bytes.
        limit: u64,
    },
}

/// A disk in a file, a raw image.
#[derive(Debug)]
pub struct RawFile {
    file: File,
    size: u64,
    data: Vec<Range<u64>>,
}

impl RawFile {
    /// The image in `file`, which holds zeros outside `data`: see [`BlockSource::data`].
    pub fn new(file: File, size: u64, data: Vec<Range<u64>>) -> Self {
        Self { file, size, data }
    }
}

impl BlockSource for RawFile {
    fn size(&self) -> u64 {
        self.size
    }

    fn data(&self) -> &[Range<u64>] {
        &self.data
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_exact_at(buffer, offset)
    }
}
