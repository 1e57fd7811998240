//! FAT32 volumes, written in one pass (Microsoft's "FAT32 File System Specification", fatgen103).
//!
//! A [`Volume`] is first given its files; [`Volume::plan`] then says which bytes go where. Files
//! are contiguous, so a caller writes each in one run, and what no file covers stays unwritten: the
//! volume is as sparse as its files allow. Nothing is taken from the clock: the caller provides all
//! dates, in UTC.

mod directory;
mod geometry;

use directory::{Directory, Node, Stamp};
use geometry::Geometry;
use std::collections::BTreeMap;
use std::ops::Range;

/// The cluster of the root directory; the first two cluster numbers are reserved.
const ROOT_CLUSTER: u32 = 2;
/// The end of a chain.
const END_OF_CHAIN: u32 = 0x0fff_ffff;
/// The first two entries: the medium, and a volume that was unmounted cleanly.
const RESERVED_ENTRIES: [u32; 2] = [0x0fff_fff8, END_OF_CHAIN];

/// Why a volume cannot be made.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum FatError {
    /// The size gives too few clusters for FAT32.
    #[error("a FAT32 volume of {size} bytes is too small; the smallest has {least} bytes")]
    TooSmall {
        /// The requested size.
        size: u64,
        /// The smallest size.
        least: u64,
    },
    /// The size needs more than 32 bits.
    #[error("a FAT32 volume of {size} bytes is too large; the largest has {most} bytes")]
    TooLarge {
        /// The requested size.
        size: u64,
        /// The largest size.
        most: u64,
    },
    /// The files do not fit.
    #[error("{needed} bytes of files and directories do not fit the FAT32 volume, which has {room} bytes for them")]
    Full {
        /// The bytes of clusters needed.
        needed: u64,
        /// The bytes of clusters available.
        room: u64,
    },
    /// The file is too large for a size field of 32 bits.
    #[error("{path:?} of {size} bytes is too large for FAT32, which holds only files below 4 GiB")]
    FileTooLarge {
        /// The file.
        path: String,
        /// Its size.
        size: u64,
    },
    /// A name that FAT does not allow.
    #[error(
        "{0:?} cannot be a name on FAT32 (1 to 255 UTF-16 units, no \" * / : < > ? \\ |, no dot or space at the end)"
    )]
    Name(String),
    /// Two names that differ only by case, or a file in the place of a directory.
    #[error("{0:?} is already on the FAT32 volume, where names that differ only by case are equal")]
    Duplicate(String),
    /// A label that FAT does not allow.
    #[error("{0:?} cannot be the label of a FAT32 volume (1 to 11 upper-case letters, digits, \"-\" and \"_\")")]
    Label(String),
}

/// A volume and its future contents.
#[derive(Debug, Clone)]
pub struct Volume {
    geometry: Geometry,
    id: u32,
    label: [u8; 11],
    stamp: Stamp,
    root: Directory,
}

/// The bytes of a volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Everything except the files' contents: byte offset and bytes, ascending.
    pub metadata: Vec<(u64, Vec<u8>)>,
    /// The byte range of each file's content, by path.
    pub files: BTreeMap<String, Range<u64>>,
}

impl Volume {
    /// A volume of `size` bytes with serial number `id` and `label`. Everything on it gets the date
    /// `time` (seconds since 1970).
    ///
    /// # Errors
    /// [`FatError`] when FAT32 does not allow the size or the label.
    pub fn new(size: u64, id: u32, label: &str, time: u32) -> Result<Self, FatError> {
        let allowed = |char: u8| char.is_ascii_uppercase() || char.is_ascii_digit() || b"-_".contains(&char);
        if label.is_empty() || label.len() > 11 || !label.bytes().all(allowed) {
            return Err(FatError::Label(label.to_owned()));
        }
        let mut padded = [b' '; 11];
        padded[..label.len()].copy_from_slice(label.as_bytes());
        let geometry = Geometry::new(size)?;
        Ok(Self { geometry, id, label: padded, stamp: Stamp::new(time), root: Directory::default() })
    }

