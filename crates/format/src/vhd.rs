//! Fixed VHD, as described in Microsoft's "Virtual Hard Disk Image Format Specification" 1.0 and as
//! Azure accepts it: the disk's bytes and a footer.

use super::block::{BlockSource, EncodeError};
use super::clusters::is_zero;
use std::fs::File;
use std::os::unix::fs::FileExt;

/// Azure accepts only disks of whole mebibytes; a smaller disk is padded with zeros.
pub const ALIGNMENT: u64 = 1 << 20;
/// The size of the footer, which follows the disk.
const FOOTER: usize = 512;
/// Timestamps count seconds since 2000-01-01T00:00:00Z.
const TIMESTAMP_EPOCH: u32 = 946_684_800;
/// The offset of the checksum in the footer.
const CHECKSUM: usize = 64;
/// The bytes copied at a time; zeros in them become holes.
const CHUNK: usize = 64 << 10;

/// The identity of a VHD.
#[derive(Debug, Clone, Copy)]
pub struct Identity {
    /// Its unique id.
    pub uuid: [u8; 16],
    /// The time of creation in seconds since 1970, not before 2000.
    pub epoch: u32,
}

/// The size of the virtual disk in a VHD made from a disk of `size` bytes.
pub fn padded(size: u64) -> u64 {
    size.next_multiple_of(ALIGNMENT)
}

/// Writes `disk` as a fixed VHD to `out`, an empty file, which stays sparse. `made` is called with
/// the number of bytes of each finished part of the disk.
///
/// # Errors
/// [`EncodeError`].
pub fn write(
    disk: &dyn BlockSource,
    identity: Identity,
    out: &File,
    made: &(dyn Fn(u64) + Sync),
) -> Result<(), EncodeError> {
    let size = padded(disk.size());
    out.set_len(size)?;
    let mut buffer = vec![0; CHUNK];
    for range in disk.data() {
        let mut offset = range.start;
        while offset < range.end {
            let len = usize::try_from(range.end - offset).map_or(CHUNK, |left| left.min(CHUNK));
            let chunk = &mut buffer[..len];
            disk.read_at(chunk, offset).map_err(|source| EncodeError::Read { offset, source })?;
            if !is_zero(chunk) {
                out.write_all_at(chunk, offset)?;
            }
            offset += len as u64;
            made(len as u64);
        }
    }
    out.write_all_at(&footer(size, identity), size)?;
    Ok(())
}

/// The hard disk footer of a disk of `size` bytes.
fn footer(size: u64, identity: Identity) -> [u8; FOOTER] {
    let (cylinders, heads, sectors_per_track) = geometry(size);
    let mut bytes = Vec::with_capacity(FOOTER);
    bytes.extend(b"conectix"); // cookie
    bytes.extend(2_u32.to_be_bytes()); // features: the bit that is always set
    bytes.extend(0x0001_0000_u32.to_be_bytes()); // file format version
    bytes.extend(u64::MAX.to_be_bytes()); // data offset: none in a fixed disk
    bytes.extend(identity.epoch.saturating_sub(TIMESTAMP_EPOCH).to_be_bytes());
    // The creator code of Windows: for other creators, readers take the size from the geometry,
    // which is rounded.
    bytes.extend(b"win "); // creator application
    bytes.extend(0x000a_0000_u32.to_be_bytes()); // creator version
    bytes.extend(b"Wi2k"); // creator host OS
    bytes.extend(size.to_be_bytes()); // original size
    bytes.extend(size.to_be_bytes()); // current size
    bytes.extend(cylinders.to_be_bytes());
    bytes.extend([heads, sectors_per_track]);
    bytes.extend(2_u32.to_be_bytes()); // disk type: fixed
    bytes.extend(0_u32.to_be_bytes()); // checksum, below
    bytes.extend(identity.uuid);
    let mut footer = [0; FOOTER];
    footer[..bytes.len()].copy_from_slice(&bytes);
    // The one's complement of the sum of all other bytes.
    let checksum = !footer.iter().map(|byte| u32::from(*byte)).sum::<u32>();
    footer[CHECKSUM..CHECKSUM + 4].copy_from_slice(&checksum.to_be_bytes());
    footer
}

/// Cylinders, heads and sectors per track for a disk of `size` bytes: the specification's appendix
/// "CHS Calculation".
fn geometry(size: u64) -> (u16, u8, u8) {
    let total_sectors = (size / 512).min(65535 * 16 * 255);
    let (sectors_per_track, heads);
    let mut cylinder_times_heads;
    if total_sectors >= 65535 * 16 * 63 {
        (sectors_per_track, heads) = (255, 16);
        cylinder_times_heads = total_sectors / 255;
    } else {
        let (mut tracks_of, mut heads_of) = (17, (total_sectors / 17).div_ceil(1024).max(4));
        cylinder_times_heads = total_sectors / 17;
        if cylinder_times_heads >= heads_of * 1024 || heads_of > 16 {
            (tracks_of, heads_of) = (31, 16);
            cylinder_times_heads = total_sectors / 31;
        }
        if cylinder_times_heads >= heads_of * 1024 {
            (tracks_of, heads_of) = (63, 16);
            cylinder_times_heads = total_sectors / 63;
        }
        (sectors_per_track, heads) = (tracks_of, heads_of);
    }
    let narrow = |number: u64| u8::try_from(number).unwrap_or(u8::MAX);
    let cylinders = u16::try_from(cylinder_times_heads / heads).unwrap_or(u16::MAX);
    (cylinders, narrow(heads), narrow(sectors_per_track))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The values that `qemu-img create -f vpc` writes for these sizes.
    #[test]
    fn geometry_matches_the_specification() {
        let mib = |mib: u64| geometry(mib << 20);
        assert_eq!(mib(1), (30, 4, 17));
        assert_eq!(mib(40), (963, 5, 17));
        assert_eq!(mib(200), (825, 16, 31));
        assert_eq!(mib(2048), (4161, 16, 63));
        assert_eq!(mib(40960), (20560, 16, 255));
        assert_eq!(mib(1 << 22), (65535, 16, 255));
    }

    #[test]
    fn footers_have_the_right_checksum() {
        let footer = footer(1 << 20, Identity { uuid: [0xa5; 16], epoch: TIMESTAMP_EPOCH + 258 });
        assert_eq!(&footer[24..32], b"\0\0\x01\x02win ");
        let sum = |bytes: &[u8]| bytes.iter().map(|byte| u32::from(*byte)).sum::<u32>();
        let checksum = u32::from_be_bytes([footer[64], footer[65], footer[66], footer[67]]);
        assert_eq!(sum(&footer[..64]) + sum(&footer[68..]), !checksum);
    }
}
