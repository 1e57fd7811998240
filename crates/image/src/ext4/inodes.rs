//! The inode of each path and its contents: the part of ext4 (Documentation/filesystems/ext4) that
//! this needs. Fields have the specification's names.

use crate::blocks::{Blocks, bytes, u16_le, u32_le};
use crate::{MAX_PATHS, ReadError};
use std::collections::{BTreeMap, BTreeSet};

const EXT4_SUPER_MAGIC: u16 = 0xef53;
const EXT4_ROOT_INO: u32 = 2;
const EXT4_EXT_MAGIC: u16 = 0xf30a;
const EXT4_EXTENTS_FL: u32 = 0x0008_0000;
const EXT4_INLINE_DATA_FL: u32 = 0x1000_0000;
const INCOMPAT_64BIT: u32 = 0x80;
const S_IFDIR: u16 = 0o040_000;
/// The deepest extent tree (`EXT4_MAX_EXTENT_DEPTH`).
const MAX_DEPTH: u16 = 5;
/// The longest path in bytes.
const MAX_PATH: usize = 4096;
/// The largest directory in blocks.
const MAX_DIRECTORY: u64 = 1 << 16;

/// The superblock's fields that locate inodes.
#[derive(Debug)]
pub(super) struct Superblock {
    pub block_size: u64,
    s_first_data_block: u64,
    s_inodes_count: u32,
    s_inodes_per_group: u32,
    s_inode_size: u64,
    s_desc_size: u64,
}

/// An inode as stored on disk, partly decoded.
#[derive(Debug, Clone)]
pub(super) struct Inode {
    pub number: u32,
    pub i_mode: u16,
    pub i_size: u64,
    pub i_links_count: u16,
    i_flags: u32,
    /// All its bytes.
    pub raw: Vec<u8>,
}

/// All paths of a file system.
#[derive(Debug)]
pub(super) struct Inodes {
    pub superblock: Superblock,
    /// By path without a leading slash; the root itself has no entry.
    pub paths: BTreeMap<String, Inode>,
}

impl Superblock {
    fn read(blocks: &dyn Blocks) -> Result<Self, ReadError> {
        let raw = bytes(blocks, 1024, 1024)?;
        let (word, long) = (|at| u16_le(&raw, at).unwrap_or(0), |at| u32_le(&raw, at).unwrap_or(0));
        let (s_log_block_size, is_64bit) = (long(24), long(96) & INCOMPAT_64BIT != 0);
        let superblock = Self {
            block_size: 1024 << s_log_block_size.min(6),
            s_first_data_block: u64::from(long(20)),
            s_inodes_count: long(0),
            s_inodes_per_group: long(40),
            s_inode_size: u64::from(word(88)),
            s_desc_size: if is_64bit { u64::from(word(254)) } else { 32 },
        };
        let plausible = word(56) == EXT4_SUPER_MAGIC
            && s_log_block_size <= 6
            && superblock.s_inodes_per_group > 0
            && (128..=superblock.block_size).contains(&superblock.s_inode_size)
            && (32..=1024).contains(&superblock.s_desc_size);
        if plausible { Ok(superblock) } else { Err(ReadError::damaged("it is not an ext4 file system")) }
    }

    fn inode(&self, blocks: &dyn Blocks, number: u32) -> Result<Inode, ReadError> {
        let damaged = || ReadError::damaged(format!("inode {number} is out of range"));
        let index = number.checked_sub(1).filter(|_| number <= self.s_inodes_count).ok_or_else(damaged)?;
        let (group, index) = (index / self.s_inodes_per_group, index % self.s_inodes_per_group);
        let table = (self.s_first_data_block + 1) * self.block_size + u64::from(group) * self.s_desc_size;
        let descriptor = bytes(blocks, table, self.s_desc_size)?;
        let (low, high) = (u32_le(&descriptor, 8).unwrap_or(0), u32_le(&descriptor, 40).unwrap_or(0));
        let high = if self.s_desc_size >= 64 { u64::from(high) << 32 } else { 0 };
        let offset = (high | u64::from(low)).checked_mul(self.block_size);
        let offset =
            offset.and_then(|offset| offset.checked_add(u64::from(index) * self.s_inode_size)).ok_or_else(damaged)?;
        let raw = bytes(blocks, offset, self.s_inode_size)?;
        let (word, long) = (|at| u16_le(&raw, at).unwrap_or(0), |at| u32_le(&raw, at).unwrap_or(0));
        let i_size = u64::from(long(108)) << 32 | u64::from(long(4));
        Ok(Inode { number, i_mode: word(0), i_size, i_links_count: word(26), i_flags: long(32), raw })
    }
}

