//! The shipped worker, baked by the built `kiln`: checked with other programs, measured, and baked
//! again under other conditions.
//!
//! The tests share one image per suite and one cache (`common/worker.rs`).

mod checkout;
mod contents;
mod extracted;
mod kube_proxy;
mod links;
pub(crate) mod manifest;
mod memory;
pub(crate) mod mtree;
mod overlays;
mod packages;
mod privilege;
mod reproducible;
mod shared;
mod size;
use kiln_testing::tools;
mod unit_files;
mod verified;
use crate::common::worker;
