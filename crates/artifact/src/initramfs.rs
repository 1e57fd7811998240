//! An initramfs as a sequence of cached frames.
//!
//! The tree is cut into frames of whole cpio members: directories first, then packages by name,
//! then artifacts, and what changes most often last. The name of a frame is a digest of all its
//! headers and contents, so a frame found in the cache under that name *is* this frame, and a
//! changed file affects only its own frame.

use super::remedy;
use kiln_cache::{Cache, CacheError, DerivedFile};
use kiln_format::cpio::{self, FileType, Header};
use kiln_format::frames;
use kiln_pack::{CopyError, Store};
use kiln_tree::{Content, DeviceKind, Digest, Entry, FileTree, Kind, LinkGroup, Origin, ReadError, TreePath};
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Condvar, Mutex};

/// Increment it when the same members would make a different frame.
const FRAME_VERSION: u32 = 1;
/// A frame ends at the first member boundary after this many bytes.
const FRAME_SIZE: u64 = 8 << 20;
/// Packages of at least this size get separate frames, so that a changed package does not move the
/// cuts of others.
const OWN_FRAMES: u64 = 1 << 20;
/// The number of frames compressed in parallel: a compressor holds a few megabytes.
const MAX_COMPRESSORS: usize = 12;
/// The number of frames that may wait to be hashed, each an open file.
const HASHED_AHEAD: usize = 64;
/// The number of threads for one large frame; each holds about 10 MiB.
const MAX_FRAME_THREADS: usize = 6;

/// Why an initramfs cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum InitramfsError {
    /// newc's size field has 32 bits.
    #[error(
        "/{path} has {size} bytes; an initramfs holds only files below 4 GiB: build a disk image, or prune the file"
    )]
    TooLarge {
        /// The file.
        path: TreePath,
        /// Its size.
        size: u64,
    },
    /// newc cannot hold the path.
    #[error("/{path} cannot be in an initramfs: {source}")]
    Header {
        /// The file.
        path: TreePath,
        /// The cause.
        source: io::Error,
    },
    /// A content is missing or damaged.
    #[error("compressing /{path}: {source}")]
    Content {
        /// The file.
        path: TreePath,
        /// The cause.
        source: ReadError,
    },
    /// The cache failed.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// A frame cannot be read back from the cache.
    #[error("reading a frame of the initramfs from the cache: {0}")]
    Frame(io::Error),
    /// The output failed.
    #[error("writing {path}: {source}{}", remedy(source))]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Size and digests of what was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Bytes.
    pub size: u64,
    /// The SHA-256 of the bytes.
    pub digest: Digest,
    /// The SHA-256 of all headers and content digests: it identifies the contents independent of
    /// compression.
    pub members: Digest,
}

/// The tree cut into frames.
#[derive(Debug)]
pub struct Plan<'a> {
    frames: Vec<Frame<'a>>,
}

#[derive(Debug)]
struct Frame<'a> {
    members: Vec<Member<'a>>,
    size: u64,
    key: Digest,
}

#[derive(Debug)]
struct Member<'a> {
    path: &'a TreePath,
    header: Vec<u8>,
    data: Data<'a>,
}

