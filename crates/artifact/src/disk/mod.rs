//! A disk that boots by UEFI, written sparse.
//!
//! Its root is first hashed and then written sequentially. The beginning of the disk names the root
//! hash, so once the hash is known, the digest of the whole disk can be computed while the root is
//! being written.
//!
//! The partitions follow the Discoverable Partitions Specification (UAPI.2): an EFI system
//! partition, root and its hash tree, and the latter two again, empty, for the next version. The
//! image has no partition for state: a node creates one at its first boot in the space of its disk
//! after the image. Nothing is random: identifiers are derived from the image's name and its root
//! hash.

mod digest;
mod esp;
mod layout;
mod partitions;
mod target;
mod uki;

pub use digest::{Front, digest_during, extract};
pub use layout::Sizes;
pub use target::At;

use super::initramfs::{self, InitramfsError};
use super::kernel::KernelError;
use super::platform::Platform;
use super::remedy;
use super::root::{RootError, RootImage};
use esp::{Contents, Esp};
use kiln_cache::Cache;
use kiln_format::block::RawFile;
use kiln_format::fat::FatError;
use kiln_format::gpt::{self, GptError};
use kiln_format::guid::Guid;
use kiln_format::pe::PeError;
use kiln_manifest::DiskRecord;
use kiln_pack::{CopyError, Store};
use kiln_profile::{AboutProfile, Key, fields};
use kiln_tree::{Digest, FileTree, ReadError};
use layout::Layout;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use uki::Uki;

const MIB: u64 = 1 << 20;
/// Ranges of data that are closer than this are merged.
const NEAR: u64 = 4096;

