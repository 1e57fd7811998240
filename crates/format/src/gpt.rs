//! GUID Partition Table (UEFI 2.10, chapter 5), for disks with sectors of 512 bytes.
//!
//! The caller provides every GUID; nothing is random. Partitions start and end at multiples of
//! [`ALIGNMENT`].

use super::guid::Guid;
use std::collections::BTreeSet;

/// The size of a logical block in bytes.
pub const SECTOR: u64 = 512;
/// Partitions start and end at multiples of this many bytes, whatever the medium's block size is.
pub const ALIGNMENT: u64 = 1 << 20;
/// Bytes reserved for the table at the end of the disk.
pub const BACKUP_SIZE: u64 = SECTOR + ENTRIES_SIZE;

const ENTRY_COUNT: u32 = 128;
const ENTRY_SIZE: u32 = 128;
const ENTRIES_SIZE: u64 = ENTRY_COUNT as u64 * ENTRY_SIZE as u64;
const HEADER_SIZE: u32 = 92;
const NAME_UNITS: usize = 36;

/// The partition must not be written.
pub const ATTRIBUTE_READ_ONLY: u64 = 1 << 60;
/// The partition is not mounted automatically by its type.
pub const ATTRIBUTE_NO_AUTO: u64 = 1 << 63;

/// One partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    /// `PartitionTypeGUID`, which names its contents.
    pub type_guid: Guid,
    /// `UniquePartitionGUID`, which is unique among all partitions.
    pub unique_guid: Guid,
    /// The first byte, a multiple of [`ALIGNMENT`].
    pub start: u64,
    /// The size in bytes, a multiple of [`ALIGNMENT`].
    pub size: u64,
    /// [`ATTRIBUTE_READ_ONLY`] and others.
    pub attributes: u64,
    /// `PartitionName`, at most 36 UTF-16 units.
    pub name: String,
}

/// A disk's partition table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// `DiskGUID`.
    pub disk_guid: Guid,
    /// The size of the disk in bytes, a multiple of [`SECTOR`].
    pub size: u64,
    /// The partitions in the order of the disk.
    pub partitions: Vec<Partition>,
}

/// Why a table cannot be written.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum GptError {
    /// The partitions do not fit the disk.
    #[error(
        "partition {name:?} ends at byte {end}, the disk of {size} bytes has room until {limit}; make the disk larger or its partitions smaller"
    )]
    BeyondEnd {
        /// The partition.
        name: String,
        /// Its end.
        end: u64,
        /// The disk's size.
        size: u64,
        /// The beginning of the backup table.
        limit: u64,
    },
    /// Two partitions share bytes, or are not in order.
    #[error("partition {name:?} begins at byte {start}, before the end of what precedes it ({end})")]
    Overlap {
        /// The later one.
        name: String,
        /// Its beginning.
        start: u64,
        /// The end of the one before it.
        end: u64,
    },
    /// A partition is not aligned.
    #[error("partition {name:?} of {size} bytes at byte {start} is not aligned to {ALIGNMENT}")]
    Misaligned {
        /// The partition.
        name: String,
        /// Its beginning.
        start: u64,
        /// Its size.
        size: u64,
    },
    /// Two partitions, or one and the disk, have the same GUID.
    #[error("the GUID {guid} is used twice, the second time for partition {name:?}")]
    DuplicateGuid {
        /// The GUID.
        guid: Guid,
        /// The later partition's name.
        name: String,
    },
    /// Two partitions have the same label, so `/dev/disk/by-partlabel` would be ambiguous.
    #[error("two partitions are labelled {0:?}; labels other than \"_empty\" must differ")]
    DuplicateName(String),
    /// A label is too long.
    #[error("the partition label {0:?} is longer than {NAME_UNITS} UTF-16 units; give the image a shorter version")]
    LongName(String),
    /// There are more partitions than entries.
    #[error("{0} partitions are more than the {ENTRY_COUNT} that a table holds")]
    TooMany(usize),
}

