//! A node with a flipped byte refuses to boot.

use crate::disk_boot::disks::{GIB, flip, fresh, image, partition_start, tool};
use crate::disk_boot::guest::{LIMIT, machine, turn};
use kiln::boot::{Bus, Guest, Handout, Machine};

/// The partition numbers of the root and of its hash tree.
const ROOT: u32 = 2;
const VERITY: u32 = 3;

/// Boots trixie's disk on `bus` with the byte at `offset` flipped; checks that it prints `refusal`
/// and stops.
fn refuses(bus: Bus, offset: u64, refusal: &str) {
    let image = image("trixie");
    let guests = fresh(image, 2 * GIB as i64);
    flip(&guests, image, offset);
    let _turn = turn();
    let handout = Handout::none().standalone().script("echo up");
    let machine = Machine { bus, ..machine(&guests.disk) };
    let mut guest = Guest::start(&machine, &guests.disk, &handout).expect("QEMU");
    guest.console_says(refusal, LIMIT).unwrap_or_else(|error| panic!("byte {offset}: {error}\n{}", guest.console()));
    // It restarts after ten seconds, as set on the command line; QEMU then exits (-no-reboot).
    guest.wait(LIMIT).unwrap_or_else(|error| panic!("byte {offset}: {error}\n{}", guest.console()));
    let console = guest.console();
    assert!(!console.contains("Started kubelet"), "{console}");
    assert!(guest.line("nothing", LIMIT).is_err(), "it booted far enough to run a script\n{console}");
}

const CORRUPTED: &str = "dm-verity device corrupted";

#[test]
fn in_the_superblock_of_the_hash_tree() {
    let start = partition_start(image("trixie"), VERITY);
    // A byte of its UUID, which device-mapper does not check.
    refuses(Bus::Ahci, start + 16, "kiln-init: this node cannot boot: verity: the superblock of /dev/sda3 is damaged");
}

#[test]
#[ignore = "make boots boots it"]
fn in_the_hash_tree() {
    // The block after the superblock is the tree's root.
    refuses(Bus::Nvme, partition_start(image("trixie"), VERITY) + 4096 + 5, CORRUPTED);
}

#[test]
#[ignore = "make boots boots it"]
fn in_the_roots_metadata() {
    refuses(Bus::Ahci, partition_start(image("trixie"), ROOT) + 1024 + 0x78, CORRUPTED);
}

#[test]
fn in_a_file_of_the_root() {
    let image = image("trixie");
    let start = partition_start(image, ROOT);
    let root = format!("{}?offset={start}", image.path.display());
    let text = tool("debugfs", "e2fsprogs", &["-R", "bmap /usr/lib/systemd/systemd 0", &root]);
    let block: u64 = text.lines().find_map(|line| line.trim().parse().ok()).unwrap_or_else(|| panic!("{text}"));
    refuses(Bus::Virtio, start + block * 4096 + 100, CORRUPTED);
}
