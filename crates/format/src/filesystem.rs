//! The interface between a root and the file systems that can store it.

use super::block::BlockSink;
use std::io::{self, Write};
use std::ops::Range;

/// Copies the bytes of a content. It is called from several threads, once for each content each
/// time the file system is written.
pub type CopyContent<'a, C, E> = dyn Fn(&C, &mut dyn Write) -> Result<(), E> + Sync + 'a;

/// A file system in which every byte has been assigned, but which is not written yet; `C` is the
/// type of file contents.
pub trait FileSystem<C, E>: Sync {
    /// The size in bytes, a multiple of 4096.
    fn size(&self) -> u64;

    /// The byte ranges that may contain anything other than zeros: ascending, disjoint, whole
    /// blocks, never empty.
    fn data(&self) -> Vec<Range<u64>>;

    /// Writes every block of [`FileSystem::data`] to `sink` exactly once, from rayon's threads and
    /// in any order; `copy` provides the contents.
    ///
    /// # Errors
    /// [`WriteError`].
    fn write(&self, sink: &dyn BlockSink, copy: &CopyContent<'_, C, E>) -> Result<(), WriteError<E>>;

    /// Writes the same blocks in ascending order.
    ///
    /// # Errors
    /// [`WriteError`].
    fn write_in_order(&self, sink: &dyn BlockSink, copy: &CopyContent<'_, C, E>) -> Result<(), WriteError<E>>;
}

/// Why a file system could not be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError<E> {
    /// Copying a content failed.
    #[error("{0}")]
    Copy(E),
    /// A content is shorter than announced.
    #[error("{path} is {missing} bytes shorter than its size says; this is a bug in kiln")]
    Short {
        /// The file.
        path: String,
        /// The number of missing bytes.
        missing: u64,
    },
    /// The destination failed.
    #[error("writing: {0}")]
    Write(#[from] io::Error),
}
