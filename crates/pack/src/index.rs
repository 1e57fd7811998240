//! The index of an input's contents.

use kiln_tree::{DeviceKind, Digest, TreePath};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Members of one input in archive order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Index {
    /// A .deb's `control` file; empty for other inputs.
    pub control: String,
    /// Its members in archive order.
    pub members: Vec<Member>,
}

/// One member of an archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Its path from the archive, normalized.
    pub path: TreePath,
    /// Type and content.
    pub kind: MemberKind,
    /// Permission bits.
    pub mode: u16,
    /// Numeric owner.
    pub uid: u32,
    /// Numeric group.
    pub gid: u32,
    /// Modification time, seconds since 1970.
    pub mtime: u32,
    /// Extended attributes (PAX `SCHILY.xattr.*`).
    pub xattrs: BTreeMap<String, Vec<u8>>,
}

/// Type and content of a member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum MemberKind {
    /// A directory.
    Directory,
    /// A regular file.
    File {
        /// The offset of its bytes in the input's content file.
        offset: u64,
        /// Its size in bytes.
        size: u64,
        /// The digest of its bytes.
        digest: Digest,
        /// Its bytes, for small configuration files that finalizers read in every build.
        inline: Option<Vec<u8>>,
    },
    /// Another name of an earlier regular file, by its number.
    Hardlink(u32),
    /// A symbolic link.
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

impl Index {
    /// The index of an input that is a single file.
    pub(super) fn of_file(size: u64, digest: Digest) -> Self {
        let kind = MemberKind::File { offset: 0, size, digest, inline: None };
        let member = |path| Member { path, kind, mode: 0o755, uid: 0, gid: 0, mtime: 0, xattrs: BTreeMap::new() };
        Self { control: String::new(), members: TreePath::new("raw").ok().map(member).into_iter().collect() }
    }

    /// The numbers of the files that other members are hard links to.
    pub fn linked(&self) -> BTreeSet<u32> {
        let target = |member: &Member| match member.kind {
            MemberKind::Hardlink(first) => Some(first),
            _ => None,
        };
        self.members.iter().filter_map(target).collect()
    }

    /// Whether a file is stored in the index itself: configuration that finalizers read, so that a
    /// build with warm caches does not open content files.
    pub(super) fn keeps_inline(path: &TreePath, size: u64) -> bool {
        const SMALL: u64 = 64 << 10;
        const DIRS: [&str; 16] = [
            "etc/",
            "usr/lib/systemd/",
            "lib/systemd/",
            "usr/lib/sysusers.d/",
            "usr/lib/tmpfiles.d/",
            "usr/lib/sysctl.d/",
            "usr/lib/modules-load.d/",
            "usr/lib/modprobe.d/",
            "usr/lib/udev/rules.d/",
            "usr/lib/os-release",
            "usr/share/base-passwd/",
            "usr/share/base-files/",
            "usr/share/libc-bin/",
            "usr/share/ca-certificates/",
            "usr/share/pam",
            "usr/share/dbus-1/",
        ];
        if path.name().starts_with("modules.") && path.as_str().contains("lib/modules/") {
            return size <= 1 << 20;
        }
        size <= SMALL && DIRS.iter().any(|dir| path.as_str().starts_with(dir))
    }
}
