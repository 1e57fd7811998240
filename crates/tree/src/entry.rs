//! One thing at one path.

use super::content::Content;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// What is at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its type and content.
    pub kind: Kind,
    /// Everything else about it.
    pub meta: Metadata,
}

/// Permissions, owner and time of an entry, and who put it there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata {
    /// Permission bits, `0o7777` at most (no file type bits).
    pub mode: u16,
    /// Numeric owner.
    pub uid: u32,
    /// Numeric group.
    pub gid: u32,
    /// Modification time, seconds since 1970 (never negative, fits newc's 32 bits).
    pub mtime: u32,
    /// Extended attributes by full name (`security.capability`).
    pub xattrs: BTreeMap<String, Vec<u8>>,
    /// Who put it there.
    pub origin: Origin,
}

/// File type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A directory.
    Directory,
    /// A regular file; files of one link group share an inode.
    File {
        /// Its bytes.
        content: Content,
        /// Set when the file has more than one name, or had in its package.
        link: Option<LinkGroup>,
    },
    /// A symbolic link and its target, verbatim.
    Symlink(String),
    /// A device node.
    Device {
        /// Character or block.
        kind: DeviceKind,
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A named pipe.
    Fifo,
}

/// Names with equal link groups are hard links of one inode.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LinkGroup(pub Arc<str>);

/// The two kinds of device nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeviceKind {
    /// Unbuffered.
    Char,
    /// Buffered.
    Block,
}

/// Who put an entry into the tree; shown by `kiln inspect`, in the manifest and in conflicts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// A Debian package, `name=version`.
    Package(Arc<str>),
    /// A component of the Kubernetes release or another artifact, `name=version`.
    Artifact(Arc<str>),
    /// Configuration rendered from the profile, with the renderer's name.
    Rendered(Arc<str>),
    /// Computed by a finalizer from the rest of the tree, with the finalizer's name.
    Generated(Arc<str>),
    /// A file that the profile defines under `files:`, with the profile's name.
    Profile(Arc<str>),
    /// An overlay, with its name.
    Overlay(Arc<str>),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Package(name) => write!(f, "package {name}"),
            Self::Artifact(name) => write!(f, "artifact {name}"),
            Self::Rendered(name) => write!(f, "rendered {name}"),
            Self::Generated(name) => write!(f, "generated {name}"),
            Self::Profile(name) => write!(f, "profile {name}"),
            Self::Overlay(name) => write!(f, "overlay {name}"),
        }
    }
}

impl Kind {
    /// The type in words, for messages.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Directory => "directory",
            Self::File { .. } => "file",
            Self::Symlink(_) => "symlink",
            Self::Device { .. } => "device",
            Self::Fifo => "named pipe",
        }
    }
}

impl Metadata {
    /// Root-owned metadata with `mode`, time 0 and no extended attributes.
    ///
    /// Time 0 stands for "made by kiln": the writers replace it with the image's epoch.
    pub fn new(mode: u16, origin: Origin) -> Self {
        Self { mode, uid: 0, gid: 0, mtime: 0, xattrs: BTreeMap::new(), origin }
    }

    /// The modification time in an image with time `epoch`. Entries that kiln made get `epoch`, and
    /// no time is later than `epoch`.
    pub fn time(&self, epoch: u32) -> u32 {
        if self.mtime == 0 { epoch } else { self.mtime.min(epoch) }
    }
}

impl Entry {
    /// A root-owned regular file with inline content.
    pub fn file(bytes: impl Into<Vec<u8>>, mode: u16, origin: Origin) -> Self {
        Self { kind: Kind::File { content: Content::inline(bytes), link: None }, meta: Metadata::new(mode, origin) }
    }

    /// A root-owned directory.
    pub fn directory(mode: u16, origin: Origin) -> Self {
        Self { kind: Kind::Directory, meta: Metadata::new(mode, origin) }
    }

    /// A root-owned symbolic link.
    pub fn symlink(target: impl Into<String>, origin: Origin) -> Self {
        Self { kind: Kind::Symlink(target.into()), meta: Metadata::new(0o777, origin) }
    }

    /// The same entry with another owner.
    #[must_use]
    pub fn owned(mut self, uid: u32, gid: u32) -> Self {
        self.meta.uid = uid;
        self.meta.gid = gid;
        self
    }

    /// Whether it is a directory.
    pub fn is_dir(&self) -> bool {
        matches!(self.kind, Kind::Directory)
    }

    /// Its content if it is a regular file.
    pub fn content(&self) -> Option<&Content> {
        match &self.kind {
            Kind::File { content, .. } => Some(content),
            _ => None,
        }
    }

    /// Its bytes if it is a regular file that is kept in memory (see
    /// [`ContentSource::Inline`](super::ContentSource)).
    pub fn inline(&self) -> Option<&[u8]> {
        self.content().and_then(Content::as_inline)
    }

    /// Its target if it is a symbolic link.
    pub fn link_target(&self) -> Option<&str> {
        match &self.kind {
            Kind::Symlink(target) => Some(target),
            _ => None,
        }
    }
}
