//! Reads the size of an ext4 file system from its superblock (Linux,
//! Documentation/filesystems/ext4/super.rst).

/// The offset of the superblock in bytes.
pub const SUPERBLOCK_OFFSET: u64 = 1024;
/// The size of a superblock in bytes.
pub const SUPERBLOCK_SIZE: usize = 1024;

/// `s_magic`.
const MAGIC: u16 = 0xef53;
/// `INCOMPAT_64BIT` of `s_feature_incompat`: `s_blocks_count_hi` is valid.
const INCOMPAT_64BIT: u32 = 0x80;

/// The size of a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// `s_blocks_count`.
    pub blocks: u64,
    /// Bytes per block, from `s_log_block_size`.
    pub block_size: u64,
}

/// The size according to a superblock; `None` if it is not a superblock.
pub fn size(superblock: &[u8; SUPERBLOCK_SIZE]) -> Option<Size> {
    let u32_at = |at: usize| superblock[at..at + 4].iter().rev().fold(0, |number, &byte| number << 8 | u32::from(byte));
    let s_log_block_size = u32_at(0x18);
    if superblock[0x38..0x3a] != MAGIC.to_le_bytes() || s_log_block_size > 6 {
        return None;
    }
    let high = if u32_at(0x60) & INCOMPAT_64BIT == 0 { 0 } else { u32_at(0x150) };
    Some(Size { blocks: u64::from(high) << 32 | u64::from(u32_at(0x04)), block_size: 1024 << s_log_block_size })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_halves_of_the_count_are_read() {
        let mut superblock = [0; SUPERBLOCK_SIZE];
        assert_eq!(size(&superblock), None);
        superblock[0x38..0x3a].copy_from_slice(&[0x53, 0xef]);
        superblock[4] = 7;
        superblock[0x18] = 2;
        superblock[0x150] = 1;
        assert_eq!(size(&superblock), Some(Size { blocks: 7, block_size: 4096 }));
        superblock[0x60] = 0x80;
        assert_eq!(size(&superblock), Some(Size { blocks: (1 << 32) + 7, block_size: 4096 }));
        superblock[0x18] = 7;
        assert_eq!(size(&superblock), None);
    }
}
