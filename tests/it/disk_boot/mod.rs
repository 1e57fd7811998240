//! Boots disks as they are built, by UEFI, and makes their lives hard: bytes are flipped, power is
//! cut, disks are too small.

mod disks;
mod esp;
mod labelled;
mod node_disk;
mod power_cut;
mod tamper;
mod too_small;

use crate::common::guest;
use crate::common::state_disk;
use crate::common::worker;
