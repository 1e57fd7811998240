//! ISO 9660 volumes (ECMA-119) with Joliet names: a few small files in the root directory, in the
//! form in which platforms provide them to a machine.
//!
//! Nothing is taken from the clock: the caller provides all dates, in UTC.

use jiff::Timestamp;

const SECTOR: usize = 2048;
/// Descriptors start after the system area.
const FIRST_DESCRIPTOR: usize = 16;
/// The primary and Joliet descriptors and the terminator, then two path tables and a root directory
/// for each of the first two.
const PATH_TABLES: [u32; 4] = [19, 20, 21, 22];
const DIRECTORIES: [u32; 2] = [23, 24];
const FIRST_FILE: u32 = 25;
/// The path table of a volume without subdirectories: one record.
const PATH_TABLE_SIZE: u32 = 10;
/// Joliet, UCS-2 level 3.
const JOLIET: &[u8] = b"%/E";
const IS_DIRECTORY: u8 = 2;

/// Why the volume cannot be made.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum IsoError {
    /// A label or a name that the format does not allow.
    #[error(
        "{0:?} cannot be on an ISO 9660 volume: labels have up to 16 and names up to 64 letters, digits, \"-\", \"_\" and \".\""
    )]
    Name(String),
    /// The directory needs more than one sector, or the volume more than 32 bits.
    #[error("an ISO 9660 volume for seeds holds only a few small files")]
    TooLarge,
}

/// The bytes of a volume with the label `label` and `files` (name and content), made at `time`
/// (seconds since 1970).
///
/// # Errors
/// [`IsoError`].
pub fn volume(label: &str, files: &[(&str, &[u8])], time: u32) -> Result<Vec<u8>, IsoError> {
    let is_name = |text: &str, max: usize| {
        (1..=max).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    };
    let mut names = std::iter::once((label, 16)).chain(files.iter().map(|(name, _)| (*name, 64)));
    if let Some((name, _)) = names.find(|(name, max)| !is_name(name, *max)) {
        return Err(IsoError::Name(name.into()));
    }
    let date = Date::new(time);
    let mut extents = Vec::new();
    let mut next = FIRST_FILE;
    for (name, content) in files {
        let length = u32::try_from(content.len()).map_err(|_| IsoError::TooLarge)?;
        extents.push((*name, next, length));
        next = next.checked_add(length.div_ceil(2048)).ok_or(IsoError::TooLarge)?;
    }
    extents.sort_unstable();
    let mut image = vec![0; next as usize * SECTOR];
    let mut put = |sector: usize, bytes: &[u8]| image[sector * SECTOR..][..bytes.len()].copy_from_slice(bytes);
    for (joliet, number) in [(false, 0), (true, 1)] {
        put(FIRST_DESCRIPTOR + number, &descriptor(label, joliet, next, &date));
        for (table, big_endian) in [(2 * number, false), (2 * number + 1, true)] {
            put(PATH_TABLES[table] as usize, &path_table(DIRECTORIES[number], big_endian));
        }
        let directory = directory(DIRECTORIES[number], &extents, joliet, &date);
        if directory.len() > SECTOR {
            return Err(IsoError::TooLarge);
        }
        put(DIRECTORIES[number] as usize, &directory);
    }
    put(FIRST_DESCRIPTOR + 2, b"\xffCD001\x01");
    for (name, content) in files {
        if let Some((_, sector, _)) = extents.iter().find(|(found, ..)| found == name) {
            put(*sector as usize, content);
        }
    }
    Ok(image)
}

/// A time in the two forms of the format.
struct Date {
    /// 9.1.5: seven bytes.
    record: [u8; 7],
    /// 8.4.26.1: sixteen digits and a zone.
    text: [u8; 17],
}

impl Date {
    fn new(time: u32) -> Self {
        // 32 bits of seconds are within the range of a timestamp.
        let time = Timestamp::from_second(time.into()).unwrap_or_default().to_zoned(jiff::tz::TimeZone::UTC);
        let byte = |number: i8| u8::try_from(number).unwrap_or_default();
        let year = u8::try_from(time.year() - 1900).unwrap_or_default();
        let record = [
            year,
            byte(time.month()),
            byte(time.day()),
            byte(time.hour()),
            byte(time.minute()),
            byte(time.second()),
            0,
        ];
        let digits = time.strftime("%Y%m%d%H%M%S00").to_string();
        let mut text = [0; 17];
        text[..16].copy_from_slice(&digits.as_bytes()[..16]);
        Self { record, text }
    }
}

/// A number in both byte orders (7.3.3).
fn both(number: u32) -> [u8; 8] {
    let mut bytes = [0; 8];
    bytes[..4].copy_from_slice(&number.to_le_bytes());
    bytes[4..].copy_from_slice(&number.to_be_bytes());
    bytes
}

fn both_short(number: u16) -> [u8; 4] {
    let (little, big) = (number.to_le_bytes(), number.to_be_bytes());
    [little[0], little[1], big[0], big[1]]
}

