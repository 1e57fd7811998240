//! The root file system alone, as a tar archive compressed with zstd: for containers, and for
//! programs that unpack roots themselves.
//!
//! The archive is ustar (POSIX.1-1988) with pax records (POSIX.1-2001) for what ustar cannot store;
//! extended attributes are `SCHILY.xattr.*` records, as in GNU tar and libarchive.

use super::{OutputFile, remedy};
use kiln_format::frames;
use kiln_pack::{CopyError, Store};
use kiln_profile::Output;
use kiln_tree::{DeviceKind, Digest, Entry, FileTree, Kind, LinkGroup, ReadError, TreePath};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use tar::{Builder, EntryType, Header};

/// Headers and contents fill whole records of this size.
const RECORD: u64 = 512;
const BUFFER: usize = 1 << 20;

/// Why the archive cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum TarError {
    /// A content is missing or damaged.
    #[error("archiving /{path}: {source}")]
    Content {
        /// The file.
        path: TreePath,
        /// The cause.
        source: ReadError,
    },
    /// The output failed.
    #[error("writing {path}: {source}{}", remedy(source))]
    Write {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
}

/// Writes `tree` to the file of [`Output::Tar`] in `directory`; times later than `epoch` (seconds
/// since 1970) become `epoch`. `made` is called with the number of bytes of every file. The bytes
/// do not depend on `threads`.
///
/// # Errors
/// [`TarError`].
pub fn write(
    tree: &FileTree,
    store: &Store,
    epoch: u32,
    directory: &Path,
    threads: usize,
    made: &dyn Fn(u64),
) -> Result<OutputFile, TarError> {
    let target = directory.join(Output::Tar.file());
    let failed = |source| TarError::Write { path: target.clone(), source };
    let file = Hashed::new(BufWriter::with_capacity(BUFFER, File::create(&target).map_err(failed)?));
    let threads = u32::try_from(threads).unwrap_or(u32::MAX);
    let encoder = frames::stream(file, threads).map_err(failed)?;
    let mut archive = Builder::new(Hashed::new(encoder));
    let mut first_names = BTreeMap::new();
    for (path, entry) in tree {
        header(&mut archive, path, entry, epoch, &mut first_names).map_err(failed)?;
        let Some(content) = entry.content().filter(|_| is_first(path, entry, &first_names)) else { continue };
        store.copy(content, archive.get_mut()).map_err(|error| match error {
            CopyError::Read(source) => TarError::Content { path: path.clone(), source },
            CopyError::Write(source) => failed(source),
        })?;
        let padding = content.size.next_multiple_of(RECORD) - content.size;
        io::copy(&mut io::Read::take(io::repeat(0), padding), archive.get_mut()).map_err(failed)?;
        made(content.size);
    }
    let finish = || -> io::Result<OutputFile> {
        let Hashed { out, hasher: content, .. } = archive.into_inner()?;
        let Hashed { mut out, hasher, size } = out.finish()?;
        out.flush()?;
        let (sha256, content) = (Digest::finish(hasher), Some(Digest::finish(content)));
        Ok(OutputFile { path: Output::Tar.file().to_owned(), size, sha256, content })
    };
    finish().map_err(failed)
}

/// The first name of each group of hard links.
type FirstNames<'a> = BTreeMap<&'a LinkGroup, &'a TreePath>;

/// Whether the bytes of a file are stored under this name.
fn is_first(path: &TreePath, entry: &Entry, first_names: &FirstNames<'_>) -> bool {
    match &entry.kind {
        Kind::File { link: Some(link), .. } => first_names.get(link).is_none_or(|first| *first == path),
        _ => true,
    }
}

/// Writes the header that precedes the bytes of `entry`.
fn header<'a, W: Write>(
    archive: &mut Builder<W>,
    path: &'a TreePath,
    entry: &'a Entry,
    epoch: u32,
    first_names: &mut FirstNames<'a>,
) -> io::Result<()> {
    let mut header = Header::new_ustar();
    // Also without bytes: strict readers do not accept a blank field as a number.
    header.set_size(0);
    let mut records: Vec<(String, Vec<u8>)> = Vec::new();
    let mut target = None;
    match &entry.kind {
        Kind::Directory => header.set_entry_type(EntryType::Directory),
        Kind::File { content, link } => {
            let first = link.as_ref().map_or(path, |link| first_names.entry(link).or_insert(path));
            if first == path {
                header.set_entry_type(EntryType::Regular);
                header.set_size(content.size);
            } else {
                header.set_entry_type(EntryType::Link);
                target = Some(first.as_str());
            }
        }
        Kind::Symlink(to) => {
            header.set_entry_type(EntryType::Symlink);
            target = Some(to);
        }
        Kind::Device { kind, major, minor } => {
            header.set_entry_type(match kind {
                DeviceKind::Char => EntryType::Char,
                DeviceKind::Block => EntryType::Block,
            });
            header.set_device_major(*major)?;
            header.set_device_minor(*minor)?;
        }
        Kind::Fifo => header.set_entry_type(EntryType::Fifo),
    }
    let meta = &entry.meta;
    header.set_mode(u32::from(meta.mode));
    header.set_uid(u64::from(meta.uid));
    header.set_gid(u64::from(meta.gid));
    header.set_mtime(u64::from(meta.time(epoch)));
    let name = if entry.is_dir() { format!("{path}/") } else { path.to_string() };
    // A value that is too long for the header's field is in the record, and the field is not read.
    if header.set_path(&name).is_err() {
        records.push(("path".into(), name.into_bytes()));
    }
    if let Some(target) = target
        && header.set_link_name_literal(target).is_err()
    {
        records.push(("linkpath".into(), target.as_bytes().to_vec()));
    }
    records.extend(meta.xattrs.iter().map(|(name, value)| (format!("SCHILY.xattr.{name}"), value.clone())));
    header.set_cksum();
    archive.append_pax_extensions(records.iter().map(|(key, value)| (key.as_str(), value.as_slice())))?;
    archive.append(&header, io::empty())
}

/// A writer that computes the size and the digest of the bytes written.
struct Hashed<W> {
    out: W,
    hasher: Sha256,
    size: u64,
}

impl<W> Hashed<W> {
    fn new(out: W) -> Self {
        Self { out, hasher: Sha256::new(), size: 0 }
    }
}

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        self.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
