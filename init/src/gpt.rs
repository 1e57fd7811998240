//! Reads the partition table of a disk (UEFI specification 2.10, chapter 5).
//!
//! The kernel reads it too, but before 6.10 its `uevent` files do not contain a partition's unique
//! GUID, by which the root is found.

use std::fmt;
use std::io::{self, Read, Seek, SeekFrom};

/// The sizes of a logical block on disks, in bytes.
const BLOCK_SIZES: [u64; 2] = [512, 4096];
/// `HeaderSize` of revision 1.0.
const HEADER_SIZE: usize = 92;
/// The size of an entry in all tools' tables.
const ENTRY_SIZE: usize = 128;
/// The most entries that are read; 128 are usual.
const MAX_ENTRIES: usize = 1024;

/// A GUID as stored on disk: its first three fields are little-endian.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Guid(pub [u8; 16]);

impl Guid {
    /// Makes a GUID from the 128 bits in the order of the text form.
    pub const fn from_text_order(mut bytes: [u8; 16]) -> Self {
        let b = bytes;
        [bytes[0], bytes[1], bytes[2], bytes[3]] = [b[3], b[2], b[1], b[0]];
        [bytes[4], bytes[5], bytes[6], bytes[7]] = [b[5], b[4], b[7], b[6]];
        Self(bytes)
    }

    /// Parses the text form, in upper or lower case.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != 36 {
            return None;
        }
        let mut number = 0_u128;
        for (at, byte) in text.bytes().enumerate() {
            match (at, byte) {
                (8 | 13 | 18 | 23, b'-') => {}
                (8 | 13 | 18 | 23, _) => return None,
                _ => number = number << 4 | u128::from(char::from(byte).to_digit(16)?),
            }
        }
        Some(Self::from_text_order(number.to_be_bytes()))
    }

    /// "Variable data" of the Discoverable Partitions Specification.
    pub const VARIABLE_DATA: Self = Self::from_text_order([
        0x4d, 0x21, 0xb0, 0x16, 0xb5, 0x34, 0x45, 0xc2, 0xa9, 0xfb, 0x5c, 0x16, 0xe0, 0x91, 0xfd, 0x2d,
    ]);
}

impl fmt::Display for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text_order = Self::from_text_order(self.0).0;
        for (at, byte) in text_order.iter().enumerate() {
            let dash = if matches!(at, 4 | 6 | 8 | 10) { "-" } else { "" };
            write!(f, "{dash}{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// One used entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    /// Its position in the table, counted from 1, as in the kernel's device names.
    pub number: usize,
    /// `PartitionTypeGUID`.
    pub partition_type: Guid,
    /// `UniquePartitionGUID`.
    pub unique: Guid,
    /// `PartitionName`.
    pub name: String,
    /// The first block.
    pub first_lba: u64,
    /// The last block, inclusive.
    pub last_lba: u64,
}

impl Partition {
    /// Size in blocks.
    pub fn blocks(&self) -> u64 {
        (self.last_lba - self.first_lba).saturating_add(1)
    }
}

/// A partition table with correct checksums.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Bytes per block.
    pub block_size: u64,
    /// The last block of the disk according to the table: the location of its other copy.
    pub last_block: u64,
    /// The used entries, by number.
    pub partitions: Vec<Partition>,
}

/// Why no table can be read.
#[derive(Debug)]
pub enum GptError {
    /// The disk cannot be read.
    Io(io::Error),
    /// There is no table: neither header has the signature.
    None,
    /// There is a table, but both copies are damaged; the defect of the first.
    Damaged(&'static str),
}

impl fmt::Display for GptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "reading its partition table: {error}"),
            Self::None => f.write_str("it has no GUID partition table"),
            Self::Damaged(why) => write!(f, "both copies of its partition table are damaged ({why})"),
        }
    }
}

impl std::error::Error for GptError {}

impl Table {
    /// Reads the table of a disk of `size` bytes with blocks of `block_size` bytes; uses the copy
    /// at its end if the one at its beginning is damaged.
    ///
    /// # Errors
    /// [`GptError`].
    pub fn read(disk: &mut (impl Read + Seek), block_size: u64, size: u64) -> Result<Self, GptError> {
        if !BLOCK_SIZES.contains(&block_size) || size < 3 * block_size {
            return Err(GptError::None);
        }
        match Self::copy(disk, block_size, 1) {
            Ok(Ok(table)) => Ok(table),
            Err(error) => Err(GptError::Io(error)),
            Ok(Err(why)) => match Self::copy(disk, block_size, size / block_size - 1) {
                Ok(Ok(table)) => Ok(Self { last_block: size / block_size - 1, ..table }),
                _ => Err(why.map_or(GptError::None, GptError::Damaged)),
            },
        }
    }

