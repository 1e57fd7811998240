//! Pure byte writers: plain values in, bytes and typed errors out.
//!
//! Nothing here knows profiles, the network, the clock or the environment.

pub mod block;
pub mod clusters;
pub mod cpio;
pub mod frames;
pub mod gce;
pub mod ordered;
pub mod ovf;
pub mod qcow2;
pub mod vhd;
pub mod vmdk;