impl Inode {
    pub(super) fn is_directory(&self) -> bool {
        self.i_mode & 0o170_000 == S_IFDIR
    }

    /// `i_block`.
    fn i_block(&self) -> &[u8] {
        self.raw.get(40..100).unwrap_or_default()
    }

    /// The major and minor number of a device: the old 16-bit encoding if it is not zero, otherwise
    /// the new encoding.
    pub(super) fn device(&self) -> (u32, u32) {
        let (old, new) = (u32_le(self.i_block(), 0).unwrap_or(0), u32_le(self.i_block(), 4).unwrap_or(0));
        match old {
            0 => (new >> 8 & 0xfff, new & 0xff | new >> 12 & 0xfff00),
            old => (old >> 8 & 0xff, old & 0xff),
        }
    }

    /// The data blocks of a directory. `used` are the blocks of all directories so far: a block has
    /// one owner, and many directories of one block would take any amount of time and memory.
    fn data(&self, blocks: &dyn Blocks, block_size: u64, used: &mut BTreeSet<u64>) -> Result<Vec<u8>, ReadError> {
        if self.i_flags & EXT4_EXTENTS_FL == 0 || self.i_flags & EXT4_INLINE_DATA_FL != 0 {
            return Err(ReadError::damaged(format!(
                "inode {} stores its data in a way that kiln does not use",
                self.number
            )));
        }
        let mut found = BTreeMap::new();
        let mut budget = MAX_DIRECTORY;
        extents(blocks, block_size, self.i_block(), None, &mut budget, &mut found)?;
        let mut data = Vec::new();
        for physical in found.into_values() {
            if !used.insert(physical) {
                return Err(ReadError::damaged(format!("block {physical} belongs to two directories")));
            }
            data.extend(bytes(blocks, physical.saturating_mul(block_size), block_size)?);
        }
        data.truncate(usize::try_from(self.i_size).unwrap_or(usize::MAX));
        Ok(data)
    }
}

/// Collects logical → physical block numbers from a node of an extent tree. `depth` is the depth
/// that its parent implies.
fn extents(
    blocks: &dyn Blocks,
    block_size: u64,
    node: &[u8],
    depth: Option<u16>,
    budget: &mut u64,
    found: &mut BTreeMap<u32, u64>,
) -> Result<(), ReadError> {
    let damaged = || ReadError::damaged("an extent tree is damaged");
    let (eh_magic, eh_entries, eh_depth) = (u16_le(node, 0), u16_le(node, 2), u16_le(node, 6).ok_or_else(damaged)?);
    if eh_magic != Some(EXT4_EXT_MAGIC) || eh_depth > MAX_DEPTH || depth.is_some_and(|depth| depth != eh_depth) {
        return Err(damaged());
    }
    for entry in (1..=usize::from(eh_entries.unwrap_or(0))).map(|number| 12 * number) {
        let (logical, last) = (u32_le(node, entry).ok_or_else(damaged)?, u32_le(node, entry + 8).ok_or_else(damaged)?);
        if eh_depth == 0 {
            // ee_len, ee_start_hi, ee_start_lo; more than 32768 blocks: unwritten.
            let (ee_len, high) = (u16_le(node, entry + 4).unwrap_or(0), u16_le(node, entry + 6).unwrap_or(0));
            let start = u64::from(high) << 32 | u64::from(last);
            if ee_len > 32_768 {
                return Err(damaged());
            }
            for number in 0..u32::from(ee_len) {
                *budget = budget.checked_sub(1).ok_or_else(damaged)?;
                found.insert(logical.checked_add(number).ok_or_else(damaged)?, start + u64::from(number));
            }
        } else {
            // ei_leaf_lo, ei_leaf_hi.
            *budget = budget.checked_sub(1).ok_or_else(damaged)?;
            let leaf =
                u64::from(u16_le(node, entry + 8).unwrap_or(0)) << 32 | u64::from(u32_le(node, entry + 4).unwrap_or(0));
            let child = bytes(blocks, leaf.saturating_mul(block_size), block_size)?;
            extents(blocks, block_size, &child, Some(eh_depth - 1), budget, found)?;
        }
    }
    Ok(())
}