    /// The copy whose header is in block `lba`. The inner error is its defect; `None` if there is
    /// no table at all.
    fn copy(
        disk: &mut (impl Read + Seek),
        block_size: u64,
        lba: u64,
    ) -> io::Result<Result<Self, Option<&'static str>>> {
        let mut header = [0; HEADER_SIZE];
        read_at(disk, lba.saturating_mul(block_size), &mut header)?;
        let header = match Header::parse(&header, lba) {
            Ok(header) => header,
            Err(why) => return Ok(Err(why)),
        };
        let mut entries = vec![0; header.count * ENTRY_SIZE];
        read_at(disk, header.entries.saturating_mul(block_size), &mut entries)?;
        if crc32(&entries) != header.entries_crc {
            return Ok(Err(Some("the checksum of its entries is wrong")));
        }
        let mut partitions = Vec::new();
        for (entry, number) in entries.chunks_exact(ENTRY_SIZE).zip(1..) {
            match partition(entry, number) {
                Some(partition) if partition.first_lba > partition.last_lba => {
                    return Ok(Err(Some("a partition ends before it begins")));
                }
                found => partitions.extend(found),
            }
        }
        Ok(Ok(Self { block_size, last_block: header.alternate, partitions }))
    }
}

/// The fields of a header that are used.
struct Header {
    alternate: u64,
    entries: u64,
    count: usize,
    entries_crc: u32,
}

impl Header {
    fn parse(bytes: &[u8; HEADER_SIZE], lba: u64) -> Result<Self, Option<&'static str>> {
        if &bytes[..8] != b"EFI PART" {
            return Err(None);
        }
        if u32_at(bytes, 12) != 92 {
            return Err(Some("its header has an unusual size"));
        }
        let mut checked = *bytes;
        checked[16..20].fill(0);
        if crc32(&checked) != u32_at(bytes, 16) {
            return Err(Some("the checksum of its header is wrong"));
        }
        let count = usize::try_from(u32_at(bytes, 80)).unwrap_or(usize::MAX);
        if u64_at(bytes, 24) != lba {
            return Err(Some("its header belongs to another block"));
        }
        if u32_at(bytes, 84) != 128 || count > MAX_ENTRIES {
            return Err(Some("its entries have an unusual size or number"));
        }
        let (alternate, entries) = (u64_at(bytes, 32), u64_at(bytes, 72));
        Ok(Self { alternate, entries, count, entries_crc: u32_at(bytes, 88) })
    }
}

/// The partition in a used entry.
fn partition(entry: &[u8], number: usize) -> Option<Partition> {
    let partition_type = guid_at(entry, 0);
    if partition_type.0 == [0; 16] {
        return None;
    }
    let units = entry[56..].chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
    let name = char::decode_utf16(units.take_while(|&unit| unit != 0)).map(|c| c.unwrap_or('\u{fffd}')).collect();
    let (first_lba, last_lba) = (u64_at(entry, 32), u64_at(entry, 40));
    Some(Partition { number, partition_type, unique: guid_at(entry, 16), name, first_lba, last_lba })
}

fn read_at(disk: &mut (impl Read + Seek), at: u64, bytes: &mut [u8]) -> io::Result<()> {
    disk.seek(SeekFrom::Start(at))?;
    disk.read_exact(bytes)
}

// The slices below have the lengths of the constants above, whatever the disk contains.
fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes[at..at + 4].iter().rev().fold(0, |number, &byte| number << 8 | u32::from(byte))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes[at..at + 8].iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte))
}

fn guid_at(bytes: &[u8], at: usize) -> Guid {
    let mut guid = [0; 16];
    guid.copy_from_slice(&bytes[at..at + 16]);
    Guid(guid)
}

