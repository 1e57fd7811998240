//! Disk images, and the files that receive a guest's writes.

use super::{BootError, Firmware};
use kiln_init::gpt::{Guid, Table};
use kiln_profile::{Arch, Output};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// QEMU's program for disk images, and the Debian package that contains it.
const QEMU_IMG: (&str, &str) = ("qemu-img", "qemu-utils");

/// Types of root partitions (Discoverable Partitions Specification) and the architecture of a disk
/// with such a partition.
const ROOTS: [(Guid, Arch); 2] = [
    (Guid::from_text_order(0x4f68bce3_e8cd_4db1_96e7_fbcaf984b709_u128.to_be_bytes()), Arch::Amd64),
    (Guid::from_text_order(0xb921b045_1df0_41c3_af44_4c6f280d3fae_u128.to_be_bytes()), Arch::Arm64),
];

/// A raw disk, as `kiln build` writes it to `disk.raw`.
#[derive(Debug, Clone)]
pub struct DiskImage {
    /// The file.
    pub path: PathBuf,
    /// Its size in bytes.
    pub size: u64,
    /// The architecture of its root partition.
    pub arch: Arch,
}

impl DiskImage {
    /// Opens the disk at `path`: the file itself or the directory that contains `disk.raw`
    /// (`out/worker`).
    ///
    /// # Errors
    /// [`BootError`] when it is not a disk with a root partition of a known architecture.
    pub fn open(path: &Path) -> Result<Self, BootError> {
        let path = if path.is_dir() { path.join(Output::Disk.file()) } else { path.to_owned() };
        let failed = |source| BootError::Read { path: path.clone(), source };
        let mut file = kiln_file::open(&path).map_err(failed)?;
        let size = file.metadata().map_err(failed)?.len();
        let table = Table::read(&mut file, 512, size)
            .map_err(|why| BootError::NoDisk { path: path.clone(), why: why.to_string() })?;
        let types = table.partitions.iter().map(|partition| partition.partition_type);
        let arch = types.into_iter().find_map(|kind| ROOTS.iter().find(|(root, _)| *root == kind));
        let no_root = || BootError::NoDisk { path: path.clone(), why: "it has no root partition".into() };
        let arch = arch.ok_or_else(no_root)?.1;
        Ok(Self { path, size, arch })
    }
}

/// A guest's disk: an image that is not changed, and a file that receives all writes.
#[derive(Debug, Clone)]
pub struct Disk {
    pub(super) path: PathBuf,
    pub(super) arch: Arch,
    pub(super) firmware: Firmware,
}

impl Disk {
    /// Creates a disk of `size` bytes whose initial contents are `image`; writes go to the new file
    /// `path`. A `size` smaller than the image truncates it.
    ///
    /// # Errors
    /// [`BootError`] when no firmware for it is installed, or qemu-img fails.
    pub fn create(image: &DiskImage, path: &Path, size: u64) -> Result<Self, BootError> {
        let base = image.path.canonicalize();
        let base = base.map_err(|source| BootError::Read { path: image.path.clone(), source })?;
        let mut command = Command::new(QEMU_IMG.0);
        command.args(["create", "-q", "-f", "qcow2", "-F", "raw", "-b"]).arg(base).arg(path).arg(size.to_string());
        run(&mut command)?;
        Self::reopen(image, path)
    }

    /// Opens a disk that [`Disk::create`] made.
    ///
    /// # Errors
    /// [`BootError`] when no firmware for it is installed.
    pub fn reopen(image: &DiskImage, path: &Path) -> Result<Self, BootError> {
        Ok(Self { path: path.to_owned(), arch: image.arch, firmware: Firmware::find(image.arch)? })
    }

    /// Enlarges the disk by `bytes`. No guest may be using it.
    ///
    /// # Errors
    /// [`BootError`] when qemu-img fails.
    pub fn grow(&self, bytes: u64) -> Result<(), BootError> {
        run(Command::new(QEMU_IMG.0).args(["resize", "-q", "-f", "qcow2"]).arg(&self.path).arg(format!("+{bytes}")))
    }
}

fn run(command: &mut Command) -> Result<(), BootError> {
    let (program, package) = QEMU_IMG;
    let output = command.stdin(Stdio::null()).output().map_err(|source| match source.kind() {
        std::io::ErrorKind::NotFound => BootError::NoQemu { program, package },
        _ => BootError::Qemu { program, source },
    })?;
    if output.status.success() {
        return Ok(());
    }
    let message = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(BootError::Failed { program, status: output.status, message })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_not_a_disk_is_rejected_with_its_name() {
        let directory = tempfile::tempdir().expect("a directory");
        let error = DiskImage::open(directory.path()).expect_err("nothing there").to_string();
        assert!(error.contains("disk.raw"), "{error}");
        let path = directory.path().join("disk.raw");
        std::fs::File::create(&path).and_then(|file| file.set_len(1 << 20)).expect("a file");
        let error = DiskImage::open(&path).expect_err("no table").to_string();
        assert!(error.contains("disk.raw") && error.contains("partition table"), "{error}");
    }
}
