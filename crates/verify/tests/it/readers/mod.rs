//! Tests of the image readers with images that other programs made: mke2fs, sgdisk, mtools,
//! veritysetup, qemu-img, tar.

mod disks;
mod encodings;
mod ext4;
use kiln_testing::tools;

use kiln_image::blocks::{Blocks, Raw};
use std::path::Path;
use std::sync::Arc;

fn raw(path: &Path) -> Arc<dyn Blocks> {
    Arc::new(Raw::open(path).expect("opened"))
}

/// Bytes that look random and are reproducible, with long runs of zeros among them.
fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.to_be_bytes()[0]
    };
    (0..length).map(|at| if at / 100_000 % 3 == 1 { 0 } else { next() }).collect()
}
