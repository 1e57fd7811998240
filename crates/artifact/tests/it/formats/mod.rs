//! Disks in the formats of clouds, judged by programs that read them: qemu-img, 7-Zip, GNU tar,
//! libarchive, xmllint.

mod disks;
mod errors;
mod gce;
mod memory;
mod qcow2;
mod random;
mod same_bytes;
use kiln_testing::tools;
mod vhd;
mod vmdk;
