//! The size of a file system and the location of its tables.

use super::{BLOCK, Ext4Error, superblock};

/// `s_inode_size`.
pub(super) const INODE_SIZE: u64 = 256;
/// The number of inodes in a block.
pub(super) const INODES_PER_BLOCK: u32 = (BLOCK / INODE_SIZE) as u32;
/// The most blocks and inodes of a group: as many as a block has bits.
const MAX_PER_GROUP: u32 = 8 * BLOCK as u32;
/// Bytes of `ext4_group_desc` without 64-bit block numbers.
pub(super) const DESCRIPTOR_SIZE: u64 = 32;

/// Sizes and locations in blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Geometry {
    /// `s_blocks_count_lo`.
    pub(super) s_blocks_count: u32,
    /// The number of blocks in use; they precede all free blocks.
    pub(super) used: u32,
    /// The number of groups, each with two bitmaps and an inode table.
    pub(super) groups: u32,
    /// `s_blocks_per_group`.
    pub(super) s_blocks_per_group: u32,
    /// `s_inodes_per_group`.
    pub(super) s_inodes_per_group: u32,
    /// The number of blocks of group descriptors, which follow the superblock.
    pub(super) descriptor_blocks: u32,
}

impl Geometry {
    /// Computes the geometry for inode numbers up to `inodes` and `content` blocks of everything
    /// that is not in tables; `size` is in bytes.
    pub(super) fn new(inodes: u32, content: u64, size: Option<u64>) -> Result<Self, Ext4Error> {
        let given = match size {
            Some(size) if !size.is_multiple_of(BLOCK) => return Err(Ext4Error::Unaligned(size)),
            size => size.map(|size| size / BLOCK),
        };
        let narrow = |blocks: u64| u32::try_from(blocks).map_err(|_| Ext4Error::TooLarge);
        let mut groups = inodes.div_ceil(MAX_PER_GROUP).max(1);
        loop {
            let s_inodes_per_group = inodes.div_ceil(groups).next_multiple_of(INODES_PER_BLOCK);
            // s_inodes_count has 32 bits, too.
            narrow(u64::from(groups) * u64::from(s_inodes_per_group))?;
            let descriptor_blocks = (u64::from(groups) * DESCRIPTOR_SIZE).div_ceil(BLOCK);
            let tables = u64::from(groups) * u64::from(2 + s_inodes_per_group / INODES_PER_BLOCK);
            let used = 1 + descriptor_blocks + tables + content;
            let wanted = given.unwrap_or(used);
            let full_groups = narrow(wanted.div_ceil(u64::from(MAX_PER_GROUP)))?;
            if full_groups > groups {
                groups = full_groups;
                continue;
            }
            // Many empty files need more groups than the blocks alone would; then groups are
            // smaller.
            let s_blocks_per_group = match full_groups == groups {
                true => MAX_PER_GROUP,
                false => narrow(wanted.div_ceil(u64::from(groups)).next_multiple_of(8))?,
            };
            // The last group has at least one block.
            let blocks = wanted.max(u64::from(groups - 1) * u64::from(s_blocks_per_group) + 1);
            let needed = if given.is_some() { blocks.max(used) } else { blocks };
            if let Some(given) = given
                && needed > given
            {
                return Err(Ext4Error::TooSmall { needed: needed * BLOCK, size: given * BLOCK });
            }
            return Ok(Self {
                s_blocks_count: narrow(blocks)?,
                used: narrow(used)?,
                groups,
                s_blocks_per_group,
                s_inodes_per_group,
                descriptor_blocks: narrow(descriptor_blocks)?,
            });
        }
    }

    /// `s_inodes_count`.
    pub(super) fn s_inodes_count(&self) -> u32 {
        self.groups * self.s_inodes_per_group
    }

    /// The first block bitmap; the other groups' bitmaps follow.
    pub(super) fn block_bitmaps(&self) -> u32 {
        superblock::FIRST_DESCRIPTOR_BLOCK + self.descriptor_blocks
    }

    /// The first inode bitmap; the other groups' bitmaps follow.
    pub(super) fn inode_bitmaps(&self) -> u32 {
        self.block_bitmaps() + self.groups
    }

    /// The first block of the inode tables, which follow one another.
    pub(super) fn inode_table(&self) -> u32 {
        self.inode_bitmaps() + self.groups
    }

    /// The number of blocks of a group's inode table.
    pub(super) fn table_blocks(&self) -> u32 {
        self.s_inodes_per_group / INODES_PER_BLOCK
    }

    /// The first block after all tables.
    pub(super) fn content(&self) -> u32 {
        self.inode_table() + self.groups * self.table_blocks()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn groups_hold_everything(inodes in 2_u32..5_000_000, content in 1_u64..5_000_000, spare in 0_u64..500_000) {
            let fitted = Geometry::new(inodes, content, None).expect("a geometry");
            let size = (u64::from(fitted.s_blocks_count) + spare) * BLOCK;
            for geometry in [Some(fitted), Geometry::new(inodes, content, Some(size)).ok()].into_iter().flatten() {
                prop_assert!(geometry.s_inodes_count() >= inodes);
                prop_assert!(geometry.s_inodes_per_group <= MAX_PER_GROUP);
                prop_assert!(geometry.s_blocks_per_group <= MAX_PER_GROUP);
                prop_assert_eq!(geometry.s_blocks_count.div_ceil(geometry.s_blocks_per_group), geometry.groups);
                prop_assert!(geometry.s_blocks_count >= geometry.used);
                prop_assert_eq!(u64::from(geometry.content()) + content, u64::from(geometry.used));
            }
        }
    }

    #[test]
    fn a_size_that_is_too_small_is_rejected_with_both_sizes() {
        let needed = u64::from(Geometry::new(20, 100, None).expect("a geometry").s_blocks_count) * BLOCK;
        assert!(Geometry::new(20, 100, Some(needed)).is_ok());
        let size = needed - BLOCK;
        assert_eq!(Geometry::new(20, 100, Some(size)), Err(Ext4Error::TooSmall { needed, size }));
        assert_eq!(Geometry::new(20, 100, Some(needed + 1)), Err(Ext4Error::Unaligned(needed + 1)));
        assert_eq!(Geometry::new(20, 1 << 32, None), Err(Ext4Error::TooLarge));
        assert_eq!(Geometry::new(u32::MAX, 1, None), Err(Ext4Error::TooLarge));
    }
}
