//! Directories: entries, long names and their short names.

use super::FatError;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

const ENTRY: usize = 32;
/// The number of UTF-16 units in one entry of a long name.
const UNITS: usize = 13;
const MAX_UNITS: usize = 255;
const ATTR_VOLUME_ID: u8 = 0x08;
const ATTR_DIRECTORY: u8 = 0x10;
const ATTR_ARCHIVE: u8 = 0x20;
const ATTR_LONG_NAME: u8 = 0x0f;
const LAST_LONG_ENTRY: u8 = 0x40;

/// The years that seven bits can count from 1980.
const DATE_LIMITS: RangeInclusive<i16> = 1980..=2107;

/// What a name refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Node {
    Directory(Directory),
    /// A file and its size.
    File(u32),
}

/// Names and what they refer to. Two names must differ by more than case: the keys are the
/// upper-case spellings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Directory {
    nodes: BTreeMap<String, (String, Node)>,
}

/// The date and time of everything on the volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    date: u16,
    time: u16,
}

impl Stamp {
    /// From seconds since 1970 in UTC. A time outside FAT's range becomes the nearest time that FAT
    /// can store.
    pub(super) fn new(seconds: u32) -> Self {
        // Every u32 is within jiff's range of years.
        let utc = Timestamp::from_second(i64::from(seconds)).unwrap_or_default().to_zoned(TimeZone::UTC);
        if utc.year() < *DATE_LIMITS.start() {
            return Self { date: 1 << 5 | 1, time: 0 };
        }
        let field = |value: i8| u16::try_from(value).unwrap_or(0);
        let years = u16::try_from(utc.year().min(*DATE_LIMITS.end()) - DATE_LIMITS.start()).unwrap_or(0);
        Self {
            date: years << 9 | field(utc.month()) << 5 | field(utc.day()),
            time: field(utc.hour()) << 11 | field(utc.minute()) << 5 | (field(utc.second()) / 2),
        }
    }
}

/// `path` below `parent`, the root being empty.
pub(super) fn join(parent: &str, name: &str) -> String {
    if parent.is_empty() { name.to_owned() } else { format!("{parent}/{name}") }
}

impl Directory {
    /// Adds a file at `path` below this directory; `full` is its path on the volume, for messages.
    pub(super) fn add(&mut self, path: &str, full: &str, size: u32) -> Result<(), FatError> {
        let (name, rest) = path.split_once('/').map_or((path, None), |(name, rest)| (name, Some(rest)));
        check_name(name)?;
        let duplicate = || FatError::Duplicate(full.to_owned());
        let key = name.to_uppercase();
        let Some(rest) = rest else {
            if self.nodes.contains_key(&key) {
                return Err(duplicate());
            }
            self.nodes.insert(key, (name.to_owned(), Node::File(size)));
            return Ok(());
        };
        let new = || (name.to_owned(), Node::Directory(Self::default()));
        match &mut self.nodes.entry(key).or_insert_with(new).1 {
            Node::Directory(below) => below.add(rest, full, size),
            Node::File(_) => Err(duplicate()),
        }
    }

