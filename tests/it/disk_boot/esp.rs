//! The EFI system partition of a guest's disk, as mtools and fsck.vfat see it while nobody runs.

use crate::disk_boot::disks::{Guests, partition_start, tool};
use kiln::boot::DiskImage;
use std::fs;
use std::path::PathBuf;

/// Number of the partition.
const ESP: u32 = 1;
/// Where kernel images are, as mtools writes it.
const KERNELS: &str = "::/EFI/Linux";
/// Unit in which changes are written back, in bytes.
const BLOCK: usize = 4096;

/// A copy of the partition, for as long as the guest does not run.
pub(super) struct Esp {
    file: PathBuf,
    start: u64,
    disk: PathBuf,
}

impl Esp {
    /// Copies the partition out of the disk of `guests`, which is of `image`.
    pub(super) fn read(guests: &Guests, image: &DiskImage) -> Self {
        let [start, end] = [ESP, ESP + 1].map(|number| partition_start(image, number));
        let file = guests.path.with_extension("esp");
        // QEMU counts from the disk's first byte until 9.2, and later from the first that is
        // copied: the end or a little more.
        let (skip, count) = (format!("skip={}", start >> 20), format!("count={}", end >> 20));
        let (from, to) = (format!("if={}", guests.path.display()), format!("of={}", file.display()));
        tool("qemu-img", "qemu-utils", &["dd", "-f", "qcow2", "-O", "raw", "bs=1M", &skip, &count, &from, &to]);
        Self { file, start, disk: guests.path.clone() }
    }

    /// Checks that the file system is whole, and was left as one should be.
    pub(super) fn check(&self) {
        tool("fsck.vfat", "dosfstools", &["-n", &self.file.to_string_lossy()]);
    }

    /// Name of the kernel image, of which there is one.
    pub(super) fn kernel(&self) -> String {
        let listing = tool("mdir", "mtools", &["-b", "-i", &self.file.to_string_lossy(), KERNELS]);
        let names = listing.lines().filter_map(|line| line.strip_prefix(KERNELS)?.strip_prefix('/'));
        let names: Vec<&str> = names.collect();
        let [name] = names[..] else { panic!("{listing}") };
        name.to_owned()
    }

    /// Gives the kernel image, which has the counters `from`, the counters `to`, as the boot loader
    /// would have after some boots.
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

/// The kernel image on the disk of `guests`, whose file system is checked.
pub(super) fn kernel(guests: &Guests, image: &DiskImage) -> String {
    let esp = Esp::read(guests, image);
    esp.check();
    esp.kernel()
}
