//! The files of a PXE set.

use super::BootError;
use kiln_profile::Arch;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// The largest command line that is read, in bytes; kernels take 2,048 (x86) or 4,096 at most.
const MAX_CMDLINE: u64 = 64 << 10;

/// A kernel, an initramfs and a command line, as `kiln build` writes them to `pxe/`.
#[derive(Debug, Clone)]
pub struct PxeSet {
    /// `vmlinuz`.
    pub kernel: PathBuf,
    /// `initramfs.cpio.zst`.
    pub initramfs: PathBuf,
    /// The text of `cmdline`, one line.
    pub cmdline: String,
    /// The kernel's architecture.
    pub arch: Arch,
}

impl PxeSet {
    /// Opens the set in `dir`: the PXE directory itself or its parent (`out/worker`).
    ///
    /// # Errors
    /// [`BootError`] when a file is missing, or the kernel's architecture is unknown.
    pub fn open(dir: &Path) -> Result<Self, BootError> {
        let below = dir.join("pxe");
        let dir = if dir.join("vmlinuz").exists() { dir } else { below.as_path() };
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| BootError::Read { path, source }
        };
        let (kernel, initramfs, cmdline) = (dir.join("vmlinuz"), dir.join("initramfs.cpio.zst"), dir.join("cmdline"));
        let mut head = Vec::new();
        kiln_file::open(&kernel).and_then(|file| file.take(1024).read_to_end(&mut head)).map_err(failed(&kernel))?;
        fs::metadata(&initramfs).map_err(failed(&initramfs))?;
        let cmdline = kiln_file::read_text(&cmdline, MAX_CMDLINE).map_err(failed(&cmdline))?.trim().to_owned();
        let arch = kernel_arch(&head).ok_or_else(|| BootError::NoKernel(kernel.clone()))?;
        Ok(Self { kernel, initramfs, cmdline, arch })
    }
}

/// Detects the architecture by the magic numbers of Documentation/arch/{x86/boot,arm64/booting}.rst
/// in the kernel's source.
fn kernel_arch(head: &[u8]) -> Option<Arch> {
    match (head.get(0x202..0x206), head.get(0x38..0x3c)) {
        (Some(b"HdrS"), _) => Some(Arch::Amd64),
        (_, Some(b"ARM\x64")) => Some(Arch::Arm64),
        _ => None,
    }
}