/// The label of a partition that is reserved for a later version (sysupdate.d(5)); the only label
/// that may occur twice.
pub const EMPTY: &str = "_empty";

/// The bytes of a table before and after the partitions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bytes {
    /// From the first byte: protective MBR, header, entries.
    pub primary: Vec<u8>,
    /// Up to the last byte: entries and backup header, [`BACKUP_SIZE`] bytes.
    pub backup: Vec<u8>,
}

impl Table {
    /// The table's bytes.
    ///
    /// # Errors
    /// [`GptError`].
    pub fn to_bytes(&self) -> Result<Bytes, GptError> {
        self.check()?;
        let mut entries = Vec::new();
        for partition in &self.partitions {
            partition.write(&mut entries)?;
        }
        entries.resize(ENTRIES_SIZE as usize, 0);
        let entries_crc = crc32fast::hash(&entries);

        let sectors = self.size / SECTOR;
        let (last, entry_sectors) = (sectors - 1, ENTRIES_SIZE / SECTOR);
        let mut primary = protective_mbr(sectors);
        primary.extend(self.header(1, last, 2, entries_crc));
        primary.extend(&entries);
        let mut backup = entries;
        backup.extend(self.header(last, 1, last - entry_sectors, entries_crc));
        Ok(Bytes { primary, backup })
    }

    fn check(&self) -> Result<(), GptError> {
        if self.partitions.len() > ENTRY_COUNT as usize {
            return Err(GptError::TooMany(self.partitions.len()));
        }
        let limit = self.size.saturating_sub(BACKUP_SIZE);
        let mut end = SECTOR + BACKUP_SIZE;
        let mut guids = BTreeSet::from([self.disk_guid]);
        let mut names = BTreeSet::new();
        for Partition { unique_guid, start, size, name, .. } in &self.partitions {
            let (start, size, name) = (*start, *size, name.clone());
            if !start.is_multiple_of(ALIGNMENT) || !size.is_multiple_of(ALIGNMENT) || size == 0 {
                return Err(GptError::Misaligned { name, start, size });
            }
            if start < end {
                return Err(GptError::Overlap { name, start, end });
            }
            end = start.saturating_add(size);
            if end > limit {
                return Err(GptError::BeyondEnd { name, end, size: self.size, limit });
            }
            if !guids.insert(*unique_guid) {
                return Err(GptError::DuplicateGuid { guid: *unique_guid, name });
            }
            if name != EMPTY && !names.insert(name.clone()) {
                return Err(GptError::DuplicateName(name));
            }
        }
        Ok(())
    }

    /// One of the two headers, each one sector.
    fn header(&self, my_lba: u64, alternate_lba: u64, partition_entry_lba: u64, entries_crc: u32) -> Vec<u8> {
        let first_usable_lba = 2 + ENTRIES_SIZE / SECTOR;
        let last_usable_lba = (self.size - BACKUP_SIZE) / SECTOR - 1;
        let mut header = b"EFI PART".to_vec();
        header.extend(0x0001_0000_u32.to_le_bytes());
        header.extend(HEADER_SIZE.to_le_bytes());
        header.extend([0; 8]);
        for lba in [my_lba, alternate_lba, first_usable_lba, last_usable_lba] {
            header.extend(lba.to_le_bytes());
        }
        header.extend(self.disk_guid.to_mixed_endian());
        header.extend(partition_entry_lba.to_le_bytes());
        for field in [ENTRY_COUNT, ENTRY_SIZE, entries_crc] {
            header.extend(field.to_le_bytes());
        }
        // The header's own CRC is computed with this field set to zero.
        let crc = crc32fast::hash(&header);
        header[16..20].copy_from_slice(&crc.to_le_bytes());
        header.resize(SECTOR as usize, 0);
        header
    }
}

