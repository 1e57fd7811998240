//! Boots build outputs in QEMU: a PXE set by direct kernel boot, a disk by UEFI.
//!
//! Nothing is added to the image: what a demonstration or a test needs inside the guest is passed
//! at boot as systemd credentials (see [`Handout`]).

mod attached;
mod disk;
mod error;
mod firmware;
mod guest;
mod handout;
mod kvm;
mod machine;
mod pxe;

pub use attached::run_attached;
pub use disk::{Disk, DiskImage};
pub use error::BootError;
pub use guest::Guest;
pub use handout::Handout;
pub use kvm::kvm_works;
pub use machine::{Accelerator, Bus, Machine};
pub use pxe::PxeSet;

use firmware::Firmware;
use kiln_profile::Arch;

/// What a machine boots.
#[derive(Debug, Clone, Copy)]
pub enum Image<'a> {
    /// Kernel and initramfs, as a network boot loader fetches them.
    Pxe(&'a PxeSet),
    /// A disk with its own boot loader.
    Disk(&'a Disk),
}

impl Image<'_> {
    /// The architecture of the image.
    pub fn arch(self) -> Arch {
        match self {
            Self::Pxe(set) => set.arch,
            Self::Disk(disk) => disk.arch,
        }
    }
}

impl<'a> From<&'a PxeSet> for Image<'a> {
    fn from(set: &'a PxeSet) -> Self {
        Self::Pxe(set)
    }
}

impl<'a> From<&'a Disk> for Image<'a> {
    fn from(disk: &'a Disk) -> Self {
        Self::Disk(disk)
    }
}
