//! Booting what was built, in QEMU, by direct kernel boot of a PXE set.
//!
//! Nothing is added to the image for it: what a demonstration or a test needs inside the guest is delivered at boot as
//! systemd credentials (see [`Handout`]).

mod attached;
mod error;
mod guest;
mod handout;
mod kvm;
mod machine;
mod pxe;

pub use attached::attached;
pub use error::BootError;
pub use guest::Guest;
pub use handout::Handout;
pub use kvm::kvm_works;
pub use machine::{Accelerator, Machine};
pub use pxe::PxeSet;
