//! FAT12, FAT16 and FAT32 (Microsoft's FAT specification), read-only: volume label, long names,
//! files by path.

use super::device::{Pieces, le, read_at, read_pieces};
use std::io::{self, Read, Seek};
use zeroize::Zeroizing;

/// The largest directory, in bytes.
const MAX_DIRECTORY: usize = 256 << 10;
const ENTRY: usize = 32;
const ATTR_VOLUME_ID: u8 = 0x08;
const ATTR_DIRECTORY: u8 = 0x10;
const ATTR_LONG_NAME: u8 = 0x0f;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Fat12,
    Fat16,
    Fat32,
}

/// A volume.
pub(super) struct Fat<R> {
    device: R,
    kind: Kind,
    label: String,
    fat: u64,
    data: u64,
    cluster: usize,
    clusters: u32,
    root: Directory,
}

#[derive(Debug, Clone, Copy)]
enum Directory {
    /// FAT12 and FAT16: the area of the root, with offset and length.
    Area(u64, usize),
    /// A chain of clusters.
    Chain(u32),
}

/// A directory entry.
struct Entry {
    name: String,
    attributes: u8,
    cluster: u32,
    size: usize,
}

impl<R: Read + Seek> Fat<R> {
    /// Opens `device`; returns `None` if it contains something else.
    pub(super) fn open(mut device: R) -> io::Result<Option<Self>> {
        let boot = match read_at(&mut device, 0, 512) {
            Ok(boot) => boot,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(error) => return Err(error),
        };
        let sector = le::<2>(&boot, 11);
        let per_cluster = u32::from(boot[13]);
        let fats = u32::from(boot[16]);
        let sound = boot[510..] == [0x55, 0xaa]
            && matches!(sector, 512 | 1024 | 2048 | 4096)
            && per_cluster.is_power_of_two()
            && (1..=2).contains(&fats);
        if !sound {
            return Ok(None);
        }
        let either = |short: u32, long: u32| if short == 0 { long } else { short };
        let (reserved, entries) = (le::<2>(&boot, 14), le::<2>(&boot, 17));
        let total = either(le::<2>(&boot, 19), le::<4>(&boot, 32));
        let fat_size = either(le::<2>(&boot, 22), le::<4>(&boot, 36));
        let root_sectors = (entries * 32).div_ceil(sector);
        let at = |sectors: u64| sectors * u64::from(sector);
        let root = u64::from(reserved) + u64::from(fats) * u64::from(fat_size);
        let first_data = root + u64::from(root_sectors);
        let Some(data_sectors) = u64::from(total).checked_sub(first_data) else { return Ok(None) };
        let Ok(clusters) = u32::try_from(data_sectors / u64::from(per_cluster)) else { return Ok(None) };
        // The thresholds of the specification.
        let kind = match clusters {
            0..4085 => Kind::Fat12,
            4085..65525 => Kind::Fat16,
            _ => Kind::Fat32,
        };
        let root = match kind {
            Kind::Fat32 => Directory::Chain(le::<4>(&boot, 44)),
            _ => Directory::Area(at(root), (entries as usize) * ENTRY),
        };
        let cluster = (sector * per_cluster) as usize;
        let (fat, data) = (at(u64::from(reserved)), at(first_data));
        let mut volume = Self { device, kind, label: String::new(), fat, data, cluster, clusters, root };
        let label = volume.entries(root)?.into_iter().find(|entry| entry.attributes & ATTR_VOLUME_ID != 0);
        let in_boot = if kind == Kind::Fat32 { 71..82 } else { 43..54 };
        volume.label = match label {
            Some(entry) => entry.name,
            None => String::from_utf8_lossy(&boot[in_boot]).trim_end().to_owned(),
        };
        Ok(Some(volume))
    }

