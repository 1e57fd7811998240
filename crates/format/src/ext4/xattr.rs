//! Extended attributes (fs/ext4/xattr.h): in the inode if they fit, otherwise in a separate block.

use super::checksum::Checksum;
use super::{BLOCK_SIZE, Ext4Error};
use std::collections::BTreeMap;

/// `EXT4_XATTR_MAGIC`.
const MAGIC: u32 = 0xea02_0000;
/// `ext4_xattr_header` of a block.
const BLOCK_HEADER: usize = 32;
/// `ext4_xattr_ibody_header`.
const INODE_HEADER: usize = 4;
/// `ext4_xattr_entry` without its name.
const ENTRY: usize = 16;
/// The end of the list: four zero bytes in place of an entry.
const END: usize = 4;
const MAX_NAME: usize = 255;

/// Namespaces and their `e_name_index`. POSIX ACLs have their own indexes and formats.
const PREFIXES: [(&str, u8); 3] = [("user.", 1), ("trusted.", 4), ("security.", 6)];

/// One attribute as stored on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Xattr<'a> {
    // In the order in which the kernel searches for them.
    e_name_index: u8,
    e_name_len: u8,
    name: &'a [u8],
    value: &'a [u8],
}

/// Where the attributes of an inode are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// In the inode, or there are none.
    Inode,
    /// In a block.
    Block,
}

/// Checks the attributes of the file `path`; its inode has `room` bytes for them.
pub(super) fn place(
    path: &dyn Fn() -> String,
    xattrs: &BTreeMap<String, Vec<u8>>,
    room: usize,
) -> Result<Place, Ext4Error> {
    if xattrs.is_empty() {
        return Ok(Place::Inode);
    }
    let bad = |name: &String, why| Ext4Error::Xattr { path: path(), name: name.clone(), why };
    for name in xattrs.keys() {
        match split(name) {
            None => return Err(bad(name, "kiln writes only the namespaces user, trusted and security to ext4")),
            Some((_, "")) => return Err(bad(name, "it has a namespace but no name")),
            Some((_, rest)) if rest.len() > MAX_NAME => return Err(bad(name, "its name is longer than 255 bytes")),
            Some(_) => {}
        }
    }
    let size: usize = sorted(xattrs).iter().map(Xattr::size).sum();
    if INODE_HEADER + size + END <= room {
        return Ok(Place::Inode);
    }
    match xattrs.iter().max_by_key(|(_, value)| value.len()) {
        Some((name, _)) if BLOCK_HEADER + size + END > BLOCK_SIZE => {
            Err(bad(name, "all attributes of the file together do not fit the one block that ext4 has for them"))
        }
        _ => Ok(Place::Block),
    }
}

/// Writes attributes to `room`, the end of an inode.
pub(super) fn write_in_inode(room: &mut [u8], xattrs: &BTreeMap<String, Vec<u8>>) {
    let xattrs = sorted(xattrs);
    if !xattrs.is_empty() {
        let (header, rest) = room.split_at_mut(INODE_HEADER);
        header.copy_from_slice(&MAGIC.to_le_bytes());
        write(rest, 0, &xattrs);
    }
}

/// Appends the block of attributes, which is block `number`, to `out`; `file_system` is the seed of
/// its checksum.
pub(super) fn write_block(out: &mut Vec<u8>, number: u32, xattrs: &BTreeMap<String, Vec<u8>>, file_system: Checksum) {
    let mut block = vec![0; BLOCK_SIZE];
    let hash = write(&mut block, BLOCK_HEADER, &sorted(xattrs));
    let one = 1_u32;
    for (field, value) in block.chunks_exact_mut(4).zip([MAGIC, one, one, hash]) {
        field.copy_from_slice(&value.to_le_bytes());
    }
    let checksum = file_system.then(&u64::from(number).to_le_bytes()).then(&block).get();
    block[0x10..0x14].copy_from_slice(&checksum.to_le_bytes());
    out.extend_from_slice(&block);
}

/// Writes entries from `first` onwards and their values backwards from the end; returns `h_hash`.
fn write(out: &mut [u8], first: usize, xattrs: &[Xattr<'_>]) -> u32 {
    let (mut at, mut end) = (first, out.len());
    let mut block_hash = 0_u32;
    let mut shareable = true;
    for xattr in xattrs {
        end -= padded(xattr.value.len());
        out[end..end + xattr.value.len()].copy_from_slice(xattr.value);
        let e_hash = hash(xattr);
        block_hash = block_hash.rotate_left(16) ^ e_hash;
        shareable &= e_hash != 0;
        let e_value_offs = if xattr.value.is_empty() { 0 } else { end };
        let entry = &mut out[at..at + ENTRY + xattr.name.len()];
        entry[0] = xattr.e_name_len;
        entry[1] = xattr.e_name_index;
        // All offsets are inside one block.
        entry[2..4].copy_from_slice(&u16::try_from(e_value_offs).unwrap_or(u16::MAX).to_le_bytes());
        entry[8..12].copy_from_slice(&u32::try_from(xattr.value.len()).unwrap_or(u32::MAX).to_le_bytes()); // e_value_size
        entry[12..16].copy_from_slice(&e_hash.to_le_bytes());
        entry[ENTRY..].copy_from_slice(xattr.name);
        at += padded(ENTRY + xattr.name.len());
    }
    if shareable { block_hash } else { 0 }
}

impl Xattr<'_> {
    fn size(&self) -> usize {
        padded(ENTRY + self.name.len()) + padded(self.value.len())
    }
}

fn padded(size: usize) -> usize {
    size.next_multiple_of(4)
}

fn split(name: &str) -> Option<(u8, &str)> {
    PREFIXES.iter().find_map(|(prefix, index)| Some((*index, name.strip_prefix(prefix)?)))
}

fn sorted(xattrs: &BTreeMap<String, Vec<u8>>) -> Vec<Xattr<'_>> {
    let mut sorted: Vec<Xattr<'_>> = xattrs
        .iter()
        .filter_map(|(name, value)| {
            let (e_name_index, name) = split(name)?;
            Some(Xattr { e_name_index, e_name_len: u8::try_from(name.len()).ok()?, name: name.as_bytes(), value })
        })
        .collect();
    sorted.sort();
    sorted
}

/// `e_hash`: `ext4_xattr_hash_entry`.
fn hash(xattr: &Xattr<'_>) -> u32 {
    let name = xattr.name.iter().fold(0_u32, |hash, byte| hash.rotate_left(5) ^ u32::from(*byte));
    xattr.value.chunks(4).fold(name, |hash, word| {
        let mut bytes = [0; 4];
        bytes[..word.len()].copy_from_slice(word);
        hash.rotate_left(16) ^ u32::from_le_bytes(bytes)
    })
}
