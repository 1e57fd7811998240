//! Asks firmware from which disk it started.

use crate::console::say;
use crate::mounts::attach;
use kiln_init::choice::Origin;
use kiln_init::efi;
use rustix::io::Errno;
use rustix::mount::{MountFlags, UnmountFlags, unmount};
use std::fs::File;
use std::io::Read as _;

/// The kernel makes this directory if firmware has variables.
const VARIABLES: &str = "/sys/firmware/efi/efivars";

/// What firmware says; nothing if it has no variables, or the image no module for them.
///
/// They are mounted for the time of reading only: systemd mounts them with its own options.
pub(crate) fn origin() -> Origin {
    let flags = MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    match attach("efivarfs", VARIABLES, "efivarfs", flags, "") {
        Ok(()) => {}
        Err(Errno::NOENT | Errno::NODEV | Errno::OPNOTSUPP) => return Origin::default(),
        Err(error) => {
            say(&format!("mounting {VARIABLES}: {error}; looking for the root on all disks"));
            return Origin::default();
        }
    }
    let origin = Origin {
        partition: read(efi::LOADER_PARTITION).and_then(|variable| efi::loader_partition(&variable)),
        place: read(efi::BOOT_CURRENT)
            .and_then(|variable| efi::boot_current(&variable))
            .and_then(|number| read(&efi::boot_option(number)))
            .and_then(|variable| efi::boot_device(&variable)),
    };
    if let Err(error) = unmount(VARIABLES, UnmountFlags::DETACH) {
        say(&format!("unmounting {VARIABLES}: {error}"));
    }
    origin
}

/// The bytes of a variable; `None` if there is none, or it is absurdly large.
fn read(variable: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = File::open(format!("{VARIABLES}/{variable}")).ok()?;
    file.take(efi::MAX_SIZE + 1).read_to_end(&mut bytes).ok()?;
    (bytes.len() as u64 <= efi::MAX_SIZE).then_some(bytes)
}
