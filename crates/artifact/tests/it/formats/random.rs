//! Any disk: random sizes, ranges and contents, in every format.

use crate::formats::disks::{Disk, noise};
use crate::formats::{gce, qcow2, vhd, vmdk};
use kiln_profile::Output;
use proptest::prelude::*;
use std::os::unix::fs::FileExt;

/// Bytes somewhere on a disk.
#[derive(Debug, Clone)]
struct Piece {
    /// Where, in parts of a million of the disk.
    at: u64,
    len: usize,
    what: What,
}

#[derive(Debug, Clone, Copy)]
enum What {
    Zeros,
    Noise,
    Text,
    /// The share of noise, so that the piece just compresses or just does not.
    Mixed,
}

fn piece() -> impl Strategy<Value = Piece> {
    let what = prop_oneof![Just(What::Zeros), Just(What::Noise), Just(What::Text), Just(What::Mixed)];
    let len = prop_oneof![1..2000_usize, 60_000..70_000_usize, 1..3_000_000_usize];
    (0..=1_000_000_u64, len, what).prop_map(|(at, len, what)| Piece { at, len, what })
}

fn disk(sectors: u64, pieces: &[Piece]) -> Disk {
    let size = sectors * 512;
    Disk::new(size, |file, _| {
        for (seed, piece) in pieces.iter().enumerate() {
            let at = (size - 1) * piece.at / 1_000_000;
            let mut bytes = vec![0; piece.len.min(usize::try_from(size - at).expect("small"))];
            match piece.what {
                What::Zeros => {}
                What::Noise => noise(&mut bytes, seed as u64 + 1),
                What::Text => {
                    bytes.iter_mut().zip(b"a Kubernetes node ".iter().cycle()).for_each(|(to, from)| *to = *from)
                }
                What::Mixed => bytes.chunks_mut(700).for_each(|chunk| {
                    let len = chunk.len() - chunk.len() / 500;
                    noise(&mut chunk[..len], piece.at);
                }),
            }
            file.write_all_at(&bytes, at).expect("written");
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, max_shrink_iters: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_disk_is_read_back(
        sectors in prop_oneof![1..3000_u64, 130_000..140_000_u64, 1_000_000..12_000_000_u64],
        pieces in proptest::collection::vec(piece(), 0..12),
        threads in 1..6_usize,
    ) {
        let disk = disk(sectors, &pieces);
        let encoded = |kind, suffix| disk.encode(kind, "out", threads).path(suffix);
        qcow2::judge(&disk, &encoded(Output::Qcow2, ".qcow2"), "zstd");
        qcow2::judge(&disk, &encoded(Output::Qcow2Zlib, ".qcow2"), "zlib");
        vhd::judge(&disk, &encoded(Output::Vhd, ".vhd"));
        vmdk::judge(&disk, &encoded(Output::Vmdk, ".vmdk"));
        gce::judge(&disk, &encoded(Output::Gce, ".tar.gz"));
    }
}
