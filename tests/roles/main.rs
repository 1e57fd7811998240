//! The shipped roles, as rendered; `tests/boot` boots them.

mod cni;
mod containerd;
#[path = "../debian_root/mod.rs"]
mod debian_root;
mod docker;
mod own;
mod rendered;
