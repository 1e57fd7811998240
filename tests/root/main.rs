//! The root of a disk against programs that know ext4, dm-verity and tar: e2fsprogs, cryptsetup, GNU tar, libarchive, and `ext4-view`.

#[path = "../image/tools.rs"]
#[expect(dead_code, reason = "other tests use more of it")]
mod tools;

mod ext4;
mod limits;
mod specimen;
mod verity;
