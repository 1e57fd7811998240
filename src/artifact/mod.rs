//! Composes formats into things to boot.

pub mod initramfs;

