//! The superblock of dm-verity's hash device, as veritysetup(8) writes it.

use super::ReadError;
use super::blocks::{Blocks, bytes, u16_le, u32_le, u64_le};

/// `verity\0\0`.
const SIGNATURE: &[u8] = b"verity\0\0";
/// The longest salt.
const MAX_SALT: u16 = 256;

/// The fields of the superblock. Only the variant that kiln makes is read: version 1, format 1,
/// SHA-256, blocks of 4096 bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Superblock {
    /// The UUID of the hash device.
    pub uuid: [u8; 16],
    /// The number of data blocks.
    pub data_blocks: u64,
    /// Hashed before every block.
    pub salt: Vec<u8>,
}

impl Superblock {
    /// Reads the superblock at the beginning of `hashes`.
    ///
    /// # Errors
    /// [`ReadError::Damaged`].
    pub fn read(hashes: &dyn Blocks) -> Result<Self, ReadError> {
        let block = bytes(hashes, 0, 512)?;
        let found = (u32_le(&block, 8), u32_le(&block, 12), u32_le(&block, 64), u32_le(&block, 68));
        if !block.starts_with(SIGNATURE) {
            return Err(ReadError::damaged("it has no dm-verity superblock"));
        }
        if found != (Some(1), Some(1), Some(4096), Some(4096)) || &block[32..39] != b"sha256\0" {
            return Err(ReadError::damaged("it is a dm-verity device of a kind that kiln does not make"));
        }
        let salt_size = u16_le(&block, 80).filter(|size| *size <= MAX_SALT);
        let (Some(data_blocks), Some(salt_size)) = (u64_le(&block, 72), salt_size) else {
            return Err(ReadError::damaged("its dm-verity superblock is damaged"));
        };
        let mut uuid = [0; 16];
        uuid.copy_from_slice(&block[16..32]);
        Ok(Self { uuid, data_blocks, salt: block[88..88 + usize::from(salt_size)].to_vec() })
    }
}
