//! Reads ext4 with the `ext4-view` crate, and what that crate leaves out with a small reader of our
//! own (`inodes`): inode numbers, device numbers and extended attributes. Both read every directory
//! and must agree about it.

mod inodes;
mod xattrs;

use super::blocks::{Blocks, past_end};
use super::{ImageRoot, Kind, MAX_TARGET, Node, ReadError, Visit, Xattrs};
use ext4_view::{Ext4, Ext4Error, Ext4Read};
use inodes::{Inode, Inodes};
use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::io::{self, Read};
use std::ops::ControlFlow;
use std::sync::Arc;

/// A file system in a partition or a file.
#[derive(Debug, Clone)]
pub struct Ext4Root {
    blocks: Arc<dyn Blocks>,
}

impl Ext4Root {
    /// The file system in `blocks`.
    pub fn new(blocks: Arc<dyn Blocks>) -> Self {
        Self { blocks }
    }

    /// Its label.
    ///
    /// # Errors
    /// [`ReadError::Damaged`].
    pub fn label(&self) -> Result<String, ReadError> {
        Ok(self.open()?.label().display().to_string())
    }

    fn open(&self) -> Result<Ext4, ReadError> {
        Ext4::load(Box::new(Reader(Arc::clone(&self.blocks)))).map_err(damaged)
    }
}

impl ImageRoot for Ext4Root {
    fn walk(&self, visit: &mut Visit<'_>) -> Result<Xattrs, ReadError> {
        let view = self.open()?;
        let inodes = Inodes::read(&*self.blocks)?;
        let mut xattrs = Xattrs::new();
        let mut firsts: BTreeMap<u32, &str> = BTreeMap::new();
        // Files may share blocks only in a damaged file system: in a good one, all contents
        // together fit it.
        let mut left = self.blocks.size();
        agree(&view, "", &inodes)?;
        for (path, inode) in &inodes.paths {
            let absolute = format!("/{path}");
            let metadata = view.symlink_metadata(&absolute).map_err(damaged)?;
            let link = (inode.i_links_count > 1)
                .then(|| *firsts.entry(inode.number).or_insert(path))
                .filter(|first| *first != path);
            let kind = kind(&view, &absolute, inode, link.map(str::to_owned))?;
            if kind == Kind::Directory {
                agree(&view, path, &inodes)?;
            }
            let node = Node {
                path: path.clone(),
                kind,
                mode: u32::from(metadata.mode()),
                uid: metadata.uid(),
                gid: metadata.gid(),
                mtime: metadata.modified().seconds(),
            };
            let found = xattrs::of(&*self.blocks, &inodes.superblock, inode)
                .map_err(|error| ReadError::damaged(format!("/{path}: its extended attributes: {error}")))?;
            if !found.is_empty() {
                xattrs.insert(path.clone(), found);
            }
            let flow = match &node.kind {
                Kind::File { size, link: None } => {
                    left = left
                        .checked_sub(*size)
                        .ok_or_else(|| ReadError::damaged("its files are larger than the file system"))?;
                    visit(&node, &mut File(view.open(&absolute).map_err(damaged)?))?
                }
                _ => visit(&node, &mut io::empty())?,
            };
            if flow == ControlFlow::Break(()) {
                break;
            }
        }
        Ok(xattrs)
    }
}

fn kind(view: &Ext4, path: &str, inode: &Inode, link: Option<String>) -> Result<Kind, ReadError> {
    let (major, minor) = inode.device();
    Ok(match inode.i_mode >> 12 {
        0o04 => Kind::Directory,
        0o10 => Kind::File { size: inode.i_size, link },
        0o12 if inode.i_size <= MAX_TARGET => {
            let target = view.read_link(path).map_err(damaged)?;
            Kind::Symlink(
                target.to_str().map_err(|_| ReadError::damaged(format!("{path}: its target is not UTF-8")))?.to_owned(),
            )
        }
        0o02 => Kind::Char { major, minor },
        0o06 => Kind::Block { major, minor },
        0o01 => Kind::Fifo,
        0o14 => Kind::Socket,
        _ => {
            return Err(ReadError::damaged(format!(
                "{path} has the mode {:o} and {} bytes",
                inode.i_mode, inode.i_size
            )));
        }
    })
}

/// Checks that both readers find the same names in a directory.
fn agree(view: &Ext4, path: &str, inodes: &Inodes) -> Result<(), ReadError> {
    let mut seen = BTreeSet::new();
    for entry in view.read_dir(&format!("/{path}")).map_err(damaged)? {
        let entry = entry.map_err(damaged)?;
        let name = entry.file_name();
        let name = name.as_str().map_err(|_| ReadError::damaged(format!("/{path}: a name in it is not UTF-8")))?;
        if name != "." && name != ".." && !seen.insert(name.to_owned()) {
            return Err(ReadError::damaged(format!("/{path}/{name} exists twice")));
        }
    }
    let found = inodes.names(path);
    if seen.len() != found.len() || !found.iter().all(|name| seen.contains(*name)) {
        return Err(ReadError::damaged(format!("the directory /{path} has different names for two readers")));
    }
    Ok(())
}

/// Converts an error of `ext4-view`.
fn damaged(error: Ext4Error) -> ReadError {
    match error {
        Ext4Error::Io(error) => ReadError::damaged(error.to_string()),
        other => ReadError::damaged(other.to_string()),
    }
}

/// Gives `ext4-view` access to the bytes.
struct Reader(Arc<dyn Blocks>);

impl Ext4Read for Reader {
    fn read(&mut self, start_byte: u64, dst: &mut [u8]) -> Result<(), Box<dyn Error + Send + Sync + 'static>> {
        if start_byte.checked_add(dst.len() as u64).is_none_or(|end| end > self.0.size()) {
            return Err(Box::new(past_end()));
        }
        Ok(self.0.read_at(dst, start_byte)?)
    }
}

/// The bytes of a file.
struct File(ext4_view::File);

impl Read for File {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read_bytes(buffer).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))
    }
}
