//! What maintainer scripts would have done, done as data.

pub mod depmod;
pub mod elf;
pub mod kernel_modules;
pub mod ld_cache;
