//! Tests of a disk's root with programs that know ext4, dm-verity and tar: e2fsprogs, cryptsetup,
//! GNU tar, libarchive, and `ext4-view`.

use kiln_testing::tools;

mod ext4;
mod limits;
mod specimen;
mod verity;
