//! FAT32 volumes (Microsoft's "FAT32 File System Specification", fatgen103), such as an EFI system
//! partition.
//!
//! This is our own reader because it must neither panic on a damaged volume nor follow a chain that
//! never ends.

use super::ReadError;
use super::blocks::{Blocks, bytes, past_end, u16_le, u32_le};
use std::collections::BTreeMap;
use std::io;

/// The depth to which directories are read.
const MAX_DEPTH: usize = 8;
/// The largest directory in bytes: FAT's own limit is 65536 entries.
const MAX_DIRECTORY: u64 = 65_536 * 32;

/// The most directories and files of a volume.
const MAX_ENTRIES: usize = 1 << 16;
/// The most clusters of a volume. This limit bounds the table, whatever the 32-bit fields say.
const MAX_CLUSTERS: u64 = 1 << 24;
/// The largest file in bytes.
const MAX_FILE: u64 = 1 << 30;

const ATTR_DIRECTORY: u8 = 0x10;
const ATTR_VOLUME_ID: u8 = 0x08;
const ATTR_LONG_NAME: u8 = 0x0f;
const ATTR_LONG_NAME_MASK: u8 = 0x3f;
const LAST_LONG_ENTRY: u8 = 0x40;
const FREE: u8 = 0xe5;
/// The lowest value of a table entry that ends a chain.
const END_OF_CHAIN: u32 = 0x0fff_fff8;

/// A file of a volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FatFile {
    first_cluster: u32,
    /// The size in bytes.
    pub size: u64,
}

/// A volume whose directories were read.
#[derive(Debug)]
pub struct Fat<'a> {
    volume: &'a dyn Blocks,
    /// `BPB_VolID`.
    pub id: u32,
    /// The active table, with an entry for each cluster.
    table: Vec<u32>,
    /// The byte offset of cluster 2.
    data: u64,
    cluster: u64,
    entries: usize,
    /// Files by path, in the spelling of the volume.
    pub files: BTreeMap<String, FatFile>,
    /// Whether all copies of the table are equal.
    pub copies_agree: bool,
}

impl<'a> Fat<'a> {
    /// Opens `volume` and reads its directories.
    ///
    /// # Errors
    /// [`ReadError::Damaged`].
    pub fn open(volume: &'a dyn Blocks) -> Result<Self, ReadError> {
        let boot = bytes(volume, 0, 512)?;
        let byte = |at: usize| u64::from(boot[at]);
        let word = |at: usize| u64::from(u16_le(&boot, at).unwrap_or(0));
        let long = |at: usize| u64::from(u32_le(&boot, at).unwrap_or(0));
        let (sector, cluster) = (word(11), word(11) * byte(13));
        let (reserved, copies, sectors, fat_sectors) = (word(14), byte(16), long(32), long(36));
        let plausible = sector.is_power_of_two()
            && (512..=4096).contains(&sector)
            && byte(13).is_power_of_two()
            && (1..=4).contains(&copies)
            && word(17) == 0
            && word(22) == 0
            && &boot[510..] == b"\x55\xaa";
        let data = (reserved + copies * fat_sectors) * sector;
        if !plausible || sectors * sector > volume.size() || data >= sectors * sector {
            return Err(ReadError::damaged("it is not a FAT32 volume"));
        }
        // Two entries of the table are not clusters.
        let clusters = ((sectors * sector - data) / cluster + 2).min(fat_sectors * sector / 4);
        if clusters > MAX_CLUSTERS {
            return Err(ReadError::damaged(format!("it has {clusters} clusters")));
        }
        let table = |copy: u64| bytes(volume, (reserved + copy * fat_sectors) * sector, clusters * 4);
        let first = table(0)?;
        let mut copies_agree = true;
        for copy in 1..copies {
            copies_agree &= table(copy)? == first;
        }
        let entries = first.chunks_exact(4).map(|entry| u32_le(entry, 0).unwrap_or(0) & 0x0fff_ffff).collect();
        let id = u32_le(&boot, 67).unwrap_or(0);
        let mut fat =
            Self { volume, id, table: entries, data, cluster, entries: 0, files: BTreeMap::new(), copies_agree };
        let root = u32_le(&boot, 44).unwrap_or(0);
        fat.directory("", root, 0)?;
        Ok(fat)
    }