/// A text field padded with blanks; UCS-2 for Joliet.
fn padded(text: &str, length: usize, joliet: bool) -> Vec<u8> {
    let mut bytes: Vec<u8> = if joliet { ucs2(text) } else { text.as_bytes().to_vec() };
    let blank: &[u8] = if joliet { &[0, b' '] } else { b" " };
    while bytes.len() < length {
        bytes.extend(blank);
    }
    bytes.truncate(length);
    bytes
}

fn ucs2(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_be_bytes).collect()
}

/// A volume descriptor (8.4, 8.5).
fn descriptor(label: &str, joliet: bool, sectors: u32, date: &Date) -> Vec<u8> {
    let number = usize::from(joliet);
    let mut bytes = vec![0; SECTOR];
    let mut put = |at: usize, field: &[u8]| bytes[at..at + field.len()].copy_from_slice(field);
    put(0, &[if joliet { 2 } else { 1 }]);
    put(1, b"CD001\x01");
    put(8, &padded("", 32, joliet));
    put(40, &padded(label, 32, joliet));
    put(80, &both(sectors));
    if joliet {
        put(88, JOLIET);
    }
    put(120, &both_short(1));
    put(124, &both_short(1));
    put(128, &both_short(2048));
    put(132, &both(PATH_TABLE_SIZE));
    put(140, &PATH_TABLES[2 * number].to_le_bytes());
    put(148, &PATH_TABLES[2 * number + 1].to_be_bytes());
    put(156, &record(&[0], DIRECTORIES[number], 2048, IS_DIRECTORY, date));
    for at in [190, 318, 446, 574] {
        put(at, &padded("", 128, joliet));
    }
    for at in [702, 739, 776] {
        put(at, &padded("", 37, joliet));
    }
    put(813, &date.text);
    put(830, &date.text);
    put(847, b"0000000000000000\0");
    put(864, b"0000000000000000\0");
    put(881, &[1]);
    bytes
}

/// A path table (9.4) with the root, which is its own parent.
fn path_table(directory: u32, big_endian: bool) -> Vec<u8> {
    let (sector, parent) = if big_endian {
        (directory.to_be_bytes(), 1_u16.to_be_bytes())
    } else {
        (directory.to_le_bytes(), 1_u16.to_le_bytes())
    };
    [&[1, 0][..], &sector, &parent, &[0, 0]].concat()
}

fn directory(own: u32, extents: &[(&str, u32, u32)], joliet: bool, date: &Date) -> Vec<u8> {
    let mut bytes = record(&[0], own, 2048, IS_DIRECTORY, date);
    bytes.extend(record(&[1], own, 2048, IS_DIRECTORY, date));
    let mut records: Vec<(Vec<u8>, u32, u32)> = extents
        .iter()
        .map(|(name, sector, length)| (if joliet { ucs2(name) } else { short_name(name) }, *sector, *length))
        .collect();
    records.sort_unstable();
    for (name, sector, length) in records {
        bytes.extend(record(&name, sector, length, 0, date));
    }
    bytes
}

/// A name of level 1 for readers without Joliet: eight and three characters, and a version.
fn short_name(name: &str) -> Vec<u8> {
    let upper = |text: &str, length: usize| {
        let allowed = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
        text.chars().map(allowed).take(length).collect::<String>()
    };
    let (stem, extension) = name.rsplit_once('.').unwrap_or((name, ""));
    format!("{}.{};1", upper(stem, 8), upper(extension, 3)).into_bytes()
}

/// A directory record (9.1).
fn record(name: &[u8], sector: u32, length: u32, flags: u8, date: &Date) -> Vec<u8> {
    // Names have 64 characters at most, so the length fits a byte.
    let size = (33 + name.len()).next_multiple_of(2);
    let byte = |number: usize| u8::try_from(number).unwrap_or(u8::MAX);
    let mut bytes = vec![byte(size), 0];
    bytes.extend(both(sector));
    bytes.extend(both(length));
    bytes.extend(date.record);
    bytes.extend([flags, 0, 0]);
    bytes.extend(both_short(1));
    bytes.push(byte(name.len()));
    bytes.extend(name);
    bytes.resize(size, 0);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unsupported_labels_and_files_are_rejected() {
        assert!(volume("cidata", &[("user-data", b"x")], 0).is_ok());
        assert_eq!(volume("a b", &[], 0), Err(IsoError::Name("a b".into())));
        assert_eq!(volume("cidata", &[("a/b", b"")], 0), Err(IsoError::Name("a/b".into())));
        let names: Vec<String> = (0..60).map(|number| format!("file-{number}")).collect();
        let files: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), &b""[..])).collect();
        assert_eq!(volume("cidata", &files, 0), Err(IsoError::TooLarge));
    }

    #[test]
    fn fields_are_where_readers_expect_them() {
        let image = volume("cidata", &[("user-data", b"hello")], 1_709_164_800).expect("a volume");
        assert_eq!(image.len(), 26 * SECTOR);
        assert_eq!(&image[16 * SECTOR..][..6], b"\x01CD001");
        assert_eq!(&image[16 * SECTOR + 40..][..8], b"cidata  ");
        assert_eq!(&image[16 * SECTOR + 813..][..17], b"2024022900000000\0");
        assert_eq!(&image[25 * SECTOR..][..5], b"hello");
    }
}
