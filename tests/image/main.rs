//! The shipped worker, as the built `kiln` bakes it: judged by programs that are not kiln, measured, and baked again under other
//! circumstances.
//!
//! The tests share one image per suite and one cache (`common/worker.rs`).

mod checkout;
mod contents;
mod extracted;
mod kube_proxy;
mod links;
mod manifest;
mod memory;
mod mtree;
mod packages;
mod privilege;
mod reproducible;
mod shared;
mod size;
mod tools;
mod unit_files;
mod verified;
#[path = "../common/worker.rs"]
#[expect(dead_code, reason = "other tests build without an overlay")]
mod worker;