#[derive(Debug)]
enum Data<'a> {
    None,
    File(&'a Content),
    Target(&'a str),
}

impl<'a> Plan<'a> {
    /// Cuts `tree` into frames. Times later than `epoch` (seconds since 1970) and the times of
    /// files that kiln made become `epoch`.
    ///
    /// # Errors
    /// [`InitramfsError::TooLarge`].
    pub fn new(tree: &'a FileTree, epoch: u32) -> Result<Self, InitramfsError> {
        let mut groups: BTreeMap<(u8, &str), Vec<(&TreePath, &Entry)>> = BTreeMap::new();
        for (path, entry) in tree {
            groups.entry(group(entry)).or_default().push((path, entry));
        }
        let mut links = Links::new(tree);
        let mut frames = Vec::new();
        let mut open: Vec<Member<'a>> = Vec::new();
        let mut size = 0;
        for entries in groups.into_values() {
            let members: Vec<Member<'a>> = entries
                .into_iter()
                .map(|(path, entry)| member(path, entry, epoch, &mut links))
                .collect::<Result<_, _>>()?;
            let own = members.iter().map(Member::size).sum::<u64>() >= OWN_FRAMES;
            if own {
                close(&mut frames, &mut open, &mut size);
            }
            for member in members {
                let large = member.size() > frames::PARALLEL_FROM;
                if large || size + member.size() > FRAME_SIZE {
                    close(&mut frames, &mut open, &mut size);
                }
                size += member.size();
                open.push(member);
                if large {
                    close(&mut frames, &mut open, &mut size);
                }
            }
            if own {
                close(&mut frames, &mut open, &mut size);
            }
        }
        close(&mut frames, &mut open, &mut size);
        Ok(Self { frames })
    }

    /// Writes the initramfs to `out`, which errors call `path`; up to `threads` threads make the
    /// frames that are not in `cache`. `made` is called with the number of bytes of each new frame.
    ///
    /// # Errors
    /// [`InitramfsError`].
    pub fn write(
        &self,
        store: &Store,
        cache: &Cache,
        threads: usize,
        (out, path): (&File, &Path),
        made: &(dyn Fn(u64) + Sync),
    ) -> Result<Written, InitramfsError> {
        let mut order: Vec<usize> = (0..self.frames.len()).collect();
        order.sort_by_key(|&index| std::cmp::Reverse(self.frames[index].size));
        let split = order.partition_point(|&index| self.frames[index].size > frames::PARALLEL_FROM);
        let ready = Ready::new(self.frames.len());
        let frame_threads = u32::try_from(threads.clamp(1, MAX_FRAME_THREADS)).unwrap_or(1);
        let large = Mutex::new(order[..split].iter());
        let small = Mutex::new(order[split..].iter());
        let work = |queue: &Mutex<std::slice::Iter<'_, usize>>| {
            let _guard = Guard(&ready);
            while let Some(&index) = queue.lock().ok().and_then(|mut queue| queue.next()) {
                if ready.failed() {
                    return;
                }
                let frame = &self.frames[index];
                ready.put(index, frame.cached_or_made(store, cache, frame_threads, made));
            }
        };
        std::thread::scope(|scope| {
            scope.spawn(|| work(&large));
            for _ in 0..threads.clamp(1, MAX_COMPRESSORS) {
                scope.spawn(|| work(&small));
            }
            self.assemble(&ready, out, path)
        })
    }

    /// Copies the frames to `out` in order, inside the kernel if possible, while another thread
    /// hashes them.
    fn assemble(&self, ready: &Ready, out: &File, path: &Path) -> Result<Written, InitramfsError> {
        let failed = |source| InitramfsError::Write { path: path.to_owned(), source };
        let mut members = Sha256::new();
        let (frames, to_hash) = sync_channel::<Arc<DerivedFile>>(HASHED_AHEAD);
        let (mut size, mut hasher) = std::thread::scope(|scope| -> Result<(u64, Sha256), InitramfsError> {
            let hashed = scope.spawn(move || hash(&to_hash));
            let mut size = 0;
            for (index, frame) in self.frames.iter().enumerate() {
                members.update(frame.key.as_bytes());
                let file = Arc::new(ready.take(index)?);
                // The hashing thread only ends early with its own error, which is reported below.
                let _ = frames.send(Arc::clone(&file));
                size += io::copy(&mut (&file.file).take(file.len), &mut &*out).map_err(failed)?;
            }
            drop(frames);
            let hasher = hashed.join().unwrap_or_else(|_| Err(io::Error::other("the hashing thread panicked")));
            Ok((size, hasher.map_err(InitramfsError::Frame)?))
        })?;
        let mut trailer = Vec::new();
        cpio::write_trailer(&mut trailer).map_err(failed)?;
        let mut encoder = frames::encoder(Vec::new(), trailer.len() as u64, 1).map_err(failed)?;
        encoder.write_all(&trailer).map_err(failed)?;
        let trailer = encoder.finish().map_err(failed)?;
        (&mut &*out).write_all(&trailer).map_err(failed)?;
        hasher.update(&trailer);
        size += trailer.len() as u64;
        Ok(Written { size, digest: Digest::finish(hasher), members: Digest::finish(members) })
    }
}