/// The CRC-32 of ISO 3309, reflected, as in zlib; a lookup table is not worth its bytes for 16 KiB.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Cursor;

    const BLOCKS: u64 = 100;

    /// A disk with one partition according to the specification.
    fn disk() -> Vec<u8> {
        let mut entries = vec![0; 128 * ENTRY_SIZE];
        let entry = &mut entries[ENTRY_SIZE..];
        entry[..16].copy_from_slice(&Guid::VARIABLE_DATA.0);
        entry[16..32].fill(7);
        entry[32..40].copy_from_slice(&40_u64.to_le_bytes());
        entry[40..48].copy_from_slice(&49_u64.to_le_bytes());
        for (at, unit) in "kiln-state".encode_utf16().enumerate() {
            entry[56 + 2 * at..58 + 2 * at].copy_from_slice(&unit.to_le_bytes());
        }
        let mut disk = vec![0; 512 * 100];
        for (own, other, table) in [(1_u64, 99_u64, 2_u64), (99, 1, 67)] {
            let mut header = [0; HEADER_SIZE];
            header[..8].copy_from_slice(b"EFI PART");
            header[8..12].copy_from_slice(&0x10000_u32.to_le_bytes());
            header[12..16].copy_from_slice(&92_u32.to_le_bytes());
            header[24..32].copy_from_slice(&own.to_le_bytes());
            header[32..40].copy_from_slice(&other.to_le_bytes());
            header[72..80].copy_from_slice(&table.to_le_bytes());
            header[80..84].copy_from_slice(&128_u32.to_le_bytes());
            header[84..88].copy_from_slice(&128_u32.to_le_bytes());
            header[88..92].copy_from_slice(&crc32(&entries).to_le_bytes());
            let crc = crc32(&header);
            header[16..20].copy_from_slice(&crc.to_le_bytes());
            let at = |block: u64| usize::try_from(block * 512).expect("small");
            disk[at(own)..at(own) + HEADER_SIZE].copy_from_slice(&header);
            disk[at(table)..at(table) + entries.len()].copy_from_slice(&entries);
        }
        disk
    }

    fn read(disk: &[u8]) -> Result<Table, GptError> {
        Table::read(&mut Cursor::new(disk), 512, u64::try_from(disk.len()).expect("small"))
    }

    #[test]
    fn a_table_is_parsed() {
        let table = read(&disk()).expect("a table");
        let [partition] = &table.partitions[..] else { panic!("{table:?}") };
        assert_eq!((partition.number, partition.name.as_str(), partition.blocks()), (2, "kiln-state", 10));
        assert_eq!(partition.partition_type.to_string(), "4d21b016-b534-45c2-a9fb-5c16e091fd2d");
        assert_eq!(table.last_block, BLOCKS - 1);
    }

    #[test]
    fn either_copy_is_sufficient() {
        for at in [512 + 8, 512 + 40, 2 * 512 + 130] {
            let mut disk = disk();
            disk[at] ^= 1;
            assert_eq!(read(&disk).expect("the other copy"), read(&super::tests::disk()).expect("a table"));
            disk[99 * 512 + 20] ^= 1;
            assert!(matches!(read(&disk), Err(GptError::Damaged(_))), "{at}");
        }
        assert!(matches!(read(&vec![0; 512 * 100]), Err(GptError::None)));
        assert!(matches!(read(&[0; 100]), Err(GptError::None)));
    }

    #[test]
    fn guids_are_parsed_in_either_case_and_nothing_else() {
        let text = Guid::VARIABLE_DATA.to_string();
        assert_eq!(Guid::parse(&text), Some(Guid::VARIABLE_DATA));
        assert_eq!(Guid::parse(&text.to_uppercase()), Some(Guid::VARIABLE_DATA));
        for bad in ["", &text[1..], &text.replace('-', "0"), &text.replace('d', "g"), &format!("{{{}}}", &text[2..])] {
            assert_eq!(Guid::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn crc32_equals_zlibs() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }

    proptest! {
        #[test]
        fn arbitrary_disks_never_panic(
            changes in prop::collection::vec((0usize..51_200, any::<u8>()), 0..30),
            header in prop::collection::vec(any::<u8>(), HEADER_SIZE),
            sum: bool,
        ) {
            let mut disk = disk();
            changes.into_iter().for_each(|(at, byte)| disk[at] = byte);
            read(&disk).ok();
            // A header with a correct checksum, however strange its contents.
            let mut bytes: [u8; HEADER_SIZE] = header.try_into().expect("as long as that");
            bytes[..8].copy_from_slice(b"EFI PART");
            bytes[12..16].copy_from_slice(&92_u32.to_le_bytes());
            if sum {
                bytes[24..32].copy_from_slice(&1_u64.to_le_bytes());
                bytes[16..20].fill(0);
                let crc = crc32(&bytes);
                bytes[16..20].copy_from_slice(&crc.to_le_bytes());
            }
            disk[512..512 + HEADER_SIZE].copy_from_slice(&bytes);
            read(&disk).ok();
        }
    }
}
