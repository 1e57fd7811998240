//! Extents (fs/ext4/ext4_extents.h): the location of a file's blocks, as runs of up to 128 MiB.
//!
//! A file's blocks are contiguous on disk, so its extents follow from the first block and their
//! number.

use super::BLOCK_SIZE;
use super::checksum::Checksum;

/// `EXT_INIT_MAX_LEN`: the most blocks of an extent.
const INIT_MAX_LEN: u32 = 1 << 15;
/// `EXT4_EXT_MAGIC`.
const MAGIC: u16 = 0xf30a;
/// The size of a header, an extent and an index entry.
const ENTRY_SIZE: usize = 12;
/// The most entries in an inode.
const ROOT_MAX: u32 = 4;
/// The most entries in a block; a checksum follows them.
const BLOCK_MAX: u32 = 340;

/// Bytes of the largest file: a larger one would need a tree of three levels.
pub(super) const MAX_FILE_SIZE: u64 = ROOT_MAX as u64 * BLOCK_MAX as u64 * INIT_MAX_LEN as u64 * BLOCK_SIZE as u64;

/// The number of extent blocks that a file of `blocks` blocks needs besides the extents in its
/// inode.
pub(super) fn leaves(blocks: u32) -> u32 {
    match blocks.div_ceil(INIT_MAX_LEN) {
        0..=ROOT_MAX => 0,
        extents => extents.div_ceil(BLOCK_MAX),
    }
}

/// The `i_block` of a file whose `blocks` blocks begin at block `first` and whose extent blocks
/// begin at block `leaf`.
pub(super) fn root(first: u32, blocks: u32, leaf: u32) -> [u8; 60] {
    let mut bytes = [0; 60];
    let leaves = leaves(blocks);
    if leaves == 0 {
        header(&mut bytes, blocks.div_ceil(INIT_MAX_LEN), ROOT_MAX, 0);
        extents(&mut bytes, 0, first, blocks);
        return bytes;
    }
    header(&mut bytes, leaves, ROOT_MAX, 1);
    for (number, index) in (0..leaves).zip(bytes[ENTRY_SIZE..].chunks_exact_mut(ENTRY_SIZE)) {
        // ei_block and ei_leaf_lo; ei_leaf_hi is zero.
        index[..4].copy_from_slice(&(number * BLOCK_MAX * INIT_MAX_LEN).to_le_bytes());
        index[4..8].copy_from_slice(&(leaf + number).to_le_bytes());
    }
    bytes
}

/// Appends the extent blocks of such a file; `inode` is the seed of their checksums.
pub(super) fn leaf_blocks(out: &mut Vec<u8>, first: u32, blocks: u32, inode: Checksum) {
    for number in 0..leaves(blocks) {
        let start = number * BLOCK_MAX * INIT_MAX_LEN;
        let here = (blocks - start).min(BLOCK_MAX * INIT_MAX_LEN);
        let mut block = vec![0; BLOCK_SIZE];
        header(&mut block, here.div_ceil(INIT_MAX_LEN), BLOCK_MAX, 0);
        extents(&mut block, start, first + start, here);
        let tail = BLOCK_SIZE - 4;
        let checksum = inode.then(&block[..tail]);
        block[tail..].copy_from_slice(&checksum.get().to_le_bytes());
        out.extend_from_slice(&block);
    }
}

/// Writes an `ext4_extent_header`.
fn header(out: &mut [u8], eh_entries: u32, eh_max: u32, eh_depth: u16) {
    let [eh_entries, eh_max] = [eh_entries, eh_max].map(|number| u16::try_from(number).unwrap_or(u16::MAX));
    for (field, value) in out.chunks_exact_mut(2).zip([MAGIC, eh_entries, eh_max, eh_depth]) {
        field.copy_from_slice(&value.to_le_bytes());
    }
}

/// Writes an `ext4_extent` for each run of the `blocks` blocks that begin at block `logical` of the
/// file and at block `physical` of the disk.
fn extents(out: &mut [u8], logical: u32, physical: u32, blocks: u32) {
    let starts = (0..blocks).step_by(INIT_MAX_LEN as usize);
    for (start, extent) in starts.zip(out[ENTRY_SIZE..].chunks_exact_mut(ENTRY_SIZE)) {
        let ee_len = u16::try_from((blocks - start).min(INIT_MAX_LEN)).unwrap_or(u16::MAX);
        extent[..4].copy_from_slice(&(logical + start).to_le_bytes()); // ee_block
        extent[4..6].copy_from_slice(&ee_len.to_le_bytes());
        extent[8..].copy_from_slice(&(physical + start).to_le_bytes()); // ee_start_lo
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guid::Guid;
    use proptest::prelude::*;

    fn number(bytes: &[u8]) -> u32 {
        bytes.iter().rev().fold(0, |number, byte| number << 8 | u32::from(*byte))
    }

    /// The runs in a node of the tree: `ee_block`, `ee_len`, `ee_start_lo`.
    fn runs(node: &[u8]) -> Vec<(u32, u32, u32)> {
        let entries = node[ENTRY_SIZE..].chunks_exact(ENTRY_SIZE).take(number(&node[2..4]) as usize);
        entries.map(|entry| (number(&entry[..4]), number(&entry[4..6]), number(&entry[8..]))).collect()
    }

    proptest! {
        #[test]
        fn extents_cover_every_block_once(
            blocks in prop_oneof![0..200_000_u32, 0..=ROOT_MAX * BLOCK_MAX * INIT_MAX_LEN],
            first in 100..1_000_000_u32,
        ) {
            let root = root(first, blocks, 7);
            let mut below = Vec::new();
            leaf_blocks(&mut below, first, blocks, Checksum::of_file_system(&Guid::NIL));
            prop_assert_eq!(below.len(), leaves(blocks) as usize * BLOCK_SIZE);
            let mut nodes = vec![(0, root.as_slice())];
            if !below.is_empty() {
                prop_assert_eq!(number(&root[6..8]), 1);
                let indexes = root[ENTRY_SIZE..].chunks_exact(ENTRY_SIZE).take(number(&root[2..4]) as usize);
                nodes = indexes
                    .zip(7..)
                    .zip(below.chunks_exact(BLOCK_SIZE))
                    .map(|((index, leaf), node)| {
                        assert_eq!(number(&index[4..8]), leaf);
                        (number(&index[..4]), node)
                    })
                    .collect();
            }
            let mut next = 0;
            for (start, node) in nodes {
                prop_assert_eq!((start, number(&node[..2])), (next, u32::from(MAGIC)));
                for (logical, length, physical) in runs(node) {
                    prop_assert_eq!((logical, physical), (next, first + next));
                    prop_assert!((1..=INIT_MAX_LEN).contains(&length));
                    next += length;
                }
            }
            prop_assert_eq!(next, blocks);
        }
    }
}
