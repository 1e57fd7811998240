//! Boots disks as they are built, by UEFI, and makes their lives hard: bytes are flipped, power is cut, disks are too small.

mod disks;
mod esp;
mod labelled;
mod node_disk;
mod power_cut;
mod tamper;
mod too_small;

#[path = "../common/guest.rs"]
#[expect(dead_code, reason = "other tests boot for PXE")]
mod guest;
#[path = "../common/state_disk.rs"]
mod state_disk;
#[path = "../common/worker.rs"]
mod worker;