/// Hashes frames one after another, without moving the file position at which they are copied.
fn hash(frames: &Receiver<Arc<DerivedFile>>) -> io::Result<Sha256> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    for frame in frames {
        let mut offset = 0;
        while offset < frame.len {
            let wanted = usize::try_from(frame.len - offset).map_or(buffer.len(), |left| left.min(buffer.len()));
            match frame.file.read_at(&mut buffer[..wanted], offset)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                got => {
                    hasher.update(&buffer[..got]);
                    offset += got as u64;
                }
            }
        }
    }
    Ok(hasher)
}

impl Frame<'_> {
    fn cached_or_made(
        &self,
        store: &Store,
        cache: &Cache,
        threads: u32,
        made: &(dyn Fn(u64) + Sync),
    ) -> Result<DerivedFile, InitramfsError> {
        // Verified before it is copied, here where many threads run; a damaged frame is made again.
        if let Some(file) = cache.open_derived("frame", &self.key)
            && io::copy(&mut file.into_reader(), &mut io::sink()).is_ok()
            && let Some(file) = cache.open_derived("frame", &self.key)
        {
            return Ok(file);
        }
        let path = cache.derived_path("frame", &self.key)?;
        let failed = |source| InitramfsError::Cache(CacheError::writing(&path, source));
        let file = cache.derived_writer("frame", &self.key)?;
        let mut encoder = frames::encoder(file, self.size, threads).map_err(failed)?;
        for member in &self.members {
            encoder.write_all(&member.header).map_err(failed)?;
            match member.data {
                Data::None => {}
                Data::Target(target) => encoder.write_all(target.as_bytes()).map_err(failed)?,
                Data::File(content) => store.copy(content, &mut encoder).map_err(|error| match error {
                    CopyError::Read(source) => InitramfsError::Content { path: member.path.clone(), source },
                    CopyError::Write(source) => failed(source),
                })?,
            }
            cpio::pad(&mut encoder, member.data.size()).map_err(failed)?;
        }
        encoder.finish().map_err(failed)?.finish()?;
        made(self.size);
        let vanished = || InitramfsError::Frame(io::Error::other("it was removed; build again"));
        cache.open_derived("frame", &self.key).ok_or_else(vanished)
    }
}

/// The group of frames to which an entry belongs; groups are in this order.
fn group(entry: &Entry) -> (u8, &str) {
    match (&entry.kind, &entry.meta.origin) {
        (Kind::Directory, _) => (0, ""),
        (_, Origin::Package(name)) => (1, name),
        (_, Origin::Artifact(name)) => (2, name),
        (_, Origin::Generated(_)) => (3, ""),
        (_, Origin::Rendered(_) | Origin::Profile(_)) => (4, ""),
        (_, Origin::Overlay(_)) => (5, ""),
    }
}

fn close<'a>(frames: &mut Vec<Frame<'a>>, open: &mut Vec<Member<'a>>, size: &mut u64) {
    if open.is_empty() {
        return;
    }
    let members = std::mem::take(open);
    let mut hasher = Sha256::new();
    hasher.update(format!("frame {FRAME_VERSION} level {} of {size}\n", frames::LEVEL));
    for member in &members {
        hasher.update(&member.header);
        match &member.data {
            Data::None => {}
            Data::Target(target) => hasher.update(target),
            Data::File(content) => hasher.update(content.digest.as_bytes()),
        }
    }
    frames.push(Frame { members, size: std::mem::take(size), key: Digest::finish(hasher) });
}

impl Data<'_> {
    fn size(&self) -> u64 {
        match self {
            Self::None => 0,
            Self::File(content) => content.size,
            Self::Target(target) => target.len() as u64,
        }
    }
}

impl Member<'_> {
    fn size(&self) -> u64 {
        let data = self.data.size();
        self.header.len() as u64 + data + cpio::padding(data) as u64
    }
}

