//! Fuzzing on stable Rust: every parser of foreign bytes, on mutated samples, for `KILN_FUZZ_SECONDS`. No panic, no input
//! that takes seconds, no gigabytes.

use kiln_testing::synthetic;

mod archives;
mod containers;
mod disks;
mod images;
mod repositories;
mod settings;
