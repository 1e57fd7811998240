//! Disks without room for the node's state, or for the image itself.

use crate::disks::{fresh, image};
use crate::guest::{LIMIT, machine, turn};
use kiln::boot::{Guest, Handout};

/// A disk larger than the image by `room` must say `message`, and stop there.
fn says(room: i64, message: &str) {
    let guests = fresh(image("trixie"), room);
    let _turn = turn();
    let mut guest = Guest::start(&machine(&guests.disk), &guests.disk, &Handout::none()).expect("QEMU");
    guest.console_says(message, LIMIT).unwrap_or_else(|error| panic!("{error}\n{}", guest.console()));
    guest.wait(LIMIT).unwrap_or_else(|error| panic!("{error}\n{}", guest.console()));
    assert!(!guest.console().contains("systemd[1]"), "{}", guest.console());
}

#[test]
fn a_disk_without_room_for_state_says_so() {
    says(100 << 20, "the state of the node needs 1024 MiB at least: enlarge the disk");
}

#[test]
fn a_disk_smaller_than_the_image_says_so() {
    says(-(2 << 20), "is smaller than the image on it");
}
