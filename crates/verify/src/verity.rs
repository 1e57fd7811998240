//! Computes dm-verity's hash tree again (Documentation/admin-guide/device-mapper/verity.rst, hash
//! type 1).

use kiln_image::ReadError;
use kiln_image::blocks::{Blocks, bytes};
use kiln_image::verity::Superblock;
use rayon::prelude::*;
use sha2::{Digest as _, Sha256};

const BLOCK: u64 = 4096;
/// The number of SHA-256 digests in a block.
const PER_BLOCK: u64 = BLOCK / 32;
/// The most blocks of data: 16 TiB.
const MAX_BLOCKS: u64 = 1 << 32;

/// A SHA-256 digest.
pub type Hash = [u8; 32];

/// The result of computing the tree.
#[derive(Debug)]
pub struct Recomputed {
    /// The root hash of the data.
    pub root_hash: Hash,
    /// The number of hash blocks that were compared.
    pub blocks: u64,
    /// The hash blocks that do not match the data.
    pub wrong: Vec<String>,
}

/// Computes the tree of `data` and compares it with the tree after the superblock in `hashes`.
///
/// # Errors
/// [`ReadError`] when the superblock claims more blocks than there are.
pub fn recompute(data: &dyn Blocks, hashes: &dyn Blocks, superblock: &Superblock) -> Result<Recomputed, ReadError> {
    let count = superblock.data_blocks;
    if count == 0 || count > MAX_BLOCKS || count * BLOCK > data.size() {
        return Err(ReadError::Damaged(std::io::Error::other(format!(
            "its dm-verity superblock claims {count} blocks, but the root partition has {}",
            data.size() / BLOCK
        ))));
    }
    // Levels from the data upwards; on disk, the highest level comes first, after the superblock.
    let mut levels = Vec::new();
    let mut size = count;
    while size > 1 {
        size = size.div_ceil(PER_BLOCK);
        levels.push(size);
    }
    let starts: Vec<u64> = (0..levels.len()).map(|level| 1 + levels[level + 1..].iter().sum::<u64>()).collect();
    let salt = superblock.salt.as_slice();
    let mut recomputed = Recomputed { root_hash: [0; 32], blocks: levels.iter().sum(), wrong: Vec::new() };
    let mut below: Vec<Hash> = Vec::new();
    for (level, (&size, &start)) in levels.iter().zip(&starts).enumerate() {
        let digests_of = |index: u64| -> Result<Vec<Hash>, ReadError> {
            let (first, end) = (index * PER_BLOCK, (index + 1) * PER_BLOCK);
            if level > 0 {
                let at = |number: u64| usize::try_from(number).unwrap_or(usize::MAX).min(below.len());
                return Ok(below[at(first)..at(end)].to_vec());
            }
            let data = bytes(data, first * BLOCK, (end.min(count) - first) * BLOCK)?;
            Ok(data.chunks_exact(4096).map(|block| hash(salt, block)).collect())
        };
        let computed: Vec<(Hash, bool)> = (0..size)
            .into_par_iter()
            .map(|index| {
                let mut block = digests_of(index)?.concat();
                block.resize(4096, 0);
                let stored = bytes(hashes, (start + index) * BLOCK, BLOCK)?;
                Ok((hash(salt, &block), stored == block))
            })
            .collect::<Result<_, ReadError>>()?;
        let wrong = computed.iter().enumerate().filter(|(_, (_, same))| !same);
        recomputed.wrong.extend(
            wrong.map(|(index, _)| {
                format!("hash block {} of level {level} does not match the data", start + index as u64)
            }),
        );
        below = computed.into_iter().map(|(hash, _)| hash).collect();
    }
    recomputed.root_hash = match below.first() {
        Some(root) => *root,
        // A single data block has no tree.
        None => hash(salt, &bytes(data, 0, BLOCK)?),
    };
    Ok(recomputed)
}

fn hash(salt: &[u8], block: &[u8]) -> Hash {
    Sha256::new().chain_update(salt).chain_update(block).finalize().into()
}
