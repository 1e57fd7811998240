//! Pure byte writers: plain values in, bytes and typed errors out.
//!
//! Nothing here knows profiles, the network, the clock or the environment.

pub mod block;
pub mod clusters;
pub mod cpio;
pub mod ext4;
pub mod fat;
pub mod filesystem;
pub mod frames;
pub mod gce;
pub mod gpt;
pub mod guid;
pub mod inodes;
pub mod iso9660;
pub mod ordered;
pub mod ovf;
pub mod pe;
pub mod qcow2;
pub mod verity;
pub mod vhd;
pub mod vmdk;
