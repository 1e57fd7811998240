//! Extended attributes in an inode and in its block of attributes (Documentation/filesystems/ext4/attributes.rst).

use super::inodes::{Inode, Superblock};
use crate::blocks::{Blocks, bytes, u16_le, u32_le};
use std::collections::BTreeMap;
use std::io;

const EXT4_XATTR_MAGIC: u32 = 0xea02_0000;
/// Bytes of an inode before `i_extra_isize`.
const GOOD_OLD_INODE_SIZE: usize = 128;
/// Bytes of the header of a block of attributes.
const BLOCK_HEADER: usize = 32;
/// What a name begins with, by `e_name_index`.
const PREFIXES: [(u8, &str); 7] = [
    (1, "user."),
    (2, "system.posix_acl_access"),
    (3, "system.posix_acl_default"),
    (4, "trusted."),
    (6, "security."),
    (7, "system."),
    (8, "system.richacl"),
];

/// The attributes of `inode`.
pub fn of(blocks: &dyn Blocks, superblock: &Superblock, inode: &Inode) -> io::Result<BTreeMap<String, Vec<u8>>> {
    let mut found = BTreeMap::new();
    if inode.raw.len() > GOOD_OLD_INODE_SIZE + 2 {
        let start = GOOD_OLD_INODE_SIZE + usize::from(u16_le(&inode.raw, GOOD_OLD_INODE_SIZE).unwrap_or(0));
        if u32_le(&inode.raw, start) == Some(EXT4_XATTR_MAGIC) {
            // Values are counted from the first entry.
            entries(&inode.raw[start + 4..], 0, &mut found)?;
        }
    }
    // i_file_acl_lo and i_file_acl_high.
    let block = u64::from(u16_le(&inode.raw, 118).unwrap_or(0)) << 32 | u64::from(u32_le(&inode.raw, 104).unwrap_or(0));
    if block != 0 {
        let content = bytes(blocks, block.saturating_mul(superblock.block_size), superblock.block_size)?;
        if u32_le(&content, 0) != Some(EXT4_XATTR_MAGIC) {
            return Err(damaged());
        }
        // Here from the block's beginning.
        entries(&content, BLOCK_HEADER, &mut found)?;
    }
    Ok(found)
}

/// Reads the entries at `at` of `area`, in which their values are.
fn entries(area: &[u8], mut at: usize, found: &mut BTreeMap<String, Vec<u8>>) -> io::Result<()> {
    // Four zero bytes end the list; an area may also just end.
    while u32_le(area, at).is_some_and(|word| word != 0) {
        let (name_length, index) = (usize::from(area[at]), area[at + 1]);
        let value_offset = usize::from(u16_le(area, at + 2).ok_or_else(damaged)?);
        let in_inode = u32_le(area, at + 4).ok_or_else(damaged)?;
        let size = usize::try_from(u32_le(area, at + 8).ok_or_else(damaged)?).map_err(|_| damaged())?;
        let name = area.get(at + 16..at + 16 + name_length).ok_or_else(damaged)?;
        let name = std::str::from_utf8(name).map_err(|_| damaged())?;
        let prefix = PREFIXES.iter().find(|(known, _)| *known == index).ok_or_else(damaged)?.1;
        // A value in an inode of its own would be larger than a block.
        let end = value_offset.checked_add(size).filter(|_| in_inode == 0).ok_or_else(damaged)?;
        let value = if size == 0 { &[] } else { area.get(value_offset..end).ok_or_else(damaged)? };
        if found.insert(format!("{prefix}{name}"), value.to_vec()).is_some() {
            return Err(damaged());
        }
        at += (16 + name_length).next_multiple_of(4);
    }
    Ok(())
}

fn damaged() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "they are damaged")
}
