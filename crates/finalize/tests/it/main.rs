//! Results of this crate, checked with other programs. Each module is about one subject.

mod accounts;
mod alternatives;
mod ca;
mod depmod;
mod identity;
mod ld_cache;
mod units;
