//! Reads an initramfs: zstd frames with libzstd's streaming decoder, newc with the `cpio` crate.

use super::{ImageRoot, Kind, MAX_PATHS, MAX_TARGET, Node, ReadError, Visit, Xattrs};
use cpio::NewcReader;
use cpio::newc::Entry;
use kiln_init::xattrs;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::io::{self, BufReader, Cursor, Read};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

/// Paths that only an initramfs has: they boot the tree and are not part of it.
pub const BOOT_PATHS: [&str; 7] =
    ["dev", "dev/console", "dev/null", "init", "usr/lib/kiln", "usr/lib/kiln/modules", "usr/lib/kiln/xattrs"];
/// The most bytes that an initramfs may unpack to; a node would need that much memory.
const MAX_BYTES: u64 = 64 << 30;
/// The largest header of a member including the name: Linux' `PATH_MAX` and the header's fields.
const MAX_HEADER: u64 = 110 + 4096 + 4;
/// The largest window of a frame that the kernel's decoder allows, as a binary logarithm.
const MAX_WINDOW: u32 = 27;

const S_IFMT: u32 = 0o170_000;

/// An initramfs of zstd frames.
#[derive(Debug)]
pub struct Initramfs {
    source: Source,
}

#[derive(Debug)]
enum Source {
    File(PathBuf),
    Bytes(Arc<[u8]>),
}

impl Initramfs {
    /// The initramfs in the file `path`.
    pub fn new(path: &Path) -> Self {
        Self { source: Source::File(path.to_owned()) }
    }

    /// The initramfs in `bytes`.
    pub fn of_bytes(bytes: &[u8]) -> Self {
        Self { source: Source::Bytes(bytes.into()) }
    }
}

impl ImageRoot for Initramfs {
    fn walk(&self, visit: &mut Visit<'_>) -> Result<Xattrs, ReadError> {
        match &self.source {
            Source::File(path) => walk(BufReader::with_capacity(1 << 20, kiln_file::open(path)?), visit),
            Source::Bytes(bytes) => walk(Cursor::new(Arc::clone(bytes)), visit),
        }
    }
}

/// Visits the members of the zstd frames in `frames`.
fn walk(frames: impl io::BufRead + 'static, visit: &mut Visit<'_>) -> Result<Xattrs, ReadError> {
    let mut decoder = zstd::Decoder::with_buffer(frames)?;
    decoder.window_log_max(MAX_WINDOW)?;
    let allowance = Rc::new(Cell::new(MAX_HEADER));
    let mut stream = Metered { inner: Box::new(decoder), allowance: Rc::clone(&allowance) };
    let mut total = 0;
    let mut linked = BTreeMap::new();
    let mut list = Vec::new();
    for _ in 0..MAX_PATHS {
        let mut reader = NewcReader::new(stream)?;
        if reader.entry().is_trailer() {
            allowance.set(MAX_BYTES);
            expect_zeros(reader.finish()?)?;
            return attributes(&list);
        }
        let size = u64::from(reader.entry().file_size());
        total += size;
        if total > MAX_BYTES {
            return Err(ReadError::damaged(format!("it unpacks to more than {MAX_BYTES} bytes")));
        }
        // Enough for the data, its padding and the next header.
        allowance.set(size + 4 + MAX_HEADER);
        let node = node(&mut reader, &mut linked)?;
        let flow = if node.path == xattrs::FILE && size <= xattrs::MAX_SIZE {
            list.clear();
            reader.read_to_end(&mut list)?;
            visit(&node, &mut Cursor::new(&list))?
        } else {
            visit(&node, &mut reader)?
        };
        if flow == ControlFlow::Break(()) {
            return attributes(&list);
        }
        stream = reader.finish()?;
    }
    Err(ReadError::damaged(format!("it has more than {MAX_PATHS} members")))
}

/// Extended attributes, which newc cannot store and kiln lists in a file.
fn attributes(list: &[u8]) -> Result<Xattrs, ReadError> {
    let text = std::str::from_utf8(list).map_err(|_| ReadError::damaged(format!("/{}: not UTF-8", xattrs::FILE)))?;
    let mut found = Xattrs::new();
    for xattr in xattrs::decode(text).map_err(|error| ReadError::damaged(error.to_string()))? {
        found.entry(xattr.path).or_default().insert(xattr.name, xattr.value);
    }
    Ok(found)
}

/// The kernel also unpacks what follows an archive's end, so only padding may follow.
fn expect_zeros(mut rest: impl Read) -> Result<(), ReadError> {
    let mut buffer = vec![0; 64 << 10];
    loop {
        match super::fill(&mut rest, &mut buffer)? {
            0 => return Ok(()),
            got if buffer[..got].iter().any(|byte| *byte != 0) => {
                return Err(ReadError::damaged("it contains something after the archive's end"));
            }
            _ => {}
        }
    }
}

/// The current member of `reader`. Files with several names store their bytes under the first name.
fn node(reader: &mut NewcReader<Metered>, linked: &mut BTreeMap<u32, (String, u64)>) -> Result<Node, ReadError> {
    let entry = reader.entry().clone();
    let path = entry.name().to_owned();
    if path.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Err(ReadError::damaged(format!("a member has the name {path:?}")));
    }
    let size = u64::from(entry.file_size());
    let kind = match entry.mode() & S_IFMT {
        0o040_000 => Kind::Directory,
        0o100_000 => file(&entry, linked),
        0o120_000 if size <= MAX_TARGET => {
            let mut target = String::new();
            reader.read_to_string(&mut target)?;
            Kind::Symlink(target)
        }
        0o020_000 => Kind::Char { major: entry.rdev_major(), minor: entry.rdev_minor() },
        0o060_000 => Kind::Block { major: entry.rdev_major(), minor: entry.rdev_minor() },
        0o010_000 => Kind::Fifo,
        0o140_000 => Kind::Socket,
        _ => return Err(ReadError::damaged(format!("/{path} has the mode {:o} and {size} bytes", entry.mode()))),
    };
    let (mode, uid, gid) = (entry.mode() & 0o7777, entry.uid(), entry.gid());
    Ok(Node { path, kind, mode, uid, gid, mtime: entry.mtime().into() })
}

fn file(entry: &Entry, linked: &mut BTreeMap<u32, (String, u64)>) -> Kind {
    let size = u64::from(entry.file_size());
    if entry.nlink() < 2 {
        return Kind::File { size, link: None };
    }
    match linked.get(&entry.ino()) {
        Some((first, size)) if entry.file_size() == 0 => Kind::File { size: *size, link: Some(first.clone()) },
        _ => {
            linked.insert(entry.ino(), (entry.name().to_owned(), size));
            Kind::File { size, link: None }
        }
    }
}

/// A stream that returns at most the allowed number of bytes, so that a name of gigabytes is never
/// held in memory.
struct Metered {
    inner: Box<dyn Read>,
    allowance: Rc<Cell<u64>>,
}

impl Read for Metered {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.allowance.get();
        if left == 0 && !buffer.is_empty() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a member's header or name is too long"));
        }
        let most = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
        let got = self.inner.read(&mut buffer[..most])?;
        self.allowance.set(left.saturating_sub(got as u64));
        Ok(got)
    }
}
