//! A program with a file capability on a network-booted node; cpio cannot store capabilities.

use kiln::boot::PxeSet;
use kiln_init::xattrs::{self, Xattr};
use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;

/// Copies the initramfs of `set` to `directory`, and gives `program` CAP_NET_RAW in the copy.
pub(crate) fn give(set: &mut PxeSet, directory: &Path, program: &str) {
    let initramfs = directory.join("initramfs.cpio.zst");
    fs::copy(&set.initramfs, &initramfs).expect("copied");
    let mut file = File::options().append(true).open(&initramfs).expect("opened");
    file.write_all(&archive_with_capability(program)).expect("appended");
    set.initramfs = initramfs;
}

/// A compressed archive to append to an initramfs: a list that gives `program` CAP_NET_RAW.
fn archive_with_capability(program: &str) -> Vec<u8> {
    // struct vfs_ns_cap_data of capability.h, revision 2: flags, then permitted and inheritable,
    // low and high words.
    let value = [0x0200_0001_u32, 1 << 13, 0, 0, 0].iter().flat_map(|word| word.to_le_bytes()).collect();
    let xattr = Xattr { path: program.into(), name: "security.capability".into(), value };
    let list = xattrs::encode(&[xattr]).expect("a list");
    let directory = cpio::newc::Builder::new("usr/lib/kiln").mode(0o040_755).nlink(2).write(Vec::new(), 0);
    let mut file = cpio::newc::Builder::new(xattrs::FILE)
        .mode(0o100_644)
        .nlink(1)
        .write(directory.finish().expect("written"), u32::try_from(list.len()).expect("it is short"));
    file.write_all(list.as_bytes()).expect("written");
    let archive = cpio::newc::trailer(file.finish().expect("written")).expect("written");
    zstd::encode_all(&archive[..], 3).expect("compressed")
}
