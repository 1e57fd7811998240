//! Contents as they come, made whole blocks of.

use super::BLOCK_SIZE;
use crate::block::BlockSink;
use std::io::{self, Write};

/// Bytes collected before they are written.
const BUFFER: usize = 64 * BLOCK_SIZE;

/// Writes contents one after another, each from a new block on.
pub(super) struct Stream<'a> {
    sink: &'a dyn BlockSink,
    /// Where `buffer` goes.
    offset: u64,
    buffer: Vec<u8>,
    /// What the content still lacks.
    missing: u64,
}

impl<'a> Stream<'a> {
    /// A stream that begins at byte `offset`.
    pub(super) fn new(sink: &'a dyn BlockSink, offset: u64) -> Self {
        Self { sink, offset, buffer: Vec::with_capacity(BUFFER), missing: 0 }
    }

    /// Begins a content of `size` bytes.
    pub(super) fn begin(&mut self, size: u64) {
        self.missing = size;
    }

    /// Ends a content and fills its last block; returns how many bytes did not come.
    pub(super) fn end(&mut self) -> u64 {
        self.buffer.resize(self.buffer.len().next_multiple_of(BLOCK_SIZE), 0);
        self.missing
    }

    /// Writes what is left.
    pub(super) fn finish(mut self) -> io::Result<()> {
        self.flush()
    }
}

impl Write for Stream<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = bytes.len() as u64;
        self.missing = self.missing.checked_sub(length).ok_or_else(|| io::Error::other("the content has grown"))?;
        let mut rest = bytes;
        while !rest.is_empty() {
            if self.buffer.len() == BUFFER {
                self.flush()?;
            }
            let (now, later) = rest.split_at(rest.len().min(BUFFER - self.buffer.len()));
            self.buffer.extend_from_slice(now);
            rest = later;
        }
        Ok(bytes.len())
    }

    /// Writes whole blocks, which is to say between contents or when the buffer is full.
    fn flush(&mut self) -> io::Result<()> {
        let whole = self.buffer.len() / BLOCK_SIZE * BLOCK_SIZE;
        self.sink.write_at(&self.buffer[..whole], self.offset)?;
        self.offset += whole as u64;
        self.buffer.drain(..whole);
        Ok(())
    }
}
