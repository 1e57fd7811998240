//! The root of a node's disk: a read-only file system and the hash tree that verifies it.

use super::remedy;
use kiln_format::block::BlockSink;
use kiln_format::ext4::{self, Ext4Error};
use kiln_format::filesystem::{FileSystem, WriteError};
use kiln_format::guid::Guid;
use kiln_format::inodes::{Attributes, Inodes, Kind as InodeKind, ROOT};
use kiln_format::verity::{self, HashTree};
use kiln_pack::{CopyError, Store};
use kiln_profile::RootFileSystem;
use kiln_tree::{Content, DeviceKind, Digest, Entry, FileTree, Kind, Origin, ReadError, TreePath};
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// The label of the file system.
pub const LABEL: &str = "kiln-root";

/// The parameters of a root besides its tree.
#[derive(Debug, Clone, Copy)]
pub struct RootOptions<'a> {
    /// Its file system.
    pub file_system: RootFileSystem,
    /// Image id and version: UUIDs and salt are derived from them.
    pub image: (&'a str, &'a str),
    /// The image's time, seconds since 1970.
    pub epoch: u32,
    /// The size of the file system in bytes, a multiple of 4096; fitted to the tree when absent.
    pub size: Option<u64>,
}

/// Why a root cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum RootError {
    /// ext4 cannot hold the tree.
    #[error("making the root file system: {0}")]
    Ext4(#[from] Ext4Error),
    /// A content is missing or damaged.
    #[error("writing /{path} to the root file system: {source}")]
    Content {
        /// The file.
        path: TreePath,
        /// The cause.
        source: ReadError,
    },
    /// A content does not have the size in the tree.
    #[error("writing {path} to the root file system: {missing} bytes are missing; this is a bug in kiln")]
    Short {
        /// The file.
        path: String,
        /// The number of missing bytes.
        missing: u64,
    },
    /// A block is beyond the file system.
    #[error("hashing the root file system: {0}; this is a bug in kiln")]
    Hash(io::Error),
    /// The output failed.
    #[error("writing {path}: {source}{}", remedy(source))]
    Write {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
}

/// A root in which every byte has been assigned, but which is not written yet.
pub struct RootImage<'a> {
    file_system: Box<dyn FileSystem<RootFile<'a>, RootError> + 'a>,
    parameters: verity::Parameters,
}

/// The destination of a root.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The file, which contains zeros at this place.
    pub file: &'a File,
    /// Its path, for errors.
    pub path: &'a Path,
    /// The offset of the root.
    pub offset: u64,
}

impl<'a> RootImage<'a> {
    /// Lays out everything in `tree`, which is the root as a running node sees it.
    ///
    /// # Errors
    /// [`RootError::Ext4`].
    pub fn plan(tree: &'a FileTree, options: &RootOptions<'_>) -> Result<Self, RootError> {
        let derived = |what: &str| Digest::of(format!("{}\0{}\0{what}", options.image.0, options.image.1).as_bytes());
        let uuid = |what: &str| Guid::derived(derived(what).as_bytes());
        let inodes = inodes(tree, options.epoch);
        let file_system: Box<dyn FileSystem<_, _> + 'a> = match options.file_system {
            RootFileSystem::Ext4 => Box::new(ext4::Layout::new(
                inodes,
                ext4::Options {
                    uuid: uuid("root"),
                    hash_seed: uuid("hash-seed"),
                    label: LABEL,
                    time: options.epoch,
                    size: options.size,
                },
            )?),
        };
        let data_blocks = file_system.size() / verity::BLOCK_SIZE as u64;
        let salt = *derived("verity-salt").as_bytes();
        let parameters = verity::Parameters { uuid: uuid("root-verity"), salt, data_blocks };
        Ok(Self { file_system, parameters })
    }

    /// The size of the file system in bytes.
    pub fn size(&self) -> u64 {
        self.file_system.size()
    }

    /// The byte ranges that may contain anything other than zeros, relative to the root.
    pub fn data(&self) -> Vec<Range<u64>> {
        self.file_system.data()
    }

    /// The superblock of the hash tree, which is known before the tree.
    pub fn superblock(&self) -> Vec<u8> {
        self.parameters.superblock()
    }

    /// Hashes the file system before it is written: rayon's threads read and verify all its
    /// contents.
    ///
    /// # Errors
    /// [`RootError`].
    pub fn hash_tree(&self, store: &Store) -> Result<HashTree, RootError> {
        let hasher = verity::Hasher::new(self.parameters.clone());
        let copy = |file: &RootFile<'a>, out: &mut dyn io::Write| {
            store.copy(file.content, out).map_err(|error| file.failed(error, RootError::Hash))
        };
        self.file_system.write(&hasher, &copy).map_err(|error| failed(error, RootError::Hash))?;
        Ok(hasher.finish())
    }

    /// Writes the file system sequentially to `place` after [`RootImage::hash_tree`] has verified its
    /// contents; a content that changed since then does not match the hash tree. `written` is
    /// called with each written range of bytes, relative to the root.
    ///
    /// # Errors
    /// [`RootError`].
    pub fn write(
        &self,
        store: &Store,
        place: Place<'_>,
        written: &(dyn Fn(Range<u64>) + Sync),
    ) -> Result<(), RootError> {
        let copy = |file: &RootFile<'a>, out: &mut dyn io::Write| {
            store.copy_again(file.content, out).map_err(|error| file.failed(error, |source| place.failed(source)))
        };
        let target = Target { place, written };
        self.file_system.write_in_order(&target, &copy).map_err(|error| failed(error, |source| place.failed(source)))
    }
}

