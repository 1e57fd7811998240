//! dm-verity (Linux, Documentation/admin-guide/device-mapper/verity.rst): a hash tree over the
//! blocks of a device, and the superblock that veritysetup(8) writes before it.
//!
//! Format 1, SHA-256, blocks of 4096 bytes for data and hashes. A digest is computed over salt and
//! block. Digests fill the blocks of the next level, padded with zeros, until one block is left,
//! whose digest is the root hash. The highest level comes first on disk.

use super::block::BlockSink;
use super::guid::Guid;
use rayon::prelude::*;
use sha2::{Digest as _, Sha256};
use std::io;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

/// Bytes of a block of data or hashes.
pub const BLOCK_SIZE: usize = 4096;
const BLOCK: u64 = BLOCK_SIZE as u64;
/// Bytes of a digest.
const DIGEST: usize = 32;
const DIGESTS_PER_BLOCK: u64 = BLOCK / DIGEST as u64;
/// The bytes of hash blocks that a thread hashes at a time.
const RUN: usize = 16 * BLOCK_SIZE;

const SIGNATURE: &[u8; 8] = b"verity\0\0";
const VERSION: u32 = 1;
/// The salt comes before the block, and digests are padded to a power of two.
const HASH_TYPE: u32 = 1;
const ALGORITHM: &[u8; 6] = b"sha256";

/// The parameters of a hash tree besides the data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameters {
    /// The UUID in the superblock.
    pub uuid: Guid,
    /// Hashed before every block.
    pub salt: [u8; 32],
    /// The number of data blocks, at least one.
    pub data_blocks: u64,
}

impl Parameters {
    /// The size of superblock and tree in bytes.
    pub fn size(&self) -> u64 {
        (1 + self.levels().iter().sum::<u64>()) * BLOCK
    }

    /// The number of blocks of each level, lowest first. A single data block has no levels: its
    /// digest is the root hash.
    fn levels(&self) -> Vec<u64> {
        let mut levels = Vec::new();
        let mut blocks = self.data_blocks;
        while blocks > 1 {
            blocks = blocks.div_ceil(DIGESTS_PER_BLOCK);
            levels.push(blocks);
        }
        levels
    }

    fn digest(&self, block: &[u8]) -> [u8; DIGEST] {
        Sha256::new().chain_update(self.salt).chain_update(block).finalize().into()
    }

    /// The digests of `blocks`, one after another.
    fn digests(&self, blocks: &[u8]) -> Vec<u8> {
        let mut digests = Vec::with_capacity(blocks.len() / BLOCK_SIZE * DIGEST);
        for block in blocks.chunks(BLOCK_SIZE) {
            digests.extend_from_slice(&self.digest(block));
        }
        digests
    }

    /// `verity_sb`, padded to a block.
    pub fn superblock(&self) -> Vec<u8> {
        let mut bytes = vec![0; BLOCK_SIZE];
        let mut put = |at: usize, field: &[u8]| bytes[at..at + field.len()].copy_from_slice(field);
        let [block_size, salt_size] = [BLOCK_SIZE, self.salt.len()].map(|size| u16::try_from(size).unwrap_or(u16::MAX));
        put(0x00, SIGNATURE);
        put(0x08, &VERSION.to_le_bytes());
        put(0x0c, &HASH_TYPE.to_le_bytes());
        put(0x10, self.uuid.as_bytes());
        put(0x20, ALGORITHM);
        put(0x40, &u32::from(block_size).to_le_bytes()); // data_block_size
        put(0x44, &u32::from(block_size).to_le_bytes()); // hash_block_size
        put(0x48, &self.data_blocks.to_le_bytes());
        put(0x50, &salt_size.to_le_bytes());
        put(0x58, &self.salt);
        bytes
    }
}

/// A hash tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HashTree {
    /// The root hash.
    pub root: [u8; DIGEST],
    /// Superblock and tree, [`Parameters::size`] bytes.
    pub bytes: Vec<u8>,
}

/// Hashes data blocks from several threads and in any order. Blocks that are not written count as
/// zeros.
pub struct Hasher {
    parameters: Parameters,
    digests: Mutex<Vec<u8>>,
}

impl Hasher {
    /// A hasher of `data_blocks` blocks.
    pub fn new(parameters: Parameters) -> Self {
        let zeros = parameters.digest(&[0; BLOCK_SIZE]);
        let count = usize::try_from(parameters.data_blocks).unwrap_or(usize::MAX);
        Self { digests: Mutex::new(zeros.repeat(count)), parameters }
    }

    /// The tree over the written blocks.
    pub fn finish(self) -> HashTree {
        let mut digests = self.digests.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut levels = Vec::new();
        while digests.len() > DIGEST {
            digests.resize(digests.len().next_multiple_of(BLOCK_SIZE), 0);
            let next: Vec<Vec<u8>> = digests.par_chunks(RUN).map(|blocks| self.parameters.digests(blocks)).collect();
            levels.push(digests);
            digests = next.concat();
        }
        levels.push(self.parameters.superblock());
        levels.reverse();
        let mut root = [0; DIGEST];
        root.copy_from_slice(&digests[..DIGEST]);
        HashTree { root, bytes: levels.concat() }
    }
}

impl BlockSink for Hasher {
    fn write_at(&self, blocks: &[u8], offset: u64) -> io::Result<()> {
        let digests = self.parameters.digests(blocks);
        let place = place(offset, digests.len()).ok_or(io::ErrorKind::InvalidInput)?;
        let mut all = self.digests.lock().unwrap_or_else(PoisonError::into_inner);
        all.get_mut(place).ok_or(io::ErrorKind::InvalidInput)?.copy_from_slice(&digests);
        Ok(())
    }
}

/// The range of the digests of `length` bytes of blocks from byte `offset`.
fn place(offset: u64, length: usize) -> Option<Range<usize>> {
    let start = usize::try_from(offset / BLOCK).ok()?.checked_mul(DIGEST)?;
    Some(start..start.checked_add(length)?)
}