impl Inodes {
    /// Reads all directories.
    ///
    /// # Errors
    /// [`ReadError::Damaged`].
    pub(super) fn read(blocks: &dyn Blocks) -> Result<Self, ReadError> {
        let superblock = Superblock::read(blocks)?;
        let mut paths = BTreeMap::new();
        let mut seen = BTreeSet::from([EXT4_ROOT_INO]);
        let mut used = BTreeSet::new();
        let mut todo = vec![(String::new(), superblock.inode(blocks, EXT4_ROOT_INO)?)];
        while let Some((prefix, directory)) = todo.pop() {
            for (name, number) in entries(&directory.data(blocks, superblock.block_size, &mut used)?)? {
                let path = format!("{prefix}{name}");
                let inode = superblock.inode(blocks, number)?;
                if inode.is_directory() {
                    // Two names of one directory could form a loop.
                    if !seen.insert(number) || path.len() > MAX_PATH {
                        return Err(ReadError::damaged(format!("the directory /{path} exists twice")));
                    }
                    todo.push((format!("{path}/"), inode.clone()));
                }
                if paths.len() >= MAX_PATHS || paths.insert(path.clone(), inode).is_some() {
                    return Err(ReadError::damaged(format!("/{path} exists twice")));
                }
            }
        }
        Ok(Self { superblock, paths })
    }

    /// All names in a directory.
    pub(super) fn names(&self, directory: &str) -> BTreeSet<&str> {
        let prefix = if directory.is_empty() { String::new() } else { format!("{directory}/") };
        let below = self.paths.range(prefix.clone()..).take_while(|(path, _)| path.starts_with(&prefix));
        below.filter_map(|(path, _)| path.get(prefix.len()..)).filter(|name| !name.contains('/')).collect()
    }
}

/// Names and inode numbers of `struct ext4_dir_entry_2`; the nodes of a hash tree look empty to
/// this function.
fn entries(data: &[u8]) -> Result<Vec<(String, u32)>, ReadError> {
    let damaged = || ReadError::damaged("a directory is damaged");
    let (mut found, mut at) = (Vec::new(), 0);
    while at < data.len() {
        let number = u32_le(data, at).ok_or_else(damaged)?;
        let rec_len = usize::from(u16_le(data, at + 4).ok_or_else(damaged)?);
        let name_len = usize::from(*data.get(at + 6).ok_or_else(damaged)?);
        // In blocks of 64 KiB, a rec_len of 65535 or 0 means the whole block; kiln makes smaller
        // blocks.
        if rec_len < 8 || rec_len % 4 != 0 {
            return Err(damaged());
        }
        let name = data.get(at + 8..at + 8 + name_len).filter(|_| name_len + 8 <= rec_len).ok_or_else(damaged)?;
        if number != 0 && name_len > 0 && name != b"." && name != b".." {
            let name = std::str::from_utf8(name).map_err(|_| ReadError::damaged("a name is not UTF-8"))?;
            if name.contains(['/', '\0']) {
                return Err(damaged());
            }
            found.push((name.to_owned(), number));
        }
        at += rec_len;
    }
    Ok(found)
}
