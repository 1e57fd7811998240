//! Fuzzing on stable Rust: every parser of foreign bytes, on mutated samples, for `KILN_FUZZ_SECONDS`. No panic, no input
//! that takes seconds, no gigabytes.

mod harness;
mod mutator;
#[path = "../common/synthetic.rs"]
mod synthetic;

mod archives;
mod disks;
mod images;
mod repositories;
mod settings;
