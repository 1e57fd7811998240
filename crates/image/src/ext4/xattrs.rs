//! Extended attributes in an inode and in its attribute block
//! (Documentation/filesystems/ext4/attributes.rst).

use super::inodes::{Inode, Superblock};
use crate::blocks::{Blocks, bytes, u16_le, u32_le};
use std::collections::BTreeMap;
use std::io;

const EXT4_XATTR_MAGIC: u32 = 0xea02_0000;
/// The number of bytes of an inode before `i_extra_isize`.
const GOOD_OLD_INODE_SIZE: usize = 128;
/// The size of the header of an attribute block.
const BLOCK_HEADER: usize = 32;
/// The prefixes of names, by `e_name_index`.
const PREFIXES: [(u8, &str); 7] = [
    (1, "user."),
    (2, "system.posix_acl_access"),
    (3, "system.posix_acl_default"),
    (4, "trusted."),
    (6, "security."),
    (7, "system."),
    (8, "system.richacl"),
];

/// All extended attributes of `inode`.
pub(super) fn of(blocks: &dyn Blocks, superblock: &Superblock, inode: &Inode) -> io::Result<BTreeMap<String, Vec<u8>>> {
    let mut found = BTreeMap::new();
    if inode.raw.len() > GOOD_OLD_INODE_SIZE + 2 {
        let start = GOOD_OLD_INODE_SIZE + usize::from(u16_le(&inode.raw, GOOD_OLD_INODE_SIZE).unwrap_or(0));
        if u32_le(&inode.raw, start) == Some(EXT4_XATTR_MAGIC) {
            // e_value_offs is relative to the first entry.
            entries(&inode.raw[start + 4..], 0, &mut found)?;
        }
    }
    // i_file_acl_lo and l_i_file_acl_high.
    let block = u64::from(u16_le(&inode.raw, 118).unwrap_or(0)) << 32 | u64::from(u32_le(&inode.raw, 104).unwrap_or(0));
    if block != 0 {
        let content = bytes(blocks, block.saturating_mul(superblock.block_size), superblock.block_size)?;
        if u32_le(&content, 0) != Some(EXT4_XATTR_MAGIC) {
            return Err(damaged());
        }
        // Here, e_value_offs is relative to the beginning of the block.
        entries(&content, BLOCK_HEADER, &mut found)?;
    }
    Ok(found)
}

/// Reads the entries at `at` in `area`, which also contains their values.
fn entries(area: &[u8], mut at: usize, found: &mut BTreeMap<String, Vec<u8>>) -> io::Result<()> {
    // Four zero bytes end the list; the list may also end with the area.
    while u32_le(area, at).is_some_and(|word| word != 0) {
        let (e_name_len, e_name_index) = (usize::from(area[at]), area[at + 1]);
        let e_value_offs = usize::from(u16_le(area, at + 2).ok_or_else(damaged)?);
        let e_value_inum = u32_le(area, at + 4).ok_or_else(damaged)?;
        let e_value_size = usize::try_from(u32_le(area, at + 8).ok_or_else(damaged)?).map_err(|_| damaged())?;
        let name = area.get(at + 16..at + 16 + e_name_len).ok_or_else(damaged)?;
        let name = std::str::from_utf8(name).map_err(|_| damaged())?;
        let prefix = PREFIXES.iter().find(|(known, _)| *known == e_name_index).ok_or_else(damaged)?.1;
        // Only a value larger than a block would be in a separate inode.
        let end = e_value_offs.checked_add(e_value_size).filter(|_| e_value_inum == 0).ok_or_else(damaged)?;
        let value = if e_value_size == 0 { &[] } else { area.get(e_value_offs..end).ok_or_else(damaged)? };
        if found.insert(format!("{prefix}{name}"), value.to_vec()).is_some() {
            return Err(damaged());
        }
        at += (16 + e_name_len).next_multiple_of(4);
    }
    Ok(())
}

fn damaged() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "they are damaged")
}