    /// Names in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &Node)> {
        self.nodes.values().map(|(name, node)| (name.as_str(), node))
    }

    /// The size of its entries in bytes. The root has an entry for the label; other directories
    /// have two entries, for themselves and for their parent.
    pub(super) fn size(&self, is_root: bool) -> u64 {
        let entries: usize = self.short_names().iter().map(|(name, short)| long_entries(name, short) + 1).sum();
        let own = if is_root { 1 } else { 2 };
        ((own + entries) * ENTRY) as u64
    }

    /// Its entries. `first_cluster` returns the first cluster of every path of the volume, and 0
    /// for paths without clusters.
    pub(super) fn to_bytes(
        &self,
        path: &str,
        label: Option<&[u8; 11]>,
        stamp: &Stamp,
        first_cluster: &dyn Fn(&str) -> u32,
    ) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut put = |name: &[u8; 11], attributes: u8, cluster: u32, size: u32| {
            entry(&mut bytes, name, attributes, stamp, cluster, size);
        };
        match label {
            Some(label) => put(label, ATTR_VOLUME_ID, 0, 0),
            None => {
                // As a parent, the root has the cluster number 0.
                let parent = match path.rsplit_once('/') {
                    Some((parent, _)) => first_cluster(parent),
                    None => 0,
                };
                put(b".          ", ATTR_DIRECTORY, first_cluster(path), 0);
                put(b"..         ", ATTR_DIRECTORY, parent, 0);
            }
        }
        for (name, short) in self.short_names() {
            let cluster = first_cluster(&join(path, name));
            long_name(&mut bytes, name, &short);
            match self.nodes.get(&name.to_uppercase()) {
                Some((_, Node::File(size))) => entry(&mut bytes, &short, ATTR_ARCHIVE, stamp, cluster, *size),
                _ => entry(&mut bytes, &short, ATTR_DIRECTORY, stamp, cluster, 0),
            }
        }
        bytes
    }

    /// Every name and its short name, which is unique in the directory.
    fn short_names(&self) -> Vec<(&str, [u8; 11])> {
        let names = || self.nodes.values().map(|(name, _)| name.as_str());
        // A generated short name must not equal the exact short name of another file.
        let mut taken: BTreeSet<[u8; 11]> = names().filter_map(exact).collect();
        names()
            .map(|name| {
                let short = exact(name).unwrap_or_else(|| {
                    let short = (1..).map(|number| numbered(name, number)).find(|short| !taken.contains(short));
                    short.unwrap_or([b'_'; 11])
                });
                taken.insert(short);
                (name, short)
            })
            .collect()
    }
}

/// One entry of 32 bytes.
fn entry(bytes: &mut Vec<u8>, name: &[u8; 11], attributes: u8, stamp: &Stamp, cluster: u32, size: u32) {
    let ([low0, low1, high0, high1], Stamp { date, time }) = (cluster.to_le_bytes(), *stamp);
    bytes.extend(name); // DIR_Name
    bytes.extend([attributes, 0, 0]); // DIR_Attr, DIR_NTRes, DIR_CrtTimeTenth
    for field in [time, date, date] {
        bytes.extend(field.to_le_bytes()); // DIR_CrtTime, DIR_CrtDate, DIR_LstAccDate
    }
    bytes.extend([high0, high1]); // DIR_FstClusHI
    bytes.extend(time.to_le_bytes()); // DIR_WrtTime
    bytes.extend(date.to_le_bytes()); // DIR_WrtDate
    bytes.extend([low0, low1]); // DIR_FstClusLO
    bytes.extend(size.to_le_bytes()); // DIR_FileSize
}

/// The number of entries that precede the short one.
fn long_entries(name: &str, short: &[u8; 11]) -> usize {
    if exact(name) == Some(*short) { 0 } else { name.encode_utf16().count().div_ceil(UNITS) }
}

/// Appends the entries of a long name, last part first.
fn long_name(bytes: &mut Vec<u8>, name: &str, short: &[u8; 11]) {
    let count = long_entries(name, short);
    let mut units: Vec<u16> = name.encode_utf16().collect();
    if !units.len().is_multiple_of(UNITS) {
        units.push(0);
        units.resize(units.len().next_multiple_of(UNITS), 0xffff);
    }
    let checksum = short.iter().fold(0_u8, |sum, byte| sum.rotate_right(1).wrapping_add(*byte));
    for (index, part) in units.chunks(UNITS).enumerate().take(count).rev() {
        // At most 20 parts, because names were checked.
        let number = u8::try_from(index + 1).unwrap_or(u8::MAX);
        let last = if index + 1 == count { LAST_LONG_ENTRY } else { 0 };
        let put = |bytes: &mut Vec<u8>, units: &[u16]| units.iter().for_each(|unit| bytes.extend(unit.to_le_bytes()));
        bytes.push(number | last); // LDIR_Ord
        put(bytes, &part[..5]); // LDIR_Name1
        bytes.extend([ATTR_LONG_NAME, 0, checksum]); // LDIR_Attr, LDIR_Type, LDIR_Chksum
        put(bytes, &part[5..11]); // LDIR_Name2
        bytes.extend([0; 2]); // LDIR_FstClusLO
        put(bytes, &part[11..]); // LDIR_Name3
    }
}

