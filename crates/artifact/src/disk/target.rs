//! The file to which a disk is written at any offset.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;

/// Writes to `file` starting at byte `offset`, independent of other writers.
#[derive(Debug)]
pub struct At<'a> {
    /// The file.
    pub file: &'a File,
    /// The offset of the next byte.
    pub offset: u64,
}

impl Write for At<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write_at(bytes, self.offset)?;
        self.offset += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
