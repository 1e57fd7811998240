//! Collects contents into whole blocks as they arrive.

use super::BLOCK_SIZE;
use crate::block::BlockSink;
use std::io::{self, Write};

/// The number of bytes collected before they are written.
const BUFFER: usize = 64 * BLOCK_SIZE;

/// Writes contents one after another, each from a new block.
pub(super) struct Stream<'a> {
    sink: &'a dyn BlockSink,
    /// The offset at which `buffer` is written.
    offset: u64,
    buffer: Vec<u8>,
    /// The bytes still missing from the content.
    missing: u64,
}

impl<'a> Stream<'a> {
    /// A stream that begins at byte `offset`.
    pub(super) fn new(sink: &'a dyn BlockSink, offset: u64) -> Self {
        Self { sink, offset, buffer: Vec::with_capacity(BUFFER), missing: 0 }
    }

    /// Starts a content of `size` bytes.
    pub(super) fn begin(&mut self, size: u64) {
        self.missing = size;
    }

    /// Ends a content and pads its last block; returns how many bytes are missing.
    pub(super) fn end(&mut self) -> u64 {
        self.buffer.resize(self.buffer.len().next_multiple_of(BLOCK_SIZE), 0);
        self.missing
    }

    /// Writes what remains.
    pub(super) fn finish(mut self) -> io::Result<()> {
        self.flush()
    }
}

impl Write for Stream<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = bytes.len() as u64;
        self.missing = self
            .missing
            .checked_sub(length)
            .ok_or_else(|| io::Error::other("the content is longer than its size says"))?;
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

    /// Writes whole blocks; called between contents or when the buffer is full.
    fn flush(&mut self) -> io::Result<()> {
        let whole = self.buffer.len() / BLOCK_SIZE * BLOCK_SIZE;
        self.sink.write_at(&self.buffer[..whole], self.offset)?;
        self.offset += whole as u64;
        self.buffer.drain(..whole);
        Ok(())
    }
}
