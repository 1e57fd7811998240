//! Disks, checked with the usual programs that partition, check, read and boot disks.
//!
//! The tests share one build of the shipped worker.

mod bad_input;
mod esp;
mod fat;
use crate::image::manifest;
use crate::image::mtree;
mod partitions;
mod reproducible;
mod root;
mod shared;
mod tar;
use kiln_testing::tools;
mod uki;
use crate::common::worker;