    /// Puts a file of `size` bytes at `path` (`EFI/BOOT/BOOTX64.EFI`); missing directories above it
    /// are added.
    ///
    /// # Errors
    /// [`FatError`] when FAT cannot hold it.
    pub fn add(&mut self, path: &str, size: u64) -> Result<(), FatError> {
        let size = u32::try_from(size).map_err(|_| FatError::FileTooLarge { path: path.to_owned(), size })?;
        self.root.add(path, path, size)
    }

    /// Lays everything out: directories first, then files, each in the order of their paths.
    ///
    /// # Errors
    /// [`FatError::Full`].
    pub fn plan(&self) -> Result<Plan, FatError> {
        let mut layout = Layout::new(&self.geometry);
        let mut files = Vec::new();
        let mut directories = Vec::new();
        layout.directory(&self.root, "", &mut directories, &mut files);
        let mut first_clusters = BTreeMap::new();
        for found in &directories {
            first_clusters.insert(found.path.clone(), layout.take(found.directory.size(found.path.is_empty())));
        }
        let mut contents = BTreeMap::new();
        for (path, size) in files {
            let cluster = layout.take(u64::from(size));
            let start = if size == 0 { 0 } else { self.geometry.cluster_offset(cluster) };
            contents.insert(path.clone(), start..start + u64::from(size));
            first_clusters.insert(path, if size == 0 { 0 } else { cluster });
        }
        layout.check()?;

        let mut metadata = Vec::new();
        let free = self.geometry.clusters - layout.used();
        let boot = self.geometry.boot_sectors(self.id, &self.label, free, layout.next());
        metadata.push((0, boot));
        let table: Vec<u8> = layout.table.iter().flat_map(|entry| entry.to_le_bytes()).collect();
        for copy in 0..geometry::FATS {
            metadata.push((self.geometry.fat_offset(copy), table.clone()));
        }
        for found in &directories {
            let first = |path: &str| first_clusters.get(path).copied().unwrap_or(0);
            let label = found.path.is_empty().then_some(&self.label);
            let bytes = found.directory.to_bytes(&found.path, label, &self.stamp, &first);
            metadata.push((self.geometry.cluster_offset(first(&found.path)), bytes));
        }
        Ok(Plan { metadata, files: contents })
    }
}

/// A directory and its path; the root's path is empty.
struct Found<'a> {
    path: String,
    directory: &'a Directory,
}

/// The allocation table while it is filled, starting at the first cluster.
struct Layout<'a> {
    geometry: &'a Geometry,
    table: Vec<u32>,
    /// The bytes of clusters requested, whether they fit or not.
    needed: u64,
}

impl<'a> Layout<'a> {
    fn new(geometry: &'a Geometry) -> Self {
        Self { geometry, table: RESERVED_ENTRIES.to_vec(), needed: 0 }
    }

    fn directory<'d>(
        &self,
        directory: &'d Directory,
        path: &str,
        directories: &mut Vec<Found<'d>>,
        files: &mut Vec<(String, u32)>,
    ) {
        directories.push(Found { path: path.to_owned(), directory });
        for (name, node) in directory.iter() {
            let path = directory::join(path, name);
            match node {
                Node::Directory(below) => self.directory(below, &path, directories, files),
                Node::File(size) => files.push((path, *size)),
            }
        }
    }

    /// Allocates a chain of clusters for `size` bytes; returns its first cluster.
    fn take(&mut self, size: u64) -> u32 {
        let first = self.next();
        let count = size.div_ceil(self.geometry.cluster_size());
        self.needed += count * self.geometry.cluster_size();
        if self.needed > self.geometry.room() {
            // This becomes an error at the end; what does not fit is not stored.
            return first;
        }
        for left in (0..count).rev() {
            let next = self.next() + 1;
            self.table.push(if left == 0 { END_OF_CHAIN } else { next });
        }
        first
    }

    /// The first free cluster.
    fn next(&self) -> u32 {
        // The geometry has at most 2^28 clusters, and no more are allocated.
        u32::try_from(self.table.len()).unwrap_or(u32::MAX)
    }

    fn used(&self) -> u32 {
        self.next() - ROOT_CLUSTER
    }

    fn check(&self) -> Result<(), FatError> {
        let room = self.geometry.room();
        if self.needed > room { Err(FatError::Full { needed: self.needed, room }) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests;
