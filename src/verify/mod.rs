//! Re-opens artifacts with readers that share no code with the writers.

pub mod initramfs;
