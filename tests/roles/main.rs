//! The shipped roles, as rendered and as booted.

mod booted;
mod containerd;
#[path = "../debian_root/mod.rs"]
mod debian_root;
#[path = "../common/guest.rs"]
#[expect(dead_code, reason = "other tests boot without questions of their own")]
mod guest;
mod rendered;
#[path = "../common/worker.rs"]
#[expect(dead_code, reason = "other tests build the worker")]
mod worker;
