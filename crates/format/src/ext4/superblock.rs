//! `ext4_super_block` and `ext4_group_desc`: the first blocks of a file system, and its bitmaps.

use super::checksum::Checksum;
use super::geometry::{DESCRIPTOR_SIZE, Geometry, INODE_SIZE};
use super::inode::{EXTRA_ISIZE, FIRST_INODE};
use super::{BLOCK_SIZE, Ext4Error, Options};

/// The first block of group descriptors: the superblock is inside block 0.
pub(super) const FIRST_DESCRIPTOR_BLOCK: u32 = 1;
/// Bytes before the superblock, reserved for boot loaders.
const OFFSET: usize = 1024;
const SIZE: usize = 1024;
const LABEL_SIZE: usize = 16;

const EXT4_SUPER_MAGIC: u16 = 0xef53;
const LOG_BLOCK_SIZE: u32 = BLOCK_SIZE.ilog2() - 10;
const EXT4_VALID_FS: u16 = 1;
const EXT4_ERRORS_RO: u16 = 2;
const EXT4_DYNAMIC_REV: u32 = 1;
const EXT2_FLAGS_UNSIGNED_HASH: u32 = 2;
const EXT4_CRC32C_CHKSUM: u8 = 1;
const DX_HASH_HALF_MD4: u8 = 1;
/// `s_log_groups_per_flex`: groups whose metadata is stored together; the value of mke2fs(8).
const LOG_GROUPS_PER_FLEX: u8 = 4;

const COMPAT_EXT_ATTR: u32 = 0x8;
/// With empty `s_backup_bgs`, there are no copies of the superblock between contents.
const COMPAT_SPARSE_SUPER2: u32 = 0x200;
const INCOMPAT_FILETYPE: u32 = 0x2;
const INCOMPAT_EXTENTS: u32 = 0x40;
const INCOMPAT_FLEX_BG: u32 = 0x200;
const RO_COMPAT_LARGE_FILE: u32 = 0x2;
const RO_COMPAT_DIR_NLINK: u32 = 0x20;
const RO_COMPAT_EXTRA_ISIZE: u32 = 0x40;
const RO_COMPAT_METADATA_CSUM: u32 = 0x400;
/// The kernel mounts it read-only whatever the mount options are.
const RO_COMPAT_READONLY: u32 = 0x1000;

/// The inode table is initialized, including unused inodes.
const EXT4_BG_INODE_ZEROED: u16 = 0x4;

/// What the tables contain besides the geometry.
#[derive(Debug)]
pub(super) struct Usage {
    /// The number of inodes in use, counted from inode 1.
    pub(super) inodes: u32,
    /// The number of directories in each group.
    pub(super) directories: Vec<u32>,
}

/// Everything before the inode tables.
pub(super) fn head(options: &Options<'_>, geometry: &Geometry, usage: &Usage) -> Vec<u8> {
    let seed = Checksum::of_file_system(&options.uuid);
    let mut bytes = superblock(options, geometry, usage);
    let descriptors = bytes.len();
    bytes.resize(geometry.inode_table() as usize * BLOCK_SIZE, 0);
    let (front, bitmaps) = bytes.split_at_mut(geometry.block_bitmaps() as usize * BLOCK_SIZE);
    let (block_bitmaps, inode_bitmaps) = bitmaps.split_at_mut(geometry.groups as usize * BLOCK_SIZE);
    let bitmaps = block_bitmaps.chunks_exact_mut(BLOCK_SIZE).zip(inode_bitmaps.chunks_exact_mut(BLOCK_SIZE));
    let descriptors = front[descriptors..].chunks_exact_mut(DESCRIPTOR_SIZE as usize);
    for ((group, descriptor), (block_bitmap, inode_bitmap)) in (0..geometry.groups).zip(descriptors).zip(bitmaps) {
        let blocks = fill(block_bitmap, group, geometry.s_blocks_per_group, geometry.s_blocks_count, geometry.used);
        let inodes = fill(inode_bitmap, group, geometry.s_inodes_per_group, geometry.s_inodes_count(), usage.inodes);
        let checksum = |bitmap: &[u8], bits: u32| seed.then(&bitmap[..bits as usize / 8]).halves()[0];
        let mut put = |at: usize, bytes: &[u8]| descriptor[at..at + bytes.len()].copy_from_slice(bytes);
        put(0x00, &(geometry.block_bitmaps() + group).to_le_bytes()); // bg_block_bitmap_lo
        put(0x04, &(geometry.inode_bitmaps() + group).to_le_bytes()); // bg_inode_bitmap_lo
        put(0x08, &(geometry.inode_table() + group * geometry.table_blocks()).to_le_bytes()); // bg_inode_table_lo
        put(0x0c, &low(blocks.free)); // bg_free_blocks_count_lo
        put(0x0e, &low(inodes.free)); // bg_free_inodes_count_lo
        put(0x10, &low(usage.directories.get(group as usize).copied().unwrap_or(0))); // bg_used_dirs_count_lo
        put(0x12, &EXT4_BG_INODE_ZEROED.to_le_bytes()); // bg_flags
        put(0x18, &checksum(block_bitmap, geometry.s_blocks_per_group)); // bg_block_bitmap_csum_lo
        put(0x1a, &checksum(inode_bitmap, geometry.s_inodes_per_group)); // bg_inode_bitmap_csum_lo
        put(0x1c, &low(inodes.free)); // bg_itable_unused_lo
        let [checksum, _] = seed.then(&group.to_le_bytes()).then(descriptor).halves();
        descriptor[0x1e..].copy_from_slice(&checksum); // bg_checksum
    }
    bytes
}

