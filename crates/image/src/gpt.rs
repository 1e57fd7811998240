//! GUID Partition Tables (UEFI 2.10, chapter 5) of disks with sectors of 512 bytes.
//!
//! This is our own reader because the crates for it trust sizes in the header: they panic or
//! allocate gigabytes for a damaged header.

use super::ReadError;
use super::blocks::{Blocks, bytes, u32_le, u64_le};
use std::fmt;

const SECTOR: u64 = 512;
const SIGNATURE: &[u8] = b"EFI PART";
/// Accepted sizes of a header in bytes; 92 bytes are defined.
const HEADER_SIZES: std::ops::RangeInclusive<usize> = 92..=512;
/// Accepted sizes of an entry in bytes.
const ENTRY_SIZES: [usize; 3] = [128, 256, 512];
/// The most entries that are read; 128 are usual.
const MAX_ENTRIES: u32 = 1024;

/// A GUID as stored on disk: its first three fields are little-endian.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Guid(pub [u8; 16]);

impl fmt::Display for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let order = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];
        for (number, at) in order.into_iter().enumerate() {
            let dash = if matches!(number, 4 | 6 | 8 | 10) { "-" } else { "" };
            write!(f, "{dash}{:02x}", self.0[at])?;
        }
        Ok(())
    }
}

impl fmt::Debug for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// One partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    /// `PartitionTypeGUID`.
    pub type_guid: Guid,
    /// `UniquePartitionGUID`.
    pub unique_guid: Guid,
    /// The first byte.
    pub start: u64,
    /// The size in bytes.
    pub size: u64,
    /// `Attributes`.
    pub attributes: u64,
    /// `PartitionName`.
    pub name: String,
}

/// One of a disk's two tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// `DiskGUID`.
    pub disk_guid: Guid,
    /// The sector of the backup header: the last of the disk, unless the disk has grown since.
    pub backup: u64,
    /// `FirstUsableLBA` and `LastUsableLBA`.
    pub usable: (u64, u64),
    /// The partitions in the order of their entries.
    pub partitions: Vec<Partition>,
}

impl Table {
    /// Reads the table at the beginning of a disk and verifies its checksums and location.
    ///
    /// # Errors
    /// [`ReadError::Damaged`].
    pub fn primary(disk: &dyn Blocks) -> Result<Self, ReadError> {
        Self::read(disk, 1)
    }

    /// Reads the table at the end of a disk.
    ///
    /// # Errors
    /// [`ReadError::Damaged`].
    pub fn backup(disk: &dyn Blocks) -> Result<Self, ReadError> {
        let last =
            (disk.size() / SECTOR).checked_sub(1).ok_or_else(|| ReadError::damaged("it is shorter than a sector"))?;
        Self::read(disk, last)
    }

    /// Reads the header in sector `my_lba` and the entries that it points to.
    fn read(disk: &dyn Blocks, my_lba: u64) -> Result<Self, ReadError> {
        let short = || ReadError::damaged("a partition table's header is cut off");
        let header = bytes(disk, my_lba.saturating_mul(SECTOR), SECTOR)?;
        let header_size = usize::try_from(u32_le(&header, 12).ok_or_else(short)?).map_err(|_| short())?;
        if !header.starts_with(SIGNATURE) || !HEADER_SIZES.contains(&header_size) {
            return Err(ReadError::damaged(format!("there is no partition table in sector {my_lba}")));
        }
        let mut summed = header[..header_size].to_vec();
        summed[16..20].fill(0);
        if Some(crc32fast::hash(&summed)) != u32_le(&header, 16) {
            return Err(ReadError::damaged(format!(
                "the partition table's header in sector {my_lba} has a wrong checksum"
            )));
        }
        let at = |offset| u64_le(&header, offset).ok_or_else(short);
        let last = (disk.size() / SECTOR).saturating_sub(1);
        let backup = if my_lba == 1 { at(32)? } else { my_lba };
        if at(24)? != my_lba || backup > last || (my_lba != 1 && at(32)? != 1) {
            return Err(ReadError::damaged(format!(
                "the partition table in sector {my_lba} was made for another disk"
            )));
        }
        let usable = (at(40)?, at(48)?);
        let (count, size) = (u32_le(&header, 80).ok_or_else(short)?, u32_le(&header, 84).ok_or_else(short)?);
        let size = usize::try_from(size).map_err(|_| short())?;
        if count > MAX_ENTRIES || !ENTRY_SIZES.contains(&size) {
            return Err(ReadError::damaged(format!("a partition table claims {count} entries of {size} bytes")));
        }
        let entries = bytes(disk, at(72)?.saturating_mul(SECTOR), u64::from(count) * size as u64)?;
        if Some(crc32fast::hash(&entries)) != u32_le(&header, 88) {
            return Err(ReadError::damaged(format!("the partition table of sector {my_lba} has a wrong checksum")));
        }
        let mut partitions = Vec::new();
        for entry in entries.chunks_exact(size).filter(|entry| entry[..16] != [0; 16]) {
            partitions.push(partition(entry, usable)?);
        }
        let disk_guid = guid(&header, 56).ok_or_else(short)?;
        Ok(Self { disk_guid, backup, usable, partitions })
    }
}

fn partition(entry: &[u8], usable: (u64, u64)) -> Result<Partition, ReadError> {
    let short = || ReadError::damaged("a partition's entry is cut off");
    let (first, last) = (u64_le(entry, 32).ok_or_else(short)?, u64_le(entry, 40).ok_or_else(short)?);
    let units: Vec<u16> = entry[56..128].chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
    let end = units.iter().position(|unit| *unit == 0).unwrap_or(units.len());
    let name = String::from_utf16_lossy(&units[..end]);
    if first < usable.0 || last < first || last > usable.1 || usable.1 > u64::MAX / SECTOR - 1 {
        return Err(ReadError::damaged(format!(
            "partition {name:?} extends from sector {first} to {last}, outside the disk"
        )));
    }
    Ok(Partition {
        type_guid: guid(entry, 0).ok_or_else(short)?,
        unique_guid: guid(entry, 16).ok_or_else(short)?,
        start: first * SECTOR,
        size: (last - first + 1) * SECTOR,
        attributes: u64_le(entry, 48).ok_or_else(short)?,
        name,
    })
}

fn guid(bytes: &[u8], at: usize) -> Option<Guid> {
    Some(Guid(bytes.get(at..at + 16)?.try_into().ok()?))
}
