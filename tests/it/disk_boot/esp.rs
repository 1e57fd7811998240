//! Inspects the EFI system partition of a guest's disk with mtools and fsck.vfat while no guest is
//! running.

use crate::disk_boot::disks::{Guests, partition_start, tool};
use kiln::boot::DiskImage;
use std::fs;
use std::path::PathBuf;

/// The number of the partition.
const ESP: u32 = 1;
/// The directory of kernel images, in mtools' syntax.
const KERNELS: &str = "::/EFI/Linux";
/// The unit in which changes are written back, in bytes.
const BLOCK: usize = 4096;

/// A copy of the partition, valid while the guest is not running.
pub(super) struct Esp {
    file: PathBuf,
    start: u64,
    disk: PathBuf,
}

impl Esp {
    /// Copies the partition from the disk of `guests`, which was made from `image`.
    pub(super) fn read(guests: &Guests, image: &DiskImage) -> Self {
        let [start, end] = [ESP, ESP + 1].map(|number| partition_start(image, number));
        let file = guests.path.with_extension("esp");
        // `count` starts at the disk's first byte up to QEMU 9.2, and at the first byte copied in
        // later versions, which copy a little more.
        let (skip, count) = (format!("skip={}", start >> 20), format!("count={}", end >> 20));
        let (from, to) = (format!("if={}", guests.path.display()), format!("of={}", file.display()));
        tool("qemu-img", "qemu-utils", &["dd", "-f", "qcow2", "-O", "raw", "bs=1M", &skip, &count, &from, &to]);
        Self { file, start, disk: guests.path.clone() }
    }

    /// Checks that the file system is consistent and was cleanly unmounted.
    pub(super) fn check(&self) {
        tool("fsck.vfat", "dosfstools", &["-n", &self.file.to_string_lossy()]);
    }

    /// The name of the only kernel image.
    pub(super) fn kernel(&self) -> String {
        let listing = tool("mdir", "mtools", &["-b", "-i", &self.file.to_string_lossy(), KERNELS]);
        let names = listing.lines().filter_map(|line| line.strip_prefix(KERNELS)?.strip_prefix('/'));
        let names: Vec<&str> = names.collect();
        let [name] = names[..] else { panic!("{listing}") };
        name.to_owned()
    }

    /// Changes the counters in the kernel image's name from `from` to `to`, as the boot loader does
    /// after some boots.
    pub(super) fn set_counters(&self, from: &str, to: &str) {
        let before = fs::read(&self.file).expect("a file");
        let name = self.kernel();
        let (old, new) = (format!("{KERNELS}/{name}"), format!("{KERNELS}/{}", name.replace(from, to)));
        tool("mmove", "mtools", &["-i", &self.file.to_string_lossy(), &old, &new]);
        let after = fs::read(&self.file).expect("a file");
        let blocks = before.chunks(BLOCK).zip(after.chunks(BLOCK)).zip((self.start..).step_by(BLOCK));
        let changed = self.file.with_extension("block");
        for ((_, block), at) in blocks.filter(|((before, after), _)| before != after) {
            fs::write(&changed, block).expect("written");
            let write = format!("write -q -s {} {at} {}", changed.display(), block.len());
            tool("qemu-io", "qemu-utils", &["-f", "qcow2", "-c", &write, &self.disk.to_string_lossy()]);
        }
    }
}

/// Checks the file system on the disk of `guests`; returns the name of the kernel image.
pub(super) fn kernel(guests: &Guests, image: &DiskImage) -> String {
    let esp = Esp::read(guests, image);
    esp.check();
    esp.kernel()
}