fn check_name(name: &str) -> Result<(), FatError> {
    let bad = name.is_empty()
        || name.encode_utf16().count() > MAX_UNITS
        || name.ends_with(['.', ' '])
        || name.chars().any(|char| char.is_control() || "\"*/:<>?\\|".contains(char));
    if bad { Err(FatError::Name(name.to_owned())) } else { Ok(()) }
}

fn is_short(byte: u8) -> bool {
    byte.is_ascii_uppercase() || byte.is_ascii_digit() || b"!#$%&'()-@^_`{}~".contains(&byte)
}

/// The short name if it is exact: upper case, eight and three characters.
fn exact(name: &str) -> Option<[u8; 11]> {
    let (stem, extension) = name.split_once('.').unwrap_or((name, ""));
    let dot_alone = name.contains('.') && extension.is_empty();
    let good = (1..=8).contains(&stem.len())
        && extension.len() <= 3
        && !dot_alone
        && stem.bytes().chain(extension.bytes()).all(is_short);
    good.then(|| padded(stem.as_bytes(), extension.as_bytes()))
}

/// `KILN-W~1EFI` for `kiln-worker_1.20.2.efi`.
fn numbered(name: &str, number: u32) -> [u8; 11] {
    let (stem, extension) = name.rsplit_once('.').unwrap_or((name, ""));
    let short = |text: &str| -> Vec<u8> {
        let kept = text.chars().filter(|char| !matches!(char, ' ' | '.'));
        let upper = kept.map(|char| u8::try_from(char.to_ascii_uppercase()).ok().filter(|byte| is_short(*byte)));
        upper.map(|byte| byte.unwrap_or(b'_')).collect()
    };
    let tail = format!("~{number}");
    let mut stem = short(stem);
    stem.truncate(8_usize.saturating_sub(tail.len()));
    stem.extend(tail.bytes());
    padded(&stem, &short(extension))
}

fn padded(stem: &[u8], extension: &[u8]) -> [u8; 11] {
    let mut name = [b' '; 11];
    name.iter_mut().zip(stem.iter().take(8)).for_each(|(to, from)| *to = *from);
    name[8..].iter_mut().zip(extension).for_each(|(to, from)| *to = *from);
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_eight_and_three_need_no_long_name() {
        assert_eq!(exact("BOOTX64.EFI"), Some(*b"BOOTX64 EFI"));
        assert_eq!(exact("EFI"), Some(*b"EFI        "));
        for name in ["loader", "LOADER.CONF", "A.B.C", "ABCDEFGHI", "A+B", "A.", ".A"] {
            assert_eq!(exact(name), None, "{name}");
        }
    }

    #[test]
    fn generated_names_differ_by_number() {
        let mut directory = Directory::default();
        for name in ["worker_1.efi", "worker_2.efi", "WORKER~1.EFI", "ünï cödé.efi", "a"] {
            directory.add(name, name, 0).expect("added");
        }
        let names: Vec<String> =
            directory.short_names().iter().map(|(_, short)| String::from_utf8_lossy(short).into_owned()).collect();
        assert_eq!(names, ["A~1        ", "WORKER~2EFI", "WORKER~3EFI", "WORKER~1EFI", "_N_C_D~1EFI"]);
        assert_eq!(directory.size(true), ((1 + 2 + 2 + 2 + 1 + 2) * ENTRY) as u64);
    }

    #[test]
    fn dates_are_utc_and_clamped_to_the_range_of_fat() {
        // 2024-02-29 12:34:56.
        assert_eq!(Stamp::new(1_709_210_096), Stamp { date: 44 << 9 | 2 << 5 | 29, time: 12 << 11 | 34 << 5 | 28 });
        assert_eq!(Stamp::new(0), Stamp { date: 1 << 5 | 1, time: 0 });
        assert_eq!(Stamp::new(u32::MAX).date >> 9, 2106 - 1980);
    }
}
