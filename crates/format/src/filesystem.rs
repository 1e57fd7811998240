//! The seam between a root and the file systems it can be on.

use super::block::BlockSink;
use std::io::{self, Write};
use std::ops::Range;

/// Copies the bytes of a content; called from several threads, once for each content and time that the file system is written.
pub type CopyContent<'a, C, E> = dyn Fn(&C, &mut dyn Write) -> Result<(), E> + Sync + 'a;

/// A file system whose every byte has its place, but which is not written yet; `C` stands for the contents of files.
pub trait FileSystem<C, E>: Sync {
    /// Bytes, whole blocks of 4096.
    fn size(&self) -> u64;

    /// Where anything other than zeros may be, in bytes: ascending, disjoint, whole blocks, never empty.
    fn data(&self) -> Vec<Range<u64>>;

    /// Writes every block of [`FileSystem::data`] to `sink`, once, from rayon's threads and in any order; `copy` gives the contents.
    ///
    /// # Errors
    /// [`WriteError`].
    fn write(&self, sink: &dyn BlockSink, copy: &CopyContent<'_, C, E>) -> Result<(), WriteError<E>>;

    /// Writes the same blocks, the first first and the last last.
    ///
    /// # Errors
    /// [`WriteError`].
    fn write_in_order(&self, sink: &dyn BlockSink, copy: &CopyContent<'_, C, E>) -> Result<(), WriteError<E>>;
}

/// Why a file system was not written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError<E> {
    /// A content cannot be copied.
    #[error("{0}")]
    Copy(E),
    /// A content is shorter than was said.
    #[error("{path} has {missing} bytes less than its size says; this is a bug in kiln")]
    Short {
        /// The file.
        path: String,
        /// Bytes that did not come.
        missing: u64,
    },
    /// The destination failed.
    #[error("writing: {0}")]
    Write(#[from] io::Error),
}
