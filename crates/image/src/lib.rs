//! Reads finished images with readers that share no code with the writers.
//!
//! The file system of any image is an [`ImageRoot`], which is walked completely: every path with its
//! metadata and its bytes. A reader treats its input as hostile: it bounds memory and time, and it
//! never panics.

pub mod blocks;
pub mod disk;
pub mod ext4;
pub mod fat;
pub mod gce;
pub mod gpt;
pub mod initramfs;
pub mod listing;
mod open;
pub mod qcow2;
pub mod tarball;
pub mod uki;
pub mod verity;
pub mod vhd;
pub mod vmdk;

pub use open::{open, open_disk};

use kiln_tree::Printable;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Write};
use std::ops::ControlFlow;

/// The most paths of an image that are read.
pub const MAX_PATHS: usize = 4 << 20;

/// The longest target of a symbolic link: Linux' `PATH_MAX`.
pub const MAX_TARGET: u64 = 4096;

/// The number of bytes of a file that are read at a time.
const CHUNK: usize = 256 << 10;

/// The metadata of one path in an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Path without a leading slash.
    pub path: String,
    /// File type.
    pub kind: Kind,
    /// Permission bits, `0o7777` at most.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Modification time, seconds since 1970.
    pub mtime: i64,
}

/// File type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A directory.
    Directory,
    /// A regular file.
    File {
        /// The size in bytes.
        size: u64,
        /// Another name of the same file that was visited before; its bytes are not passed again.
        link: Option<String>,
    },
    /// A symbolic link and its target.
    Symlink(String),
    /// A character device.
    Char {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A block device.
    Block {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
}

impl Kind {
    /// Its name as used in manifests.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Directory => "directory",
            Self::File { .. } => "file",
            Self::Symlink(_) => "symlink",
            Self::Char { .. } => "char",
            Self::Block { .. } => "block",
            Self::Fifo => "fifo",
            Self::Socket => "socket",
        }
    }

    /// The size of a file.
    pub fn size(&self) -> Option<u64> {
        match self {
            Self::File { size, .. } => Some(*size),
            _ => None,
        }
    }

    /// Target of a symbolic link, or `major:minor` of a device, as used in manifests.
    pub fn target(&self) -> Option<String> {
        match self {
            Self::Symlink(target) => Some(target.clone()),
            Self::Char { major, minor } | Self::Block { major, minor } => Some(format!("{major}:{minor}")),
            _ => None,
        }
    }
}

/// Extended attributes of an image: path → full name → value.
pub type Xattrs = BTreeMap<String, BTreeMap<String, Vec<u8>>>;

/// Called with every path and the bytes of its file; [`ControlFlow::Break`] ends the walk.
pub type Visit<'a> = dyn FnMut(&Node, &mut dyn Read) -> Result<ControlFlow<()>, ReadError> + 'a;

/// Why an image cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Its bytes violate its format.
    #[error("{0}; the file is damaged or truncated")]
    Damaged(#[from] io::Error),
    /// kiln does not recognize its first bytes.
    #[error("it is not an image that kiln makes: neither an initramfs, nor a disk, nor an ext4 file system")]
    Unknown,
    /// It has no such file.
    #[error("it has no file /{}", Printable::new(.0))]
    Missing(String),
    /// The destination failed.
    #[error(transparent)]
    Write(io::Error),
}

impl ReadError {
    /// The error for bytes that violate the format; `what` describes the violation.
    pub(crate) fn damaged(what: impl Into<String>) -> Self {
        // What damage it is often quotes a name of the image.
        let what = Printable::sentence(&what.into()).to_string();
        Self::Damaged(io::Error::new(io::ErrorKind::InvalidData, what))
    }
}

/// The file system of an image.
pub trait ImageRoot {
    /// Visits every path once, directories before their contents, and returns the extended
    /// attributes of all visited paths.
    ///
    /// # Errors
    /// [`ReadError`], including that of `visit`.
    fn walk(&self, visit: &mut Visit<'_>) -> Result<Xattrs, ReadError>;

    /// The kernel, if the image has one outside its root.
    fn kernel(&self) -> Option<Vec<u8>> {
        None
    }

    /// The kernel's command line, if the image has one.
    fn cmdline(&self) -> Option<String> {
        None
    }
}

/// Writes the bytes of the file `wanted` (no leading slash) to `out`.
///
/// # Errors
/// [`ReadError`].
pub fn extract(root: &dyn ImageRoot, wanted: &str, out: &mut dyn Write) -> Result<(), ReadError> {
    let (mut found, mut first) = (false, None);
    root.walk(&mut |node, bytes| {
        if node.path != wanted {
            return Ok(ControlFlow::Continue(()));
        }
        if let Kind::File { link, .. } = &node.kind {
            found = true;
            match link {
                Some(name) => first = Some(name.clone()),
                None => copy(bytes, out)?,
            }
        }
        Ok(ControlFlow::Break(()))
    })?;
    match first {
        // The first visited name has the bytes, so this terminates.
        Some(first) => extract(root, &first, out),
        None if found => Ok(()),
        None => Err(ReadError::Missing(wanted.to_owned())),
    }
}

/// The bytes of the files in `wanted` that exist. Files longer than `limit` bytes are left out.
///
/// # Errors
/// [`ReadError`].
pub fn contents(
    root: &dyn ImageRoot,
    wanted: &BTreeSet<String>,
    limit: u64,
) -> Result<BTreeMap<String, Vec<u8>>, ReadError> {
    let mut found = BTreeMap::new();
    let mut links = Vec::new();
    // A wanted name may be a hard link to a name that is not wanted.
    let mut firsts = BTreeMap::new();
    root.walk(&mut |node, bytes| {
        if let Kind::File { size, link } = &node.kind
            && *size <= limit
        {
            match link {
                Some(first) if wanted.contains(&node.path) => links.push((node.path.clone(), first.clone())),
                None if wanted.contains(&node.path) => {
                    let mut read = Vec::new();
                    bytes.take(limit).read_to_end(&mut read)?;
                    found.insert(node.path.clone(), read);
                }
                _ => {}
            }
        }
        Ok(ControlFlow::Continue(()))
    })?;
    for (path, first) in links {
        let bytes = match found.get(&first).or_else(|| firsts.get(&first)) {
            Some(bytes) => bytes.clone(),
            None => {
                let mut bytes = Vec::new();
                extract(root, &first, &mut bytes)?;
                firsts.insert(first, bytes.clone());
                bytes
            }
        };
        found.insert(path, bytes);
    }
    Ok(found)
}

/// Copies to the end and distinguishes errors of the source from errors of the destination.
pub(crate) fn copy(bytes: &mut dyn Read, out: &mut dyn Write) -> Result<(), ReadError> {
    let mut buffer = vec![0; CHUNK];
    loop {
        match fill(bytes, &mut buffer)? {
            0 => return Ok(()),
            got => out.write_all(&buffer[..got]).map_err(ReadError::Write)?,
        }
    }
}

/// Reads until `buffer` is full or the end is reached.
pub fn fill(bytes: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match bytes.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(got) => filled += got,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