/// Why a disk cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// A file needed to boot is missing.
    #[error("the tree has no file /{path}, which a disk boots with; add {package} to debian.packages")]
    Missing {
        /// The file.
        path: String,
        /// The package that has it.
        package: &'static str,
    },
    /// No kernel, or more than one.
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// Sections cannot be added to the stub.
    #[error("making the unified kernel image from /{path}: {source}")]
    Stub {
        /// The stub.
        path: String,
        /// The cause.
        source: PeError,
    },
    /// The EFI system partition cannot be made.
    #[error("making the EFI system partition (disk.espSize, {} MiB): {source}", size / MIB)]
    Esp {
        /// Its size.
        size: u64,
        /// The cause.
        source: FatError,
    },
    /// The EFI system partition has no room for two versions.
    #[error(
        "the EFI system partition of {} MiB is too small: the boot loader and the kernel images of two versions need {} MiB; \
         make disk.espSize larger, or the image smaller",
        size / MIB, needed.div_ceil(MIB)
    )]
    EspTooSmall {
        /// Its size.
        size: u64,
        /// The size it needs.
        needed: u64,
    },
    /// The root does not fit its partition.
    #[error(
        "the root file system needs {} MiB, but its partition has {} MiB; make disk.rootSize larger, or \"fit\"",
        needed.div_ceil(MIB), size / MIB
    )]
    RootTooLarge {
        /// Bytes of the file system.
        needed: u64,
        /// Bytes of the partition.
        size: u64,
    },
    /// The partitions do not fit the disk.
    #[error(
        "the partitions need {} MiB, but the disk has {} MiB; make disk.size larger, or \"minimal\"",
        needed.div_ceil(MIB), size / MIB
    )]
    TooSmall {
        /// Bytes needed.
        needed: u64,
        /// Bytes of the disk.
        size: u64,
    },
    /// The partition table cannot be made.
    #[error("making the partition table: {0}")]
    Gpt(#[from] GptError),
    /// The initrd cannot be made.
    #[error("making the initrd: {0}")]
    Initrd(#[from] InitramfsError),
    /// The root cannot be made.
    #[error(transparent)]
    Root(#[from] RootError),
    /// A file needed to boot is damaged.
    #[error("copying the files that the disk boots: {0}")]
    Read(#[from] ReadError),
    /// The output cannot be written.
    #[error("writing {path}: {source}{}", remedy(source))]
    Write {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
}

impl AboutProfile for DiskError {
    fn key(&self) -> Option<Key> {
        match self {
            Self::Missing { .. } => Some(fields::DEBIAN_PACKAGES.into()),
            Self::Kernel(error) => error.key(),
            Self::Esp { .. } | Self::EspTooSmall { .. } => Some(fields::DISK_ESP_SIZE.into()),
            Self::RootTooLarge { .. } => Some(fields::DISK_ROOT_SIZE.into()),
            Self::TooSmall { .. } => Some(fields::DISK_SIZE.into()),
            Self::Gpt(GptError::LongName(_)) => Some(fields::IMAGE_VERSION.into()),
            _ => None,
        }
    }
}

/// The inputs of a disk.
#[derive(Debug)]
pub struct Disk<'a> {
    /// The finished tree, including kernel and boot loader.
    pub tree: &'a FileTree,
    /// The initrd, which finds, verifies and mounts the root.
    pub initrd: &'a FileTree,
    /// The contents of both.
    pub store: &'a Store,
    /// The cache for finished frames of the initrd.
    pub cache: &'a Cache,
    /// The image's time, seconds since 1970.
    pub epoch: u32,
    /// Image id and version.
    pub image: (&'a str, &'a str),
    /// Kernel command line, without the root hash.
    pub cmdline: &'a [String],
    /// Sizes of partitions and disk.
    pub sizes: DiskSizes,
    /// The target architecture.
    pub platform: &'a Platform,
    /// Threads to use; the bytes do not depend on it.
    pub threads: usize,
}

/// Sizes in bytes, whole mebibytes; absent sizes are fitted to the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiskSizes {
    /// EFI system partition.
    pub esp: u64,
    /// Each root partition.
    pub slot: Option<u64>,
    /// The disk.
    pub disk: Option<u64>,
}

/// A disk that is complete except for the root's file system.
#[derive(Debug)]
pub struct Begun {
    /// Its size in bytes, including that file system.
    pub disk: RawFile,
    /// Its GUID.
    pub guid: Guid,
    /// Its record for the manifest.
    pub record: DiskRecord,
    /// dm-verity's root hash.
    pub root_hash: Digest,
    /// The byte ranges of the root's file system and of its hash tree.
    pub places: [Range<u64>; 2],
}

/// The EFI system partition, written except for the command line.
struct Started<'a> {
    uki: Uki<'a>,
    /// The offset of the image on the disk.
    offset: u64,
    data: Vec<Range<u64>>,
}

impl Disk<'_> {
    /// Writes the disk to the empty file `file`, which errors call `path`, except for `root`
    /// itself, for which it reserves space: see [`Begun::places`].
    ///
    /// # Errors
    /// [`DiskError`].
    pub fn begin(&self, file: &File, path: &Path, root: &RootImage<'_>) -> Result<Begun, DiskError> {
        let failed = |source| DiskError::Write { path: path.to_owned(), source };
        let DiskSizes { esp, slot, disk } = self.sizes;
        let layout = Layout::new(&Sizes { esp, root: root.size(), slot, disk })?;
        file.set_len(layout.size).map_err(failed)?;

        let (started, tree) = std::thread::scope(|scope| {
            let started = scope.spawn(|| self.start_esp(file, path, &layout.esp));
            let tree = root.hash_tree(self.store);
            (started.join(), tree)
        });
        let died = |_| failed(io::Error::other("a thread panicked; this is a bug in kiln"));
        let (Started { uki, offset, mut data }, tree) = (started.map_err(died)??, tree?);
        let root_hash = Digest::from(tree.root);

        let cmdline = self.cmdline(&root_hash.to_string());
        uki.write_cmdline(&cmdline, file, offset).map_err(failed)?;
        let table = partitions::table(&layout, self.image, self.platform, &root_hash);
        let gpt::Bytes { primary, backup } = table.to_bytes()?;
        let [slot, _] = &layout.slots;
        let end = layout.size - backup.len() as u64;
        for (bytes, offset) in [(&primary, 0), (&tree.bytes, slot.verity.start), (&backup, end)] {
            file.write_all_at(bytes, offset).map_err(failed)?;
            data.push(offset..offset + bytes.len() as u64);
        }
        let place = |start, size| start..start + size;
        data.extend(root.data().iter().map(|range| slot.root.start + range.start..slot.root.start + range.end));
        Ok(Begun {
            disk: RawFile::new(file.try_clone().map_err(failed)?, layout.size, merged(data)),
            guid: table.disk_guid,
            record: partitions::record(&table, cmdline),
            root_hash,
            places: [place(slot.root.start, root.size()), place(slot.verity.start, tree.bytes.len() as u64)],
        })
    }

    /// Writes the EFI system partition except for the command line, while the root is being hashed.
    fn start_esp(&self, file: &File, path: &Path, place: &Range<u64>) -> Result<Started<'_>, DiskError> {
        let failed = |source| DiskError::Write { path: path.to_owned(), source };
        let copied = |error| match error {
            CopyError::Read(source) => DiskError::Read(source),
            CopyError::Write(source) => failed(source),
        };
        let cmdline = self.cmdline(&"0".repeat(64)).len();
        let (initrd, written) = self.compress_initrd(path)?;
        let uki = Uki::plan(self.tree, self.store, self.platform, (initrd, &written), cmdline)?;
        let loader = uki::boot_loader(self.tree, self.platform)?;
        let contents = Contents {
            size: place.end - place.start,
            id: partitions::volume_id(self.image),
            epoch: self.epoch,
            image: self.image,
            loader: loader.size,
            uki: uki.size(),
        };
        let esp = Esp::plan(&contents, self.platform)?;
        let mut data = Vec::new();
        let mut on_disk = |range: &Range<u64>| {
            data.push(place.start + range.start..place.start + range.end);
            place.start + range.start
        };
        for (offset, bytes) in &esp.metadata {
            let offset = on_disk(&(*offset..offset + bytes.len() as u64));
            file.write_all_at(bytes, offset).map_err(failed)?;
        }
        for range in &esp.loaders {
            self.store.copy(loader, &mut At { file, offset: on_disk(range) }).map_err(copied)?;
        }
        let offset = on_disk(&esp.uki);
        uki.write(self.store, file, offset).map_err(copied)?;
        Ok(Started { uki, offset, data })
    }

    /// The command line for a root with this hash. `gpt` makes the kernel use the backup of the
    /// partition table at the disk's end if the primary table is damaged by a power loss while the
    /// node created or grew the partition for its state.
    fn cmdline(&self, root_hash: &str) -> String {
        let words = self.cmdline.iter().map(String::as_str);
        words.chain(["gpt", format!("roothash={root_hash}").as_str()]).collect::<Vec<_>>().join(" ")
    }

    /// Compresses the initrd into an unnamed temporary file.
    fn compress_initrd(&self, path: &Path) -> Result<(File, initramfs::Written), DiskError> {
        let failed = |source| DiskError::Write { path: path.to_owned(), source };
        let file = tempfile::tempfile_in(path.parent().unwrap_or(Path::new("."))).map_err(failed)?;
        let plan = initramfs::Plan::new(self.initrd, self.epoch)?;
        let written = plan.write(self.store, self.cache, self.threads, (&file, path), &|_| {})?;
        Ok((file, written))
    }
}

/// Sorts `ranges` and merges those that touch or nearly touch.
fn merged(mut ranges: Vec<Range<u64>>) -> Vec<Range<u64>> {
    ranges.retain(|range| range.start < range.end);
    ranges.sort_by_key(|range| range.start);
    let mut merged: Vec<Range<u64>> = Vec::new();
    for range in ranges {
        match merged.last_mut() {
            Some(last) if range.start <= last.end.saturating_add(NEAR) => last.end = last.end.max(range.end),
            _ => merged.push(range),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_sorted_and_merged() {
        let merged = merged(vec![9 << 20..10 << 20, 0..512, 512..600, 5000..5000, 4000..5000, 1 << 20..2 << 20]);
        assert_eq!(merged, [0..5000, 1 << 20..2 << 20, 9 << 20..10 << 20]);
    }
}