    /// The bytes of `file`.
    ///
    /// # Errors
    /// [`ReadError::Damaged`].
    pub fn read(&self, file: &FatFile) -> Result<Vec<u8>, ReadError> {
        // No file is larger than its volume, so no memory is allocated for a wrong size.
        if file.size > self.volume.size().min(MAX_FILE) {
            return Err(past_end().into());
        }
        let mut content = self.chain(file.first_cluster, file.size)?;
        if (content.len() as u64) < file.size {
            return Err(ReadError::damaged("a file's chain of clusters ends before the file"));
        }
        content.truncate(usize::try_from(file.size).map_err(|_| past_end())?);
        Ok(content)
    }

    /// The clusters from `cluster` on, up to `limit` bytes, rounded up to a cluster.
    fn chain(&self, mut cluster: u32, limit: u64) -> io::Result<Vec<u8>> {
        let mut content = Vec::new();
        while (content.len() as u64) < limit && (2..END_OF_CHAIN).contains(&cluster) {
            let offset = self.data + u64::from(cluster - 2) * self.cluster;
            content.extend(bytes(self.volume, offset, self.cluster)?);
            cluster = usize::try_from(cluster).ok().and_then(|at| self.table.get(at)).copied().ok_or_else(past_end)?;
        }
        Ok(content)
    }

    fn directory(&mut self, prefix: &str, cluster: u32, depth: usize) -> Result<(), ReadError> {
        let content = self.chain(cluster, MAX_DIRECTORY)?;
        let mut long = Vec::new();
        for entry in content.chunks_exact(32).take_while(|entry| entry[0] != 0) {
            let attributes = entry[11];
            if entry[0] == FREE {
                long.clear();
            } else if attributes & ATTR_LONG_NAME_MASK == ATTR_LONG_NAME {
                // The parts are stored last first, each with 13 units.
                if entry[0] & LAST_LONG_ENTRY != 0 {
                    long.clear();
                }
                long.push(part(entry));
            } else {
                let name = name(entry, &long);
                long.clear();
                if attributes & ATTR_VOLUME_ID != 0 || name == "." || name == ".." {
                    continue;
                }
                let high = u32::from(u16_le(entry, 20).unwrap_or(0));
                let first_cluster = high << 16 | u32::from(u16_le(entry, 26).unwrap_or(0));
                let path = format!("{prefix}{name}");
                self.entries += 1;
                if self.entries > MAX_ENTRIES {
                    return Err(ReadError::damaged("it has too many files"));
                }
                if attributes & ATTR_DIRECTORY == 0 {
                    let size = u64::from(u32_le(entry, 28).unwrap_or(0));
                    if self.files.insert(path.clone(), FatFile { first_cluster, size }).is_some() {
                        return Err(ReadError::damaged(format!("{path:?} exists twice")));
                    }
                } else if depth < MAX_DEPTH {
                    self.directory(&format!("{path}/"), first_cluster, depth + 1)?;
                } else {
                    return Err(ReadError::damaged(format!("{path:?} is nested too deeply")));
                }
            }
        }
        Ok(())
    }
}

/// The units of one part of a long name.
fn part(entry: &[u8]) -> Vec<u16> {
    let units = [1..11, 14..26, 28..32].into_iter().flat_map(|range| entry[range].chunks_exact(2));
    units.map(|pair| u16::from_le_bytes([pair[0], pair[1]])).take_while(|unit| *unit != 0).collect()
}

/// An entry's name: the long one if there is one, else the short one.
fn name(entry: &[u8], long: &[Vec<u16>]) -> String {
    if !long.is_empty() {
        let units: Vec<u16> = long.iter().rev().flatten().copied().collect();
        return String::from_utf16_lossy(&units);
    }
    // Windows NT and mtools set a flag for names that are all lower case.
    let (base, extension) = (trimmed(&entry[..8], entry[12] & 0x08), trimmed(&entry[8..11], entry[12] & 0x10));
    if extension.is_empty() { base } else { format!("{base}.{extension}") }
}

fn trimmed(bytes: &[u8], lower: u8) -> String {
    let text = String::from_utf8_lossy(bytes);
    let text = text.trim_end_matches(' ');
    if lower != 0 { text.to_ascii_lowercase() } else { text.to_owned() }
}
