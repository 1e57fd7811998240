//! Composes formats into bootable artifacts.

pub mod cloud;
pub mod disk;
pub mod initramfs;
pub mod kernel;
pub mod platform;
pub mod pxe;
pub mod root;
pub mod tar;

use kiln_manifest::OutputFile;

use std::io::{self, ErrorKind};

/// The remedy for an output that cannot be written, appended to the system's error.
pub fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
            "; free some space there, or choose another place with --out"
        }
        _ => "; choose another place with --out",
    }
}
