//! Boots disks as built, by UEFI, with faults: flipped bytes, power cuts, disks that are too small,
//! disks that claim to be another one.

mod decoy;
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
