//! Which inode each path has, and what is in it: as much of ext4 (Documentation/filesystems/ext4) as that takes. Fields have the kernel's names.

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
/// Deepest tree of extents (`EXT4_MAX_EXTENT_DEPTH`).
const MAX_DEPTH: u16 = 5;
/// Longest path in bytes.
const MAX_PATH: usize = 4096;
/// Largest directory, in blocks.
const MAX_DIRECTORY: u64 = 1 << 16;

/// What the superblock says of where inodes are.
#[derive(Debug)]
pub struct Superblock {
    pub block_size: u64,
    first_data_block: u64,
    inodes_count: u32,
    inodes_per_group: u32,
    inode_size: u64,
    desc_size: u64,
}

/// An inode, as it is on disk and in part decoded.
#[derive(Debug, Clone)]
pub struct Inode {
    pub number: u32,
    pub mode: u16,
    pub size: u64,
    pub links: u16,
    flags: u32,
    /// All of it.
    pub raw: Vec<u8>,
}

/// Every path of a file system.
#[derive(Debug)]
pub struct Inodes {
    pub superblock: Superblock,
    /// By path without a leading slash; the root itself is not there.
    pub paths: BTreeMap<String, Inode>,
}

impl Superblock {
    fn read(blocks: &dyn Blocks) -> Result<Self, ReadError> {
        let raw = bytes(blocks, 1024, 1024)?;
        let (word, long) = (|at| u16_le(&raw, at).unwrap_or(0), |at| u32_le(&raw, at).unwrap_or(0));
        let (log_block_size, is_64bit) = (long(24), long(96) & INCOMPAT_64BIT != 0);
        let superblock = Self {
            block_size: 1024 << log_block_size.min(6),
            first_data_block: u64::from(long(20)),
            inodes_count: long(0),
            inodes_per_group: long(40),
            inode_size: u64::from(word(88)),
            desc_size: if is_64bit { u64::from(word(254)) } else { 32 },
        };
        let plausible = word(56) == EXT4_SUPER_MAGIC
            && log_block_size <= 6
            && superblock.inodes_per_group > 0
            && (128..=superblock.block_size).contains(&superblock.inode_size)
            && (32..=1024).contains(&superblock.desc_size);
        if plausible { Ok(superblock) } else { Err(ReadError::damaged("it is no ext4 file system")) }
    }

    fn inode(&self, blocks: &dyn Blocks, number: u32) -> Result<Inode, ReadError> {
        let damaged = || ReadError::damaged(format!("inode {number} is out of range"));
        let index = number.checked_sub(1).filter(|_| number <= self.inodes_count).ok_or_else(damaged)?;
        let (group, index) = (index / self.inodes_per_group, index % self.inodes_per_group);
        let table = (self.first_data_block + 1) * self.block_size + u64::from(group) * self.desc_size;
        let descriptor = bytes(blocks, table, self.desc_size)?;
        let (low, high) = (u32_le(&descriptor, 8).unwrap_or(0), u32_le(&descriptor, 40).unwrap_or(0));
        let high = if self.desc_size >= 64 { u64::from(high) << 32 } else { 0 };
        let offset = (high | u64::from(low)).checked_mul(self.block_size);
        let offset =
            offset.and_then(|offset| offset.checked_add(u64::from(index) * self.inode_size)).ok_or_else(damaged)?;
        let raw = bytes(blocks, offset, self.inode_size)?;
        let (word, long) = (|at| u16_le(&raw, at).unwrap_or(0), |at| u32_le(&raw, at).unwrap_or(0));
        let size = u64::from(long(108)) << 32 | u64::from(long(4));
        Ok(Inode { number, mode: word(0), size, links: word(26), flags: long(32), raw })
    }
}

impl Inode {
    pub fn is_directory(&self) -> bool {
        self.mode & 0o170_000 == S_IFDIR
    }

    /// `i_block`.
    fn block(&self) -> &[u8] {
        self.raw.get(40..100).unwrap_or_default()
    }

    /// Major and minor number of a device: in the old 16-bit form if that is not zero, else in the new one.
    pub fn device(&self) -> (u32, u32) {
        let (old, new) = (u32_le(self.block(), 0).unwrap_or(0), u32_le(self.block(), 4).unwrap_or(0));
        match old {
            0 => (new >> 8 & 0xfff, new & 0xff | new >> 12 & 0xfff00),
            old => (old >> 8 & 0xff, old & 0xff),
        }
    }

    /// The blocks of a directory's data.
    fn data(&self, blocks: &dyn Blocks, block_size: u64) -> Result<Vec<u8>, ReadError> {
        if self.flags & EXT4_EXTENTS_FL == 0 || self.flags & EXT4_INLINE_DATA_FL != 0 {
            return Err(ReadError::damaged(format!("inode {} keeps its data in a way kiln does not", self.number)));
        }
        let mut found = BTreeMap::new();
        let mut budget = MAX_DIRECTORY;
        extents(blocks, block_size, self.block(), None, &mut budget, &mut found)?;
        let mut data = Vec::new();
        for physical in found.into_values() {
            data.extend(bytes(blocks, physical.saturating_mul(block_size), block_size)?);
        }
        data.truncate(usize::try_from(self.size).unwrap_or(usize::MAX));
        Ok(data)
    }
}

