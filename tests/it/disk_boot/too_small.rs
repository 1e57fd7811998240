//! Disks without room for the node's state, or for the image itself.

use crate::disk_boot::disks::{fresh, image};
use crate::disk_boot::esp::{Esp, kernel};
use crate::disk_boot::guest::{LIMIT, machine, turn};
use kiln::boot::{Guest, Handout};

/// Checks that a node on a disk larger than the image by `room` prints `message` and stops. The
/// boot loader counts the boot: the counters of the kernel image are `before`, or the image's own,
/// and then `after`.
fn says(room: i64, message: &str, before: Option<&str>, after: &str) {
    let guests = fresh(image("trixie"), room);
    if let Some(before) = before {
        Esp::read(&guests, image("trixie")).set_counters("+3-0", before);
    }
    let _turn = turn();
    let mut guest = Guest::start(&machine(&guests.disk), &guests.disk, &Handout::none()).expect("QEMU");
    guest.console_says(message, LIMIT).unwrap_or_else(|error| panic!("{error}\n{}", guest.console()));
    guest.wait(LIMIT).unwrap_or_else(|error| panic!("{error}\n{}", guest.console()));
    assert!(!guest.console().contains("systemd[1]"), "{}", guest.console());
    assert_eq!(kernel(&guests, image("trixie")), format!("kiln-probed_1.20.2{after}.efi"), "{}", guest.console());
}

#[test]
#[ignore = "make boots boots it"]
fn a_disk_without_room_for_state_is_reported() {
    says(100 << 20, "the state of the node needs 1024 MiB at least: enlarge the disk", None, "+2-1");
}

#[test]
fn a_disk_smaller_than_the_image_is_reported() {
    says(-(2 << 20), "is smaller than the image on it", Some("+1-2"), "+0-3");
}