/// The low half of a group's count, which is at most 32768.
fn low(count: u32) -> [u8; 2] {
    u16::try_from(count).unwrap_or(u16::MAX).to_le_bytes()
}

struct Filled {
    free: u32,
}

/// Sets the bits that `group` has in use, which are all before `used`, and the bits beyond the end.
fn fill(bitmap: &mut [u8], group: u32, per_group: u32, total: u32, used: u32) -> Filled {
    let start = group * per_group;
    let here = total.saturating_sub(start).min(per_group);
    let used = used.saturating_sub(start).min(here);
    set(bitmap, 0, used as usize);
    set(bitmap, here as usize, bitmap.len() * 8);
    Filled { free: here - used }
}

/// Sets bits `from..to`.
fn set(bitmap: &mut [u8], from: usize, to: usize) {
    for bit in (from..to).filter(|bit| bit % 8 != 0 || bit + 8 > to) {
        bitmap[bit / 8] |= 1 << (bit % 8);
    }
    let whole = from.div_ceil(8)..to / 8;
    if !whole.is_empty() {
        bitmap[whole].fill(0xff);
    }
}

/// Block 0.
fn superblock(options: &Options<'_>, geometry: &Geometry, usage: &Usage) -> Vec<u8> {
    let mut block = vec![0; BLOCK_SIZE];
    let (_, rest) = block.split_at_mut(OFFSET);
    let (bytes, _) = rest.split_at_mut(SIZE);
    let mut put = |at: usize, field: &[u8]| bytes[at..at + field.len()].copy_from_slice(field);
    let mut put32 = |at: usize, value: u32| put(at, &value.to_le_bytes());
    put32(0x00, geometry.s_inodes_count()); // s_inodes_count
    put32(0x04, geometry.s_blocks_count); // s_blocks_count_lo
    put32(0x0c, geometry.s_blocks_count - geometry.used); // s_free_blocks_count_lo
    put32(0x10, geometry.s_inodes_count() - usage.inodes); // s_free_inodes_count
    put32(0x18, LOG_BLOCK_SIZE); // s_log_block_size
    put32(0x1c, LOG_BLOCK_SIZE); // s_log_cluster_size
    put32(0x20, geometry.s_blocks_per_group); // s_blocks_per_group
    put32(0x24, geometry.s_blocks_per_group); // s_clusters_per_group
    put32(0x28, geometry.s_inodes_per_group); // s_inodes_per_group
    put32(0x30, options.time); // s_wtime
    put32(0x40, options.time); // s_lastcheck
    put32(0x4c, EXT4_DYNAMIC_REV); // s_rev_level
    put32(0x54, FIRST_INODE); // s_first_ino
    put32(0x5c, COMPAT_EXT_ATTR | COMPAT_SPARSE_SUPER2); // s_feature_compat
    put32(0x60, INCOMPAT_FILETYPE | INCOMPAT_EXTENTS | INCOMPAT_FLEX_BG); // s_feature_incompat
    put32(
        0x64, // s_feature_ro_compat
        RO_COMPAT_LARGE_FILE
            | RO_COMPAT_DIR_NLINK
            | RO_COMPAT_EXTRA_ISIZE
            | RO_COMPAT_METADATA_CSUM
            | RO_COMPAT_READONLY,
    );
    put32(0x108, options.time); // s_mkfs_time
    put32(0x160, EXT2_FLAGS_UNSIGNED_HASH); // s_flags
    put(0x36, &u16::MAX.to_le_bytes()); // s_max_mnt_count: never
    put(0x38, &EXT4_SUPER_MAGIC.to_le_bytes()); // s_magic
    put(0x3a, &EXT4_VALID_FS.to_le_bytes()); // s_state
    put(0x3c, &EXT4_ERRORS_RO.to_le_bytes()); // s_errors
    put(0x58, &(INODE_SIZE as u16).to_le_bytes()); // s_inode_size
    put(0x68, options.uuid.as_bytes()); // s_uuid
    put(0x78, options.label.as_bytes()); // s_volume_name
    put(0xec, options.hash_seed.as_bytes()); // s_hash_seed
    put(0xfc, &[DX_HASH_HALF_MD4]); // s_def_hash_version
    put(0x15c, &EXTRA_ISIZE.to_le_bytes()); // s_min_extra_isize
    put(0x15e, &EXTRA_ISIZE.to_le_bytes()); // s_want_extra_isize
    put(0x174, &[LOG_GROUPS_PER_FLEX, EXT4_CRC32C_CHKSUM]); // s_log_groups_per_flex, s_checksum_type
    let checksum = Checksum::START.then(&bytes[..SIZE - 4]).get();
    bytes[SIZE - 4..].copy_from_slice(&checksum.to_le_bytes()); // s_checksum
    block
}

/// Checks that the options fit the superblock.
pub(super) fn check(options: &Options<'_>) -> Result<(), Ext4Error> {
    match options.label.len() <= LABEL_SIZE {
        true => Ok(()),
        false => Err(Ext4Error::Label(options.label.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_range_of_bits_can_be_set() {
        for (from, to) in [(0, 0), (0, 3), (3, 5), (3, 11), (8, 16), (5, 32), (31, 32), (32, 32)] {
            let mut bitmap = [0; 4];
            set(&mut bitmap, from, to);
            for bit in 0..32 {
                assert_eq!(bitmap[bit / 8] >> (bit % 8) & 1 == 1, (from..to).contains(&bit), "{from}..{to}: {bit}");
            }
        }
    }
}
