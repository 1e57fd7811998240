//! What maintainer scripts would have done, done as data: each module turns a tree of unpacked packages
//! into the tree that a configured system would have. See `docs/maintainer-scripts.md`.

pub mod accounts;
pub mod alternatives;
pub mod base_files;
pub mod ca_certificates;
pub mod identity;
pub mod input;
pub mod nsswitch;
pub mod os_release;
pub mod pam;
pub mod units;
mod words;
