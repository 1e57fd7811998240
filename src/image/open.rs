//! Finds out what a file is, and opens it as a root file system.

use super::initramfs::Initramfs;
use super::{ReadError, Root, fill};
use std::fs::File;
use std::path::Path;

/// First bytes of a zstd frame (RFC 8878).
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// Opens an image, told by its first bytes.
///
/// # Errors
/// [`ReadError`] when it is none that kiln makes.
pub fn open(path: &Path) -> Result<Box<dyn Root>, ReadError> {
    let mut magic = [0; 4];
    let got = fill(&mut File::open(path)?, &mut magic)?;
    match &magic[..got] {
        found if found == ZSTD_MAGIC => Ok(Box::new(Initramfs::new(path))),
        _ => Err(ReadError::Unknown),
    }
}

/// Opens the root file system in the output directory `output`.
///
/// # Errors
/// [`ReadError`] when there is none.
pub fn open_output(output: &Path) -> Result<Box<dyn Root>, ReadError> {
    open(&output.join("pxe/initramfs.cpio.zst"))
}
