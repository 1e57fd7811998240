//! Fixed VHD (Microsoft's "Virtual Hard Disk Image Format Specification" 1.0): the disk's bytes and
//! a footer.

use super::ReadError;
use super::blocks::{Blocks, Part, bytes, u32_be, u64_be};
use std::sync::Arc;

/// The cookie at the beginning of the footer.
pub const COOKIE: &[u8] = b"conectix";
/// The size of the footer.
pub const FOOTER: u64 = 512;
/// The `Disk Type` of fixed disks.
const FIXED: u32 = 2;

/// Opens the disk in `file`.
///
/// # Errors
/// [`ReadError::Damaged`].
pub fn open(file: Arc<dyn Blocks>) -> Result<Part, ReadError> {
    let size = file.size().checked_sub(FOOTER).ok_or_else(|| ReadError::damaged("it has no VHD footer"))?;
    let footer = bytes(&*file, size, FOOTER)?;
    if !footer.starts_with(COOKIE) || u32_be(&footer, 60) != Some(FIXED) {
        return Err(ReadError::damaged("it has no footer of a fixed VHD"));
    }
    let sum = footer.iter().enumerate().filter(|(at, _)| !(64..68).contains(at)).map(|(_, byte)| u32::from(*byte));
    if u32_be(&footer, 64) != Some(!sum.sum::<u32>()) {
        return Err(ReadError::damaged("its VHD footer has a wrong checksum"));
    }
    match u64_be(&footer, 48) {
        Some(current) if current == size => Part::new(file, 0, size),
        current => Err(ReadError::damaged(format!("its footer says {current:?} bytes, but it has {size}"))),
    }
}
