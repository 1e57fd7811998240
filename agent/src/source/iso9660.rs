//! ISO 9660 (ECMA-119), read-only: with the names of Joliet or Rock Ridge if a volume has them,
//! because `user-data` is not a valid name in ISO 9660 itself.

use super::device::{Pieces, le, read_at, read_pieces};
use std::io::{self, Read, Seek};
use zeroize::Zeroizing;

const SECTOR: u64 = 2048;
const FIRST_DESCRIPTOR: u64 = 16;
/// The most descriptors before the terminator; volumes have three or four.
const MAX_DESCRIPTORS: u64 = 16;
/// The largest directory, in bytes.
const MAX_DIRECTORY: u32 = 256 << 10;
const IS_DIRECTORY: u8 = 2;

/// A volume.
pub(super) struct Iso<R> {
    device: R,
    label: String,
    root: Extent,
    joliet: bool,
}

#[derive(Debug, Clone, Copy)]
struct Extent {
    sector: u32,
    length: u32,
    is_directory: bool,
}

impl<R: Read + Seek> Iso<R> {
    /// Opens `device`; returns `None` if it contains something else.
    pub(super) fn open(mut device: R) -> io::Result<Option<Self>> {
        let mut primary = None;
        let mut joliet = None;
        for number in 0..MAX_DESCRIPTORS {
            let offset = (FIRST_DESCRIPTOR + number) * SECTOR;
            let descriptor = match read_at(&mut device, offset, 2048) {
                Ok(descriptor) => descriptor,
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => break,
                Err(error) => return Err(error),
            };
            if &descriptor[1..6] != b"CD001" {
                break;
            }
            match descriptor[0] {
                1 => primary = primary.or(Some(descriptor)),
                // Supplementary, with one of Joliet's three escape sequences.
                2 if matches!(&descriptor[88..91], b"%/@" | b"%/C" | b"%/E") => joliet = Some(descriptor),
                255 => break,
                _ => {}
            }
        }
        let Some(primary) = primary else { return Ok(None) };
        let label = String::from_utf8_lossy(&primary[40..72]).trim_end().to_owned();
        let has_joliet = joliet.is_some();
        let descriptor = joliet.unwrap_or(primary);
        let root = extent(&descriptor[156..190]);
        Ok(Some(Self { device, label, root, joliet: has_joliet }))
    }

    /// The volume identifier.
    pub(super) fn label(&self) -> &str {
        &self.label
    }

    /// The content of the file at `path`, of at most `limit` bytes; `None` if it does not exist.
    pub(super) fn read(&mut self, path: &str, limit: usize) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
        let pieces = self.locate(path, limit)?;
        pieces.map(|pieces| read_pieces(&mut self.device, &pieces)).transpose()
    }

    /// The location of the content of the file at `path`.
    ///
    /// # Errors
    /// Also when the file has more than `limit` bytes.
    pub(super) fn locate(&mut self, path: &str, limit: usize) -> io::Result<Option<Pieces>> {
        let mut at = self.root;
        for name in path.split('/') {
            match self.find(at, name)? {
                Some(next) => at = next,
                None => return Ok(None),
            }
        }
        let length = at.length as usize;
        if at.is_directory || length > limit {
            return Err(io::Error::other(format!("{path} is a directory, or has more than {limit} bytes")));
        }
        Ok(Some(vec![(u64::from(at.sector) * SECTOR, length)]))
    }

    fn find(&mut self, directory: Extent, name: &str) -> io::Result<Option<Extent>> {
        if !directory.is_directory || directory.length > MAX_DIRECTORY {
            return Ok(None);
        }
        let bytes = read_at(&mut self.device, u64::from(directory.sector) * SECTOR, directory.length as usize)?;
        for sector in bytes.chunks(2048) {
            let mut rest = sector;
            // Records do not cross sectors; a length of 0 ends one.
            while let Some(length @ 34..) = rest.first().map(|length| usize::from(*length)) {
                let Some((record, more)) = rest.split_at_checked(length) else { break };
                if self.name(record).eq_ignore_ascii_case(name) {
                    return Ok(Some(extent(record)));
                }
                rest = more;
            }
        }
        Ok(None)
    }

    fn name(&self, record: &[u8]) -> String {
        let length = usize::from(record[32]);
        let identifier = record.get(33..33 + length).unwrap_or_default();
        if self.joliet {
            let units = identifier.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
            return without_version(
                &char::decode_utf16(units).map(|unit| unit.unwrap_or('\u{fffd}')).collect::<String>(),
            );
        }
        // The system use area begins at an even offset.
        let system_use = record.get(33 + length + (length + 1) % 2..).unwrap_or_default();
        rock_ridge(system_use).unwrap_or_else(|| without_version(&String::from_utf8_lossy(identifier)))
    }
}

