//! What this crate makes and reads, judged by other programs. A module is a subject.

mod accounts;
mod alternatives;
mod ca;
mod depmod;
mod identity;
mod ld_cache;
mod units;
