//! Lays out the partitions of a disk.

use super::DiskError;
use kiln_format::guid::Guid;
use kiln_format::{gpt, verity};
use std::ops::Range;

const MIB: u64 = gpt::ALIGNMENT;
/// The granularity of a fitted root partition: coarse, so that the disk of the next version most
/// likely has the same partitions.
const FIT_STEP: u64 = 64 * MIB;

/// The sizes that determine the layout, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    /// EFI system partition.
    pub esp: u64,
    /// The root's file system.
    pub root: u64,
    /// Each root partition; `Layout::new` chooses a size when it is absent.
    pub slot: Option<u64>,
    /// The disk; `Layout::new` chooses a size when it is absent.
    pub disk: Option<u64>,
}

/// The byte ranges of the partitions, in the order of the disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Layout {
    /// EFI system partition.
    pub esp: Range<u64>,
    /// Root and hash tree of this version, and of the next.
    pub slots: [Slot; 2],
    /// The whole disk.
    pub size: u64,
}

/// The two partitions of a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Slot {
    /// The root's file system.
    pub root: Range<u64>,
    /// Its hash tree.
    pub verity: Range<u64>,
}

impl Layout {
    /// Lays out a disk.
    ///
    /// # Errors
    /// [`DiskError`] when the contents exceed a given size.
    pub(super) fn new(sizes: &Sizes) -> Result<Self, DiskError> {
        let slot = match sizes.slot {
            Some(size) if size < sizes.root => return Err(DiskError::RootTooLarge { needed: sizes.root, size }),
            Some(size) => size,
            // Later versions of a release grow by a few percent each; nothing is written to the
            // spare space.
            None => (sizes.root + sizes.root / 4).next_multiple_of(FIT_STEP),
        };
        let mut at = MIB;
        let mut take = |size: u64| {
            let start = at;
            at += size;
            start..at
        };
        let esp = take(sizes.esp);
        let slots = [(); 2].map(|()| Slot { root: take(slot), verity: take(verity_size(slot)) });
        let needed = (at + gpt::BACKUP_SIZE).next_multiple_of(MIB);
        let size = sizes.disk.unwrap_or(needed);
        if size < needed {
            return Err(DiskError::TooSmall { needed, size });
        }
        Ok(Self { esp, slots, size })
    }
}

/// The size of a partition that can hold the hash tree of any root of up to `root` bytes.
fn verity_size(root: u64) -> u64 {
    let data_blocks = root.div_ceil(verity::BLOCK_SIZE as u64);
    verity::Parameters { uuid: Guid::NIL, salt: [0; 32], data_blocks }.size().next_multiple_of(MIB)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZES: Sizes = Sizes { esp: 256 * MIB, root: 500 * MIB, slot: None, disk: None };

    #[test]
    fn partitions_follow_each_other_and_both_slots_are_alike() {
        let layout = Layout::new(&SIZES).expect("a layout");
        assert_eq!(layout.esp, MIB..257 * MIB);
        let [a, b] = &layout.slots;
        assert_eq!(a.root, 257 * MIB..(257 + 640) * MIB);
        assert_eq!((a.verity.start, b.root.start), (a.root.end, a.verity.end));
        let lengths = |slot: &Slot| [&slot.root, &slot.verity].map(|range| range.end - range.start);
        assert_eq!((lengths(a), lengths(b)), ([640 * MIB, 6 * MIB], [640 * MIB, 6 * MIB]));
        assert_eq!(layout.size, b.verity.end + MIB);
    }

    #[test]
    fn given_sizes_are_kept_or_rejected() {
        let layout = Layout::new(&Sizes { slot: Some(1024 * MIB), disk: Some(4096 * MIB), ..SIZES }).expect("a layout");
        assert_eq!((layout.slots[1].root.end - layout.slots[1].root.start, layout.size), (1024 * MIB, 4096 * MIB));
        let error = Layout::new(&Sizes { slot: Some(499 * MIB), ..SIZES }).expect_err("refused").to_string();
        assert!(error.contains("500 MiB") && error.contains("499 MiB"), "{error}");
        let error = Layout::new(&Sizes { disk: Some(1024 * MIB), ..SIZES }).expect_err("refused").to_string();
        assert!(error.contains("1550 MiB") && error.contains("1024 MiB"), "{error}");
    }

    #[test]
    fn hash_trees_fit() {
        // As veritysetup(8) lays them out: superblock, then levels of 128 digests a block.
        assert_eq!(verity_size(4096), MIB);
        assert_eq!(verity_size(128 * MIB), 2 * MIB);
        assert_eq!(verity_size(1 << 40), (1 + (1 << 21) + (1 << 14) + 128 + 1_u64).div_ceil(256) * MIB);
    }
}
