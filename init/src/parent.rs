//! Makes the mount that turns `/` into an ordinary root.

use rustix::fs::{CWD, Mode, StatFs, chmod, statfs};
use rustix::mount::{MoveMountFlags, OpenTreeFlags, move_mount, open_tree};
use rustix::process::{chroot, fchdir};

/// `f_type` of ramfs and tmpfs (statfs(2)): the types of the kernel's rootfs.
const RAMFS_MAGIC: u64 = 0x8584_58f6;
const TMPFS_MAGIC: u64 = 0x0102_1994;

/// Mounts `/` over itself and enters the new mount; does nothing if `/` is not the kernel's rootfs.
///
/// Like switch_root(8), but with the current root as the new root: it clones the mount, attaches
/// the clone over `/`, and changes the root to it, because the process' root is still the mount
/// underneath.
pub(crate) fn give_root_a_parent() -> Result<(), String> {
    let failed = |what: &'static str| move |error: rustix::io::Errno| format!("{what}: {error}");
    let StatFs { f_type, .. } = statfs("/").map_err(failed("looking at /"))?;
    if !matches!(u64::try_from(f_type), Ok(RAMFS_MAGIC | TMPFS_MAGIC)) {
        return Ok(());
    }
    let clone = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_RECURSIVE;
    let root = open_tree(CWD, "/", clone).map_err(failed("cloning the mount of /"))?;
    move_mount(&root, "", CWD, "/", MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
        .map_err(failed("mounting / over itself"))?;
    fchdir(&root).map_err(failed("entering the new /"))?;
    chroot(".").map_err(failed("making the new / the root"))?;
    // The kernel creates it with mode 1777, like any tmpfs; only an archive with the root itself as
    // a member changes that.
    chmod("/", Mode::from_raw_mode(0o755)).map_err(failed("making / read-only for users"))
}
