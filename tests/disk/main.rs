//! Disks, judged by the programs that partition, check, read and boot them everywhere else.
//!
//! The tests share one build of the shipped worker.

mod bad_input;
mod esp;
mod fat;
#[path = "../image/manifest.rs"]
#[expect(dead_code, reason = "other tests look at inputs and what was pruned")]
mod manifest;
#[path = "../image/mtree.rs"]
mod mtree;
mod partitions;
mod reproducible;
mod root;
mod shared;
mod tar;
#[path = "../image/tools.rs"]
#[expect(dead_code, reason = "other tests hash files")]
mod tools;
mod uki;
#[path = "../common/worker.rs"]
#[expect(dead_code, reason = "other tests build for PXE")]
mod worker;
