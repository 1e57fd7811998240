//! Bytes at offsets: of a disk, a partition, or an encoded form of either.

use super::ReadError;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

/// Data of known size that can be read at any offset.
pub trait Blocks: Send + Sync + std::fmt::Debug {
    /// The size in bytes.
    fn size(&self) -> u64;

    /// Fills `buffer` with the bytes at `offset`.
    ///
    /// # Errors
    /// Errors of reading; [`io::ErrorKind::UnexpectedEof`] past the end.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;
}

/// The most bytes that [`bytes`] returns: a kernel with its initrd is much smaller.
const MAX_BYTES: u64 = 1 << 30;

/// The `count` bytes at `offset`.
///
/// # Errors
/// Those of [`Blocks::read_at`]; no memory is allocated for a range past the end.
pub fn bytes(blocks: &dyn Blocks, offset: u64, count: u64) -> io::Result<Vec<u8>> {
    if offset.checked_add(count).is_none_or(|end| end > blocks.size()) || count > MAX_BYTES {
        return Err(past_end());
    }
    let mut bytes = vec![0; usize::try_from(count).map_err(|_| past_end())?];
    blocks.read_at(&mut bytes, offset)?;
    Ok(bytes)
}

/// The error for reads past the end.
pub(super) fn past_end() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "it ends before the contents that it describes")
}

/// A raw disk or partition in a file.
#[derive(Debug)]
pub struct Raw {
    file: File,
    size: u64,
}

impl Raw {
    /// Opens the file at `path`.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn open(path: &Path) -> Result<Self, ReadError> {
        let file = kiln_file::open(path)?;
        let size = file.metadata()?.len();
        Ok(Self::new(file, size))
    }

    /// The first `size` bytes of `file`.
    pub(super) fn new(file: File, size: u64) -> Self {
        Self { file, size }
    }
}

impl Blocks for Raw {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_exact_at(buffer, offset)
    }
}

/// A range of a larger whole.
#[derive(Debug, Clone)]
pub struct Part {
    whole: Arc<dyn Blocks>,
    start: u64,
    size: u64,
}

impl Part {
    /// The `size` bytes of `whole` at `start`.
    ///
    /// # Errors
    /// When the range is not within `whole`.
    pub fn new(whole: Arc<dyn Blocks>, start: u64, size: u64) -> Result<Self, ReadError> {
        match start.checked_add(size) {
            Some(end) if end <= whole.size() => Ok(Self { whole, start, size }),
            _ => Err(ReadError::damaged(format!("{size} bytes at {start} are beyond its end"))),
        }
    }
}

impl Blocks for Part {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        match offset.checked_add(buffer.len() as u64) {
            Some(end) if end <= self.size => self.whole.read_at(buffer, self.start + offset),
            _ => Err(past_end()),
        }
    }
}

/// Reads sequentially from the beginning.
#[derive(Debug)]
pub struct Sequential<'a> {
    blocks: &'a dyn Blocks,
    offset: u64,
}

impl<'a> Sequential<'a> {
    /// Starts at the first byte.
    pub fn new(blocks: &'a dyn Blocks) -> Self {
        Self { blocks, offset: 0 }
    }
}

impl Read for Sequential<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.blocks.size().saturating_sub(self.offset);
        let count = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
        self.blocks.read_at(&mut buffer[..count], self.offset)?;
        self.offset += count as u64;
        Ok(count)
    }
}

/// Reads a number in a structure: `None` past its end.
pub(super) fn u16_le(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at.checked_add(2)?)?.try_into().ok()?))
}

pub(super) fn u32_le(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

pub(super) fn u64_le(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at.checked_add(8)?)?.try_into().ok()?))
}

pub(super) fn u32_be(bytes: &[u8], at: usize) -> Option<u32> {
    u32_le(bytes, at).map(u32::swap_bytes)
}

pub(super) fn u64_be(bytes: &[u8], at: usize) -> Option<u64> {
    u64_le(bytes, at).map(u64::swap_bytes)
}