impl Partition {
    fn write(&self, out: &mut Vec<u8>) -> Result<(), GptError> {
        let mut name: Vec<u16> = self.name.encode_utf16().collect();
        if name.len() > NAME_UNITS {
            return Err(GptError::LongName(self.name.clone()));
        }
        name.resize(NAME_UNITS, 0);
        out.extend(self.type_guid.to_mixed_endian());
        out.extend(self.unique_guid.to_mixed_endian());
        out.extend((self.start / SECTOR).to_le_bytes());
        out.extend(((self.start + self.size) / SECTOR - 1).to_le_bytes());
        out.extend(self.attributes.to_le_bytes());
        name.into_iter().for_each(|unit| out.extend(unit.to_le_bytes()));
        Ok(())
    }
}

/// An MBR that shows old tools one partition of an unknown type that spans the whole disk (UEFI
/// 2.10, 5.2.3).
fn protective_mbr(sectors: u64) -> Vec<u8> {
    let mut mbr = vec![0; 446];
    // BootIndicator, StartingCHS (the second sector), OSType (GPT Protective), EndingCHS (the
    // highest CHS value).
    mbr.extend([0, 0, 2, 0, 0xee, 0xff, 0xff, 0xff]);
    mbr.extend(1_u32.to_le_bytes());
    mbr.extend(u32::try_from(sectors - 1).unwrap_or(u32::MAX).to_le_bytes());
    mbr.resize(510, 0);
    mbr.extend([0x55, 0xaa]);
    mbr
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition(number: u8, start: u64, size: u64, name: &str) -> Partition {
        Partition {
            type_guid: Guid::from_bytes([1; 16]),
            unique_guid: Guid::from_bytes([number; 16]),
            start: start << 20,
            size: size << 20,
            attributes: 0,
            name: name.into(),
        }
    }

    fn table(partitions: Vec<Partition>) -> Table {
        Table { disk_guid: Guid::from_bytes([9; 16]), size: 8 << 20, partitions }
    }

    #[test]
    fn both_headers_are_where_the_specification_requires_them() {
        let bytes = table(vec![partition(2, 1, 2, "a"), partition(3, 3, 4, "b")]).to_bytes().expect("a table");
        assert_eq!((bytes.primary.len(), bytes.backup.len()), (34 * 512, 33 * 512));
        assert_eq!(&bytes.primary[512..520], b"EFI PART");
        assert_eq!(&bytes.backup[32 * 512..][..8], b"EFI PART");
        assert_eq!(bytes.primary[1024..], bytes.backup[..32 * 512]);
        let last = u64::from_le_bytes(bytes.primary[544..552].try_into().expect("eight bytes"));
        assert_eq!(last, (8 << 20) / 512 - 1);
    }

    #[test]
    fn inconsistent_tables_are_rejected() {
        let error = |partitions| table(partitions).to_bytes().expect_err("refused").to_string();
        assert!(error(vec![partition(2, 1, 8, "a")]).contains("ends at byte 9437184"));
        assert!(error(vec![partition(2, 1, 7, "a")]).contains("room until 8371712"));
        assert!(error(vec![partition(2, 0, 1, "a")]).contains("before the end of what precedes it"));
        assert!(error(vec![partition(2, 1, 2, "a"), partition(3, 2, 2, "b")]).contains("before the end"));
        assert!(error(vec![partition(2, 1, 1, "a"), partition(2, 2, 1, "b")]).contains("used twice"));
        assert!(error(vec![partition(2, 1, 1, "a"), partition(3, 2, 1, "a")]).contains("labelled \"a\""));
        assert!(error(vec![partition(2, 1, 1, &"x".repeat(37))]).contains("longer than 36"));
        let mut odd = partition(2, 1, 1, "a");
        odd.size += 512;
        assert!(error(vec![odd]).contains("is not aligned"));
        assert!(table(vec![partition(2, 1, 1, EMPTY), partition(3, 2, 1, EMPTY)]).to_bytes().is_ok());
    }
}