/// The alternate name of Rock Ridge (RRIP 1.12, NM).
fn rock_ridge(mut area: &[u8]) -> Option<String> {
    let mut name = None;
    while let Some(length @ 5..) = area.get(2).map(|length| usize::from(*length)) {
        let (entry, rest) = area.split_at_checked(length)?;
        if entry.starts_with(b"NM") {
            name.get_or_insert_with(String::new).push_str(&String::from_utf8_lossy(&entry[5..]));
        }
        area = rest;
    }
    name
}

fn without_version(name: &str) -> String {
    name.split(';').next().unwrap_or_default().trim_end_matches('.').to_owned()
}

/// The fields of a directory record (9.1), of at least 34 bytes.
fn extent(record: &[u8]) -> Extent {
    Extent { sector: le::<4>(record, 2), length: le::<4>(record, 10), is_directory: record[25] & IS_DIRECTORY != 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Cursor;

    /// The smallest volume with one file: descriptors, root directory, content.
    fn volume() -> Vec<u8> {
        let mut image = vec![0; 21 * 2048];
        let record = |sector: u32, length: u32, flags: u8, name: &[u8]| {
            let mut record = vec![0; 33];
            record[2..6].copy_from_slice(&sector.to_le_bytes());
            record[10..14].copy_from_slice(&length.to_le_bytes());
            record[25] = flags;
            record[32] = u8::try_from(name.len()).expect("short");
            record.extend(name);
            record.resize(record.len().next_multiple_of(2).max(34), 0);
            record[0] = u8::try_from(record.len()).expect("short");
            record
        };
        image[16 * 2048..16 * 2048 + 6].copy_from_slice(b"\x01CD001");
        image[16 * 2048 + 40..16 * 2048 + 72].copy_from_slice(format!("{:<32}", "cidata").as_bytes());
        image[16 * 2048 + 156..16 * 2048 + 190].copy_from_slice(&record(18, 2048, 2, &[0]));
        image[17 * 2048..17 * 2048 + 6].copy_from_slice(b"\xffCD001");
        let mut file = record(19, 5, 0, b"USERDATA.;1");
        file.extend(b"NM\x0e\x01\0user-data");
        file[0] = u8::try_from(file.len()).expect("short");
        image[18 * 2048..18 * 2048 + file.len()].copy_from_slice(&file);
        image[19 * 2048..19 * 2048 + 5].copy_from_slice(b"hello");
        image
    }

    #[test]
    fn rock_ridge_names_are_read() {
        let mut iso = Iso::open(Cursor::new(volume())).expect("read").expect("a volume");
        assert_eq!(iso.label(), "cidata");
        assert_eq!(iso.read("user-data", 10).expect("read").as_deref(), Some(&b"hello".to_vec()));
        assert!(iso.read("user-data", 4).is_err());
        assert!(iso.read("other", 4).expect("read").is_none());
        assert!(Iso::open(Cursor::new(vec![0; 100])).expect("read").is_none());
    }

    proptest! {
        #[test]
        fn mutated_volumes_never_panic(changes in prop::collection::vec((16_usize * 2048..19 * 2048, any::<u8>()), 1..8), cut in 0_usize..43008) {
            let mut image = volume();
            changes.iter().for_each(|(at, byte)| image[*at] = *byte);
            for image in [image.clone(), image[..cut].to_vec()] {
                if let Ok(Some(mut iso)) = Iso::open(Cursor::new(image)) {
                    let _ = iso.read("user-data", 100);
                    let _ = iso.read("openstack/latest/user_data", 100);
                }
            }
        }
    }
}