/// Collects logical → physical block numbers from a node of a tree of extents. `depth` is what its parent says it should be.
fn extents(
    blocks: &dyn Blocks,
    block_size: u64,
    node: &[u8],
    depth: Option<u16>,
    budget: &mut u64,
    found: &mut BTreeMap<u32, u64>,
) -> Result<(), ReadError> {
    let damaged = || ReadError::damaged("a tree of extents is damaged");
    let (magic, count, level) = (u16_le(node, 0), u16_le(node, 2), u16_le(node, 6).ok_or_else(damaged)?);
    if magic != Some(EXT4_EXT_MAGIC) || level > MAX_DEPTH || depth.is_some_and(|depth| depth != level) {
        return Err(damaged());
    }
    for entry in (1..=usize::from(count.unwrap_or(0))).map(|number| 12 * number) {
        let (logical, last) = (u32_le(node, entry).ok_or_else(damaged)?, u32_le(node, entry + 8).ok_or_else(damaged)?);
        if level == 0 {
            // ee_len, ee_start_hi, ee_start_lo; more than 32768 blocks: not yet written.
            let (length, high) = (u16_le(node, entry + 4).unwrap_or(0), u16_le(node, entry + 6).unwrap_or(0));
            let start = u64::from(high) << 32 | u64::from(last);
            if length > 32_768 {
                return Err(damaged());
            }
            for number in 0..u32::from(length) {
                *budget = budget.checked_sub(1).ok_or_else(damaged)?;
                found.insert(logical.checked_add(number).ok_or_else(damaged)?, start + u64::from(number));
            }
        } else {
            // ei_leaf_lo, ei_leaf_hi.
            *budget = budget.checked_sub(1).ok_or_else(damaged)?;
            let leaf =
                u64::from(u16_le(node, entry + 8).unwrap_or(0)) << 32 | u64::from(u32_le(node, entry + 4).unwrap_or(0));
            let child = bytes(blocks, leaf.saturating_mul(block_size), block_size)?;
            extents(blocks, block_size, &child, Some(level - 1), budget, found)?;
        }
    }
    Ok(())
}

impl Inodes {
    /// Reads every directory.
    ///
    /// # Errors
    /// [`ReadError::Damaged`].
    pub fn read(blocks: &dyn Blocks) -> Result<Self, ReadError> {
        let superblock = Superblock::read(blocks)?;
        let mut paths = BTreeMap::new();
        let mut seen = BTreeSet::from([EXT4_ROOT_INO]);
        let mut todo = vec![(String::new(), superblock.inode(blocks, EXT4_ROOT_INO)?)];
        while let Some((prefix, directory)) = todo.pop() {
            for (name, number) in entries(&directory.data(blocks, superblock.block_size)?)? {
                let path = format!("{prefix}{name}");
                let inode = superblock.inode(blocks, number)?;
                if inode.is_directory() {
                    // Two names of one directory would be a loop sooner or later.
                    if !seen.insert(number) || path.len() > MAX_PATH {
                        return Err(ReadError::damaged(format!("the directory /{path} is there twice")));
                    }
                    todo.push((format!("{path}/"), inode.clone()));
                }
                if paths.len() >= MAX_PATHS || paths.insert(path.clone(), inode).is_some() {
                    return Err(ReadError::damaged(format!("/{path} is there twice")));
                }
            }
        }
        Ok(Self { superblock, paths })
    }

    /// The names in a directory.
    pub fn names(&self, directory: &str) -> BTreeSet<&str> {
        let prefix = if directory.is_empty() { String::new() } else { format!("{directory}/") };
        let below = self.paths.range(prefix.clone()..).take_while(|(path, _)| path.starts_with(&prefix));
        below.filter_map(|(path, _)| path.get(prefix.len()..)).filter(|name| !name.contains('/')).collect()
    }
}

/// Names and inode numbers of `struct ext4_dir_entry_2`; the nodes of a hash tree look empty to this.
fn entries(data: &[u8]) -> Result<Vec<(String, u32)>, ReadError> {
    let damaged = || ReadError::damaged("a directory is damaged");
    let (mut found, mut at) = (Vec::new(), 0);
    while at < data.len() {
        let number = u32_le(data, at).ok_or_else(damaged)?;
        let length = usize::from(u16_le(data, at + 4).ok_or_else(damaged)?);
        let name_length = usize::from(*data.get(at + 6).ok_or_else(damaged)?);
        // In blocks of 64 KiB a length of 65535 or 0 means the whole; kiln makes smaller ones.
        if length < 8 || length % 4 != 0 {
            return Err(damaged());
        }
        let name = data.get(at + 8..at + 8 + name_length).filter(|_| name_length + 8 <= length).ok_or_else(damaged)?;
        if number != 0 && name_length > 0 && name != b"." && name != b".." {
            let name = std::str::from_utf8(name).map_err(|_| ReadError::damaged("a name is not UTF-8"))?;
            if name.contains(['/', '\0']) {
                return Err(damaged());
            }
            found.push((name.to_owned(), number));
        }
        at += length;
    }
    Ok(found)
}
