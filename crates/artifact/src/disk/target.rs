//! The file a disk is written to, at any place.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;

/// Writes to `file` from byte `offset` on, wherever others write.
#[derive(Debug)]
pub struct At<'a> {
    /// The file.
    pub file: &'a File,
    /// Where the next byte goes.
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
