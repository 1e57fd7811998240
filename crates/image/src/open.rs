//! Detects the format of a file and opens it.

use super::blocks::{Blocks, Raw, bytes};
use super::disk::Disk;
use super::ext4::Ext4Root;
use super::initramfs::Initramfs;
use super::qcow2::Qcow2;
use super::tarball::Tarball;
use super::vmdk::Vmdk;
use super::{ImageRoot, ReadError, gce, qcow2, vhd, vmdk};
use std::path::Path;
use std::sync::Arc;

/// The first bytes of a zstd frame (RFC 8878).
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// The offsets of the signatures of a partition table and of an ext4 file system.
const GPT_MARK: (u64, &[u8]) = (512, b"EFI PART");
const EXT4_MARK: (u64, &[u8]) = (1080, b"\x53\xef");

/// Opens the root file system of an image and detects the format by its bytes.
///
/// # Errors
/// [`ReadError`] when kiln does not make this format.
pub fn open(path: &Path) -> Result<Box<dyn ImageRoot>, ReadError> {
    let raw = Raw::open(path)?;
    if starts_with(&raw, 0, &ZSTD_MAGIC) {
        return Ok(if Tarball::is_at(path)? { Box::new(Tarball::new(path)) } else { Box::new(Initramfs::new(path)) });
    }
    if starts_with(&raw, EXT4_MARK.0, EXT4_MARK.1) && !starts_with(&raw, GPT_MARK.0, GPT_MARK.1) {
        return Ok(Box::new(Ext4Root::new(Arc::new(raw))));
    }
    Ok(Box::new(Disk::open(open_disk(path)?)?))
}

/// Opens the disk in a file in any of the disk formats.
///
/// # Errors
/// [`ReadError`] when kiln does not make this format.
pub fn open_disk(path: &Path) -> Result<Arc<dyn Blocks>, ReadError> {
    let raw: Arc<dyn Blocks> = Arc::new(Raw::open(path)?);
    if starts_with(&*raw, 0, &qcow2::MAGIC) {
        return Ok(Arc::new(Qcow2::open(raw)?));
    }
    if starts_with(&*raw, 0, &vmdk::MAGIC) {
        return Ok(Arc::new(Vmdk::open(raw)?));
    }
    if starts_with(&*raw, 0, &gce::MAGIC) {
        return Ok(Arc::new(gce::open(path)?));
    }
    if raw.size() >= vhd::FOOTER && starts_with(&*raw, raw.size() - vhd::FOOTER, vhd::COOKIE) {
        return Ok(Arc::new(vhd::open(raw)?));
    }
    if raw.size() > 0 && [0, raw.size().saturating_sub(1024)].iter().any(|at| starts_with(&*raw, at + 512, GPT_MARK.1))
    {
        return Ok(raw);
    }
    Err(ReadError::Unknown)
}

fn starts_with(blocks: &dyn Blocks, offset: u64, mark: &[u8]) -> bool {
    bytes(blocks, offset, mark.len() as u64).is_ok_and(|found| found == mark)
}
