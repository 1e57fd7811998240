//! Disks for guests: the image is built once per suite, and every guest writes to a separate file.

use crate::disk_boot::worker;
use kiln::boot::{Disk, DiskImage};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use tempfile::TempDir;

pub(super) const GIB: u64 = 1 << 30;

/// The worker with a program that queries the kernel about dm-verity, and an SSH server.
const ROLE: &str = "extends: worker\ndebian:\n  packages: [cryptsetup-bin, openssh-server]\n";

/// The built image of `suite`.
pub(super) fn image(suite: &str) -> &'static DiskImage {
    static TRIXIE: OnceLock<(TempDir, DiskImage)> = OnceLock::new();
    static BOOKWORM: OnceLock<(TempDir, DiskImage)> = OnceLock::new();
    let cell = match suite {
        "trixie" => &TRIXIE,
        _ => &BOOKWORM,
    };
    let build = || {
        let directory = tempfile::tempdir().expect("a directory");
        worker::kiln(directory.path());
        fs::write(directory.path().join("profiles/probed.yaml"), ROLE).expect("written");
        let out = worker::build(directory.path(), "probed", suite, "disk");
        let image = DiskImage::open(&out).expect("a disk");
        (directory, image)
    };
    &cell.get_or_init(build).1
}

/// A guest's disk, and its directory.
pub(super) struct Guests {
    pub disk: Disk,
    pub path: PathBuf,
    _directory: TempDir,
}

/// A new disk with `image` and `room` more bytes.
pub(super) fn fresh(image: &DiskImage, room: i64) -> Guests {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("disk.qcow2");
    let size = image.size.checked_add_signed(room).expect("a size");
    let disk = Disk::create(image, &path, size).unwrap_or_else(|error| panic!("{error}"));
    Guests { disk, path, _directory: directory }
}

/// The output of a program.
///
/// # Panics
/// When it fails, or is not installed; the message then names `package`.
pub(super) fn tool(program: &str, package: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}; install the Debian package {package}"));
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{program} {arguments:?}: {text}");
    text
}

/// The start of partition `number` of `image` in bytes, according to sgdisk.
pub(super) fn partition_start(image: &DiskImage, number: u32) -> u64 {
    let text = tool("sgdisk", "gdisk", &["-i", &number.to_string(), &image.path.to_string_lossy()]);
    let line = text.lines().find_map(|line| line.strip_prefix("First sector: ")).expect("a first sector");
    line.split(' ').next().expect("a number").parse::<u64>().expect("a number") * 512
}

/// Inverts the lowest bit of the byte at `offset` of a guest's disk, whose contents are still those
/// of `image`.
pub(super) fn flip(guests: &Guests, image: &DiskImage, offset: u64) {
    let byte = byte_at(&image.path, offset) ^ 1;
    let write = format!("write -q -P {byte} {offset} 1");
    tool("qemu-io", "qemu-utils", &["-f", "qcow2", "-c", &write, &guests.path.to_string_lossy()]);
}

fn byte_at(path: &Path, offset: u64) -> u8 {
    use std::os::unix::fs::FileExt as _;
    let mut byte = [0];
    fs::File::open(path).and_then(|file| file.read_exact_at(&mut byte, offset)).expect("a byte");
    byte[0]
}
