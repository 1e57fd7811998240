//! Reads a root file system in a tar archive compressed with zstd, with the `tar` crate.

use super::{ImageRoot, Kind, MAX_PATHS, Node, ReadError, Visit, Xattrs};
use std::collections::BTreeMap;
use std::io::{BufReader, Read};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use tar::{Archive, Entry, EntryType};

/// The most bytes that an archive may unpack to.
const MAX_BYTES: u64 = 64 << 30;
/// The largest window of a frame, as a binary logarithm.
const MAX_WINDOW: u32 = 27;
/// The longest list of pax records of a member in bytes.
const MAX_RECORDS: u64 = 1 << 20;
/// The offset of the ustar magic (POSIX.1-1988) in a header; a version follows it.
const USTAR_MARK: (usize, &[u8]) = (257, b"ustar");
/// The prefix of the key of an extended attribute's record.
const XATTR: &str = "SCHILY.xattr.";

/// The archive in a file.
#[derive(Debug)]
pub struct Tarball {
    path: PathBuf,
}

impl Tarball {
    /// The archive in the file `path`.
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    /// Whether the file `path`, which is compressed with zstd, contains a tar archive.
    pub fn is_at(path: &Path) -> Result<bool, ReadError> {
        let (at, mark) = USTAR_MARK;
        let mut head = Vec::new();
        decoder(path)?.take((at + mark.len()) as u64).read_to_end(&mut head)?;
        Ok(head.get(at..) == Some(mark))
    }
}

impl ImageRoot for Tarball {
    fn walk(&self, visit: &mut Visit<'_>) -> Result<Xattrs, ReadError> {
        let mut archive = Archive::new(decoder(&self.path)?.take(MAX_BYTES));
        let mut xattrs = Xattrs::new();
        let mut sizes = BTreeMap::new();
        let mut records = BTreeMap::new();
        // Raw entries, because the crate would hold records of any length in memory.
        for (number, entry) in archive.entries()?.raw(true).enumerate() {
            let mut entry = entry?;
            if number > 2 * MAX_PATHS {
                return Err(ReadError::damaged("it has too many members"));
            }
            if entry.header().entry_type() == EntryType::XHeader {
                records = pax(&mut entry)?;
                continue;
            }
            let (node, found) = node(&entry, std::mem::take(&mut records), &sizes)?;
            if let Kind::File { size, .. } = node.kind {
                sizes.insert(node.path.clone(), size);
            }
            if !found.is_empty() {
                xattrs.insert(node.path.clone(), found);
            }
            if visit(&node, &mut entry)? == ControlFlow::Break(()) {
                break;
            }
        }
        Ok(xattrs)
    }
}

/// The decompressed contents of the file `path`.
fn decoder(path: &Path) -> Result<impl Read, ReadError> {
    let mut decoder = zstd::Decoder::new(BufReader::with_capacity(1 << 20, kiln_file::open(path)?))?;
    decoder.window_log_max(MAX_WINDOW)?;
    Ok(decoder)
}

/// The records of a pax header (POSIX.1-2001): `length key=value\n`.
fn pax(entry: &mut Entry<'_, impl Read>) -> Result<BTreeMap<String, Vec<u8>>, ReadError> {
    let damaged = || ReadError::damaged("a pax record is malformed");
    if entry.size() > MAX_RECORDS {
        return Err(damaged());
    }
    let mut bytes = Vec::new();
    entry.read_to_end(&mut bytes)?;
    let (mut records, mut rest) = (BTreeMap::new(), bytes.as_slice());
    while !rest.is_empty() {
        let space = rest.iter().position(|byte| *byte == b' ').ok_or_else(damaged)?;
        let digits = std::str::from_utf8(&rest[..space]).map_err(|_| damaged())?;
        let length: usize = digits.parse().map_err(|_| damaged())?;
        let record = rest.get(space + 1..length).and_then(|record| record.strip_suffix(b"\n")).ok_or_else(damaged)?;
        let equals = record.iter().position(|byte| *byte == b'=').ok_or_else(damaged)?;
        let key = String::from_utf8(record[..equals].to_vec()).map_err(|_| damaged())?;
        records.insert(key, record[equals + 1..].to_vec());
        rest = &rest[length..];
    }
    Ok(records)
}

type Attributes = BTreeMap<String, Vec<u8>>;

fn node(
    entry: &Entry<'_, impl Read>,
    mut records: BTreeMap<String, Vec<u8>>,
    sizes: &BTreeMap<String, u64>,
) -> Result<(Node, Attributes), ReadError> {
    let header = entry.header();
    let mut name = |record: &str, field: Option<Vec<u8>>| {
        let bytes = records.remove(record).or(field).unwrap_or_default();
        String::from_utf8(bytes).map_err(|_| ReadError::damaged("a name is not UTF-8"))
    };
    let path = name("path", Some(header.path_bytes().into_owned()))?.trim_end_matches('/').to_owned();
    let target = name("linkpath", header.link_name_bytes().map(std::borrow::Cow::into_owned))?;
    if path.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Err(ReadError::damaged(format!("a member has the name {path:?}")));
    }
    let device = || -> Result<(u32, u32), ReadError> {
        Ok((header.device_major()?.unwrap_or(0), header.device_minor()?.unwrap_or(0)))
    };
    let kind = match header.entry_type() {
        EntryType::Directory => Kind::Directory,
        EntryType::Regular => Kind::File { size: entry.size(), link: None },
        EntryType::Link => {
            let size = *sizes.get(&target).ok_or_else(|| {
                ReadError::damaged(format!("/{path} is a hard link to {target:?}, which is not an earlier file"))
            })?;
            Kind::File { size, link: Some(target) }
        }
        EntryType::Symlink => Kind::Symlink(target),
        EntryType::Char => device().map(|(major, minor)| Kind::Char { major, minor })?,
        EntryType::Block => device().map(|(major, minor)| Kind::Block { major, minor })?,
        EntryType::Fifo => Kind::Fifo,
        other => return Err(ReadError::damaged(format!("/{path} has the unsupported type {other:?}"))),
    };
    let id = |id: u64| {
        u32::try_from(id).map_err(|_| ReadError::damaged(format!("/{path} has the owner {id}, which is out of range")))
    };
    let node = Node {
        kind,
        mode: header.mode()? & 0o7777,
        uid: id(header.uid()?)?,
        gid: id(header.gid()?)?,
        mtime: i64::try_from(header.mtime()?).unwrap_or(i64::MAX),
        path: path.clone(),
    };
    let xattrs = records.into_iter().filter_map(|(key, value)| Some((key.strip_prefix(XATTR)?.to_owned(), value)));
    Ok((node, xattrs.collect()))
}
