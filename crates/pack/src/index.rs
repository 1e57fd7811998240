//! The index of an input's contents.

use super::layer::merge_path;
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
        /// Its bytes, for small files that are read in every build.
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

    /// Whether the file at `path` is stored in the index itself. `reads` names the files, and the
    /// directories of files, that are read in every build, so that a build with warm caches does not
    /// open content files.
    pub(super) fn keeps_inline(path: &TreePath, size: u64, reads: &[&str]) -> bool {
        const SMALL: u64 = 64 << 10;
        let path = merge_path(path.clone());
        let rest = |place: &&str| path.as_str().strip_prefix(*place);
        size <= SMALL && reads.iter().filter_map(rest).any(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_files_are_kept_by_their_place() {
        let reads = ["usr/lib/systemd/system", "etc/ld.so.conf"];
        let keeps = |path: &str, size| Index::keeps_inline(&TreePath::new(path).expect("a path"), size, &reads);
        assert!(keeps("usr/lib/systemd/system/a.service", 64 << 10));
        // As packages of bookworm have it.
        assert!(keeps("lib/systemd/system/a.service", 1));
        assert!(keeps("etc/ld.so.conf", 1));
        assert!(!keeps("usr/lib/systemd/system/a.service", (64 << 10) + 1));
        assert!(!keeps("usr/lib/systemd/system-preset/a.preset", 1));
        assert!(!keeps("etc/ld.so.conf.d/a.conf", 1));
    }
}