/// Converts the error of a file system; `sink` converts errors of the destination.
fn failed(error: WriteError<RootError>, sink: impl FnOnce(io::Error) -> RootError) -> RootError {
    match error {
        WriteError::Copy(error) => error,
        WriteError::Short { path, missing } => RootError::Short { path, missing },
        WriteError::Write(source) => sink(source),
    }
}

impl Place<'_> {
    fn failed(&self, source: io::Error) -> RootError {
        RootError::Write { path: self.path.to_owned(), source }
    }
}

/// A regular file of the tree.
struct RootFile<'a> {
    path: &'a TreePath,
    content: &'a Content,
}

impl RootFile<'_> {
    /// Converts the error of a copy; `sink` converts errors of the destination.
    fn failed(&self, error: CopyError, sink: impl FnOnce(io::Error) -> RootError) -> RootError {
        match error {
            CopyError::Read(source) => RootError::Content { path: self.path.clone(), source },
            CopyError::Write(source) => sink(source),
        }
    }
}

/// A part of a file that is written sequentially.
struct Target<'a> {
    place: Place<'a>,
    written: &'a (dyn Fn(Range<u64>) + Sync),
}

impl BlockSink for Target<'_> {
    fn write_at(&self, blocks: &[u8], offset: u64) -> io::Result<()> {
        self.place.file.write_all_at(blocks, self.place.offset + offset)?;
        (self.written)(offset..offset + blocks.len() as u64);
        Ok(())
    }
}

/// The inodes of `tree`.
fn inodes(tree: &FileTree, epoch: u32) -> Inodes<'_, RootFile<'_>> {
    static NO_XATTRS: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let root = Attributes { mode: 0o755, uid: 0, gid: 0, mtime: epoch, xattrs: &NO_XATTRS };
    let mut inodes = Inodes::new(root);
    let mut directories = BTreeMap::from([("", ROOT)]);
    let mut links = BTreeMap::new();
    for (path, entry) in tree {
        // A tree contains every parent, before its children.
        let parent = directories.get(path.parent().unwrap_or("")).copied().unwrap_or(ROOT);
        let name = path.name().as_bytes();
        let link = match &entry.kind {
            Kind::File { link, .. } => link.as_ref(),
            _ => None,
        };
        if let Some(first) = link.and_then(|link| links.get(link)) {
            inodes.link(parent, name, *first);
            continue;
        }
        let index = inodes.add(parent, name, kind(path, entry), attributes(entry, epoch));
        if entry.is_dir() {
            directories.insert(path.as_str(), index);
        }
        if let Some(link) = link {
            links.insert(link, index);
        }
    }
    inodes
}

fn kind<'a>(path: &'a TreePath, entry: &'a Entry) -> InodeKind<'a, RootFile<'a>> {
    match &entry.kind {
        Kind::Directory => InodeKind::Directory(Vec::new()),
        Kind::File { content, .. } => InodeKind::Regular {
            size: content.size,
            content: RootFile { path, content },
            late: !matches!(entry.meta.origin, Origin::Package(_) | Origin::Artifact(_)),
        },
        Kind::Symlink(target) => InodeKind::Symlink(target.as_bytes()),
        Kind::Device { kind: DeviceKind::Char, major, minor } => InodeKind::Char { major: *major, minor: *minor },
        Kind::Device { kind: DeviceKind::Block, major, minor } => InodeKind::Block { major: *major, minor: *minor },
        Kind::Fifo => InodeKind::Fifo,
    }
}

fn attributes(entry: &Entry, epoch: u32) -> Attributes<'_> {
    let meta = &entry.meta;
    Attributes { mode: meta.mode, uid: meta.uid, gid: meta.gid, mtime: meta.time(epoch), xattrs: &meta.xattrs }
}