fn member<'a>(
    path: &'a TreePath,
    entry: &'a Entry,
    epoch: u32,
    links: &mut Links<'a>,
) -> Result<Member<'a>, InitramfsError> {
    let (mut ino, mut nlink) = (0, 1);
    let mut data = Data::None;
    let file_type = match &entry.kind {
        // A directory has one link, as on btrfs: libarchive treats members with more links and one
        // inode number as hard links, whatever their type.
        Kind::Directory => FileType::Directory,
        Kind::File { content, link } => {
            let mut first = true;
            if let Some(link) = link {
                (ino, nlink, first) = links.name(link);
            }
            let too_large = |_| InitramfsError::TooLarge { path: path.clone(), size: content.size };
            let size = u32::try_from(content.size).map_err(too_large)?;
            if first {
                data = Data::File(content);
            }
            FileType::Regular(if first { size } else { 0 })
        }
        Kind::Symlink(target) => {
            data = Data::Target(target);
            // Bounded by TreePath's and tar's limits on names, far below 4 GiB.
            FileType::Symlink(u32::try_from(target.len()).unwrap_or(u32::MAX))
        }
        Kind::Device { kind: DeviceKind::Char, major, minor } => FileType::Char { major: *major, minor: *minor },
        Kind::Device { kind: DeviceKind::Block, major, minor } => FileType::Block { major: *major, minor: *minor },
        Kind::Fifo => FileType::Fifo,
    };
    let meta = &entry.meta;
    let mtime = meta.time(epoch);
    let header =
        Header { name: path.as_str(), file_type, mode: meta.mode, uid: meta.uid, gid: meta.gid, mtime, ino, nlink };
    let mut bytes = Vec::new();
    cpio::write_header(&mut bytes, &header).map_err(|source| InitramfsError::Header { path: path.clone(), source })?;
    Ok(Member { path, header: bytes, data })
}

/// Inode numbers of hard-linked files: derived from the group's name, so that they do not change
/// when other files are added or removed.
struct Links<'a> {
    names: BTreeMap<&'a LinkGroup, u32>,
    numbers: BTreeMap<&'a LinkGroup, u32>,
    used: BTreeSet<u32>,
}

impl<'a> Links<'a> {
    fn new(tree: &'a FileTree) -> Self {
        let mut names = BTreeMap::new();
        for (_, entry) in tree {
            if let Kind::File { link: Some(link), .. } = &entry.kind {
                *names.entry(link).or_insert(0) += 1;
            }
        }
        Self { names, numbers: BTreeMap::new(), used: BTreeSet::new() }
    }

    /// The inode of a group, the number of its names, and whether this is the first request for it.
    fn name(&mut self, link: &'a LinkGroup) -> (u32, u32, bool) {
        let nlink = self.names.get(link).copied().unwrap_or(1);
        if nlink < 2 {
            return (0, 1, true);
        }
        if let Some(&ino) = self.numbers.get(link) {
            return (ino, nlink, false);
        }
        let digest = Digest::of(link.0.as_bytes());
        let mut ino = digest.as_bytes().iter().take(4).fold(0, |number, &byte| number << 8 | u32::from(byte));
        while ino == 0 || !self.used.insert(ino) {
            ino = ino.wrapping_add(1);
        }
        self.numbers.insert(link, ino);
        (ino, nlink, true)
    }
}

/// Finished frames, which are taken in order.
struct Ready {
    state: Mutex<ReadyState>,
    changed: Condvar,
}

struct ReadyState {
    frames: Vec<Option<DerivedFile>>,
    error: Option<InitramfsError>,
    failed: bool,
}

impl Ready {
    fn new(count: usize) -> Self {
        let state = ReadyState { frames: (0..count).map(|_| None).collect(), error: None, failed: false };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    fn failed(&self) -> bool {
        self.state.lock().map_or(true, |state| state.failed)
    }

    fn put(&self, index: usize, result: Result<DerivedFile, InitramfsError>) {
        if let Ok(mut state) = self.state.lock() {
            match result {
                Ok(path) => state.frames[index] = Some(path),
                Err(error) => {
                    state.failed = true;
                    state.error.get_or_insert(error);
                }
            }
        }
        self.changed.notify_all();
    }

    fn take(&self, index: usize) -> Result<DerivedFile, InitramfsError> {
        let poisoned = || InitramfsError::Frame(io::Error::other("a compressor thread panicked"));
        let mut state = self.state.lock().map_err(|_| poisoned())?;
        loop {
            if let Some(error) = state.error.take() {
                return Err(error);
            }
            if let Some(path) = state.frames[index].take() {
                return Ok(path);
            }
            state = self.changed.wait(state).map_err(|_| poisoned())?;
        }
    }
}

/// Fails the whole build when its thread panics, so that no thread waits for a frame that is never
/// made.
struct Guard<'a>(&'a Ready);

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.put(
                0,
                Err(InitramfsError::Frame(io::Error::other("a compressor thread panicked; this is a bug in kiln"))),
            );
        }
    }
}
