//! What an input holds.

use kiln_tree::{DeviceKind, Digest, TreePath};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Members of one input in archive order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Index {
    /// A .deb's `control` file; empty for other inputs.
    pub control: String,
    /// What is in it, in archive order.
    pub members: Vec<Member>,
}

/// One member of an archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Path as the archive has it, cleaned.
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
        /// Where its bytes begin in the input's content file.
        offset: u64,
        /// How many there are.
        size: u64,
        /// Their digest.
        digest: Digest,
        /// The bytes themselves, for small configuration that finalizers read on every build.
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
    /// The index of an input that is one file.
    pub(super) fn of_file(size: u64, digest: Digest) -> Self {
        let kind = MemberKind::File { offset: 0, size, digest, inline: None };
        let member = |path| Member { path, kind, mode: 0o755, uid: 0, gid: 0, mtime: 0, xattrs: BTreeMap::new() };
        Self { control: String::new(), members: TreePath::new("raw").ok().map(member).into_iter().collect() }
    }

    /// Numbers of the files that other members are hard links to.
    pub fn linked(&self) -> BTreeSet<u32> {
        let target = |member: &Member| match member.kind {
            MemberKind::Hardlink(first) => Some(first),
            _ => None,
        };
        self.members.iter().filter_map(target).collect()
    }

    /// Whether a file is kept in the index itself: the configuration finalizers look at, so that a build
    /// with warm caches touches no content file.
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
