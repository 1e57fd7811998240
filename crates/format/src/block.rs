//! A disk's bytes, which can be read at any offset in any order. The disk formats are written from
//! them.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

/// The bytes of a disk or of a file system on it, most of which may be zero.
pub trait BlockSource: Sync {
    /// The size in bytes, a multiple of 512.
    fn size(&self) -> u64;

    /// The byte ranges that may contain anything other than zeros: ascending, disjoint, never
    /// empty.
    fn data(&self) -> &[Range<u64>];

    /// Fills `buffer` with the bytes at `offset`.
    ///
    /// # Errors
    /// Errors of reading; [`io::ErrorKind::UnexpectedEof`] past the end.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;
}

/// The destination of a file system's blocks, which arrive from several threads and in any order.
pub trait BlockSink: Sync {
    /// Writes `blocks` at `offset`, both multiples of 4096 bytes; no block is written twice.
    ///
    /// # Errors
    /// Errors of writing.
    fn write_at(&self, blocks: &[u8], offset: u64) -> io::Result<()>;
}

/// Why a disk cannot be written in another format.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// The disk cannot be read.
    #[error("reading the disk at byte {offset}: {source}")]
    Read {
        /// The byte offset.
        offset: u64,
        /// The cause.
        source: io::Error,
    },
    /// The compressor failed, most likely because memory ran out.
    #[error("compressing: {0}")]
    Compress(io::Error),
    /// The file cannot be written.
    #[error("writing: {0}")]
    Write(#[from] io::Error),
    /// The format's fields are too narrow for the disk.
    #[error("a disk of {size} bytes is too large for {format}, which holds at most {limit} bytes: make it smaller")]
    TooLarge {
        /// The disk's size in bytes.
        size: u64,
        /// The format's name.
        format: &'static str,
        /// Its limit in bytes.
        limit: u64,
    },
}

/// A disk in a file: a raw image.
#[derive(Debug)]
pub struct RawFile {
    file: File,
    size: u64,
    data: Vec<Range<u64>>,
}

impl RawFile {
    /// The image in `file`, which contains zeros outside `data`: see [`BlockSource::data`].
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
