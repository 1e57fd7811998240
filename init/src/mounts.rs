//! Mounts that do not involve disks.

use rustix::fs::{Mode, mkdir};
use rustix::io::Errno;
use rustix::mount::{MountFlags, UnmountFlags, mount, mount_move, unmount};
use std::ffi::CString;

/// The kernel's file systems, with the options of systemd, which keeps existing mounts.
const KERNEL: [(&str, &str, MountFlags, &str); 4] = [
    ("/proc", "proc", MountFlags::NOSUID.union(MountFlags::NODEV).union(MountFlags::NOEXEC), ""),
    ("/sys", "sysfs", MountFlags::NOSUID.union(MountFlags::NODEV).union(MountFlags::NOEXEC), ""),
    ("/dev", "devtmpfs", MountFlags::NOSUID, "mode=755,size=4m,nr_inodes=1m"),
    ("/run", "tmpfs", MountFlags::NOSUID.union(MountFlags::NODEV), "mode=755,size=20%,nr_inodes=800k"),
];

/// Mounts `/proc`, `/sys`, `/dev` and `/run` unless they are mounted already.
pub(crate) fn kernel_file_systems() -> Result<(), String> {
    for (point, kind, flags, options) in KERNEL {
        directory(point)?;
        match attach(kind, point, kind, flags, options) {
            Ok(()) | Err(Errno::BUSY) => {}
            Err(error) => return Err(format!("mounting {point}: {error}")),
        }
    }
    Ok(())
}

/// Moves them below `root` for a new root.
pub(crate) fn move_kernel_file_systems(root: &str) -> Result<(), String> {
    for (point, ..) in KERNEL {
        let target = format!("{root}{point}");
        mount_move(point, target.as_str()).map_err(|error| format!("moving {point} to {target}: {error}"))?;
    }
    Ok(())
}

/// Mounts an overlay over `/etc`: it is reset to the image at every boot, and writable until the
/// next one.
///
/// Changes are in a hidden tmpfs, which the overlay keeps alive after its mount is detached.
pub(crate) fn overlay_etc() -> Result<(), String> {
    const SCRATCH: &str = "/run/kiln-etc";
    let failed = |what: &'static str| move |error: Errno| format!("{what}: {error}");
    directory(SCRATCH)?;
    let flags = MountFlags::NOSUID.union(MountFlags::NODEV);
    attach("kiln-etc", SCRATCH, "tmpfs", flags, "mode=755,size=10%").map_err(failed("mounting a tmpfs for /etc"))?;
    let (upper, work) = (format!("{SCRATCH}/upper"), format!("{SCRATCH}/work"));
    directory(&upper)?;
    directory(&work)?;
    let options = format!("lowerdir=/etc,upperdir={upper},workdir={work}");
    attach("kiln-etc", "/etc", "overlay", flags, &options).map_err(failed("mounting an overlay over /etc"))?;
    unmount(SCRATCH, UnmountFlags::DETACH).map_err(failed("hiding what is below the overlay of /etc"))?;
    rustix::fs::rmdir(SCRATCH).map_err(failed("removing /run/kiln-etc"))
}

/// Calls mount(2) with text as data.
pub(crate) fn attach(source: &str, target: &str, kind: &str, flags: MountFlags, options: &str) -> Result<(), Errno> {
    let options = CString::new(options).map_err(|_| Errno::INVAL)?;
    mount(source, target, kind, flags, options.as_c_str())
}

/// Makes a directory with mode `0755` if it does not exist.
pub(crate) fn directory(path: &str) -> Result<(), String> {
    match mkdir(path, Mode::from_raw_mode(0o755)) {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(error) => Err(format!("making {path}: {error}")),
    }
}
