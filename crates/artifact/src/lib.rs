//! Composes formats into things to boot.

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

/// What to do about an output that cannot be written, to follow the system's words.
pub fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
            "; free some space there, or choose another place with --out"
        }
        _ => "; choose another place with --out",
    }
}