    /// The volume's label.
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
        let mut names = path.split('/').peekable();
        while let Some(name) = names.next() {
            let is_it = |entry: &Entry| entry.attributes & ATTR_VOLUME_ID == 0 && entry.name.eq_ignore_ascii_case(name);
            let Some(entry) = self.entries(at)?.into_iter().find(is_it) else { return Ok(None) };
            let is_directory = entry.attributes & ATTR_DIRECTORY != 0;
            if names.peek().is_some() {
                if !is_directory {
                    return Ok(None);
                }
                at = Directory::Chain(entry.cluster);
                continue;
            }
            if is_directory || entry.size > limit {
                return Err(io::Error::other(format!("{path} is a directory, or has more than {limit} bytes")));
            }
            let mut pieces = self.chain(entry.cluster, entry.size)?;
            let missing = entry.size.checked_sub(pieces.len() * self.cluster).is_some_and(|missing| missing > 0);
            if missing {
                return Err(io::Error::other(format!("{path} is truncated")));
            }
            if let Some((_, length)) = pieces.last_mut() {
                // The part of the last cluster beyond the file's end.
                *length = entry.size - (entry.size - 1) / self.cluster * self.cluster;
            }
            return Ok(Some(pieces));
        }
        Ok(None)
    }

    fn entries(&mut self, directory: Directory) -> io::Result<Vec<Entry>> {
        let bytes = match directory {
            Directory::Area(offset, length) => read_at(&mut self.device, offset, length)?,
            Directory::Chain(cluster) => {
                let pieces = self.chain(cluster, MAX_DIRECTORY)?;
                read_pieces(&mut self.device, &pieces)?.to_vec()
            }
        };
        let mut entries = Vec::new();
        // Parts of a long name are stored last first, before their entry.
        let mut long: Vec<u16> = Vec::new();
        for raw in bytes.chunks_exact(ENTRY) {
            let attributes = raw[11];
            match raw[0] {
                0 => break,
                0xe5 => long.clear(),
                _ if attributes & 0x3f == ATTR_LONG_NAME => {
                    let units = [1..11, 14..26, 28..32].into_iter().flat_map(|range| raw[range].chunks_exact(2));
                    let mut part: Vec<u16> = units.map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
                    part.extend(std::mem::take(&mut long));
                    part.truncate(20 * 13);
                    long = part;
                }
                _ => {
                    let cluster = le::<2>(raw, 20) << 16 | le::<2>(raw, 26);
                    let name = name(raw, &std::mem::take(&mut long), attributes);
                    entries.push(Entry { name, attributes, cluster, size: le::<4>(raw, 28) as usize });
                }
            }
        }
        Ok(entries)
    }

    /// The clusters of the chain that begins at `cluster`: enough for `wanted` bytes, or all.
    fn chain(&mut self, mut cluster: u32, wanted: usize) -> io::Result<Pieces> {
        let mut pieces = Pieces::new();
        while pieces.len() * self.cluster < wanted && (2..self.clusters.saturating_add(2)).contains(&cluster) {
            pieces.push((self.data + u64::from(cluster - 2) * self.cluster as u64, self.cluster));
            cluster = self.next(cluster)?;
        }
        Ok(pieces)
    }

    fn next(&mut self, cluster: u32) -> io::Result<u32> {
        let number = u64::from(cluster);
        Ok(match self.kind {
            Kind::Fat12 => {
                let pair = le::<2>(&read_at(&mut self.device, self.fat + number + number / 2, 2)?, 0);
                if cluster.is_multiple_of(2) { pair & 0xfff } else { pair >> 4 }
            }
            Kind::Fat16 => le::<2>(&read_at(&mut self.device, self.fat + number * 2, 2)?, 0),
            Kind::Fat32 => le::<4>(&read_at(&mut self.device, self.fat + number * 4, 4)?, 0) & 0x0fff_ffff,
        })
    }
}

fn name(raw: &[u8], long: &[u16], attributes: u8) -> String {
    let end = long.iter().position(|unit| *unit == 0).unwrap_or(long.len());
    if end > 0 {
        return String::from_utf16_lossy(&long[..end]);
    }
    let part = |range: std::ops::Range<usize>| String::from_utf8_lossy(&raw[range]).trim_end().to_owned();
    if attributes & ATTR_VOLUME_ID != 0 {
        return part(0..11);
    }
    match (part(0..8), part(8..11)) {
        (stem, extension) if extension.is_empty() => stem,
        (stem, extension) => format!("{stem}.{extension}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Cursor;

    /// The smallest FAT12 volume with one file; tests/it/cluster reads volumes of mkfs.vfat.
    fn volume() -> Vec<u8> {
        let mut image = vec![0; 16 * 512];
        let mut put = |at: usize, bytes: &[u8]| image[at..at + bytes.len()].copy_from_slice(bytes);
        // Sectors of 512 bytes, clusters of one, one reserved sector, one FAT of one sector, 16
        // root entries, 16 sectors.
        put(11, &[0, 2, 1, 1, 0, 1, 16, 0, 16, 0, 0xf8, 1, 0]);
        put(510, &[0x55, 0xaa]);
        put(512, &[0xf8, 0xff, 0xff, 0x03, 0xf0, 0xff]);
        put(1024, b"CIDATA     \x08");
        put(1056, b"SEED    TXT\x20");
        put(1056 + 26, &[2, 0]);
        put(1056 + 28, &600_u32.to_le_bytes());
        put(1536, &[b'a'; 600]);
        image
    }

    #[test]
    fn a_file_of_two_clusters_is_read() {
        let mut fat = Fat::open(Cursor::new(volume())).expect("read").expect("a volume");
        assert_eq!(fat.label(), "CIDATA");
        assert_eq!(fat.read("seed.txt", 600).expect("read").as_deref(), Some(&vec![b'a'; 600]));
        assert!(fat.read("seed.txt", 599).is_err(), "too large");
        assert!(fat.read("seed.txt/x", 600).expect("read").is_none());
        assert!(Fat::open(Cursor::new(vec![0; 4096])).expect("read").is_none());
    }

    proptest! {
        #[test]
        fn mutated_volumes_never_panic(changes in prop::collection::vec((0_usize..1536, any::<u8>()), 1..8), cut in 0_usize..8192) {
            let mut image = volume();
            changes.iter().for_each(|(at, byte)| image[*at] = *byte);
            image[510..512].copy_from_slice(&[0x55, 0xaa]);
            for image in [image.clone(), image[..cut].to_vec()] {
                if let Ok(Some(mut fat)) = Fat::open(Cursor::new(image)) {
                    let _ = fat.read("seed.txt", 1000);
                    let _ = fat.read("openstack/latest/user_data", 1000);
                }
            }
        }
    }
}
