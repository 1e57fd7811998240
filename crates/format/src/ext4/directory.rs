//! Directories as lists of names (`ext4_dir_entry_2`) without an index: the kernel reads a
//! directory of a thousand names in ten blocks, once, and afterwards answers lookups from its cache
//! of names.

use super::checksum::Checksum;
use super::{BLOCK, BLOCK_SIZE};

/// `inode`, `rec_len`, `name_len` and `file_type`, before each name.
const HEADER: usize = 8;
/// `ext4_dir_entry_tail`: an entry without a name, for the checksum.
const TAIL: usize = 12;
const TAIL_TYPE: u8 = 0xde;
/// The longest name that Linux allows.
const MAX_NAME: usize = 255;

/// `file_type` of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum FileType {
    Regular = 1,
    Directory = 2,
    Char = 3,
    Block = 4,
    Fifo = 5,
    Symlink = 7,
}

/// One directory entry.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry<'a> {
    pub(super) inode: u32,
    pub(super) file_type: FileType,
    pub(super) name: &'a [u8],
}

/// Whether `name` is valid in a directory.
pub(super) fn is_name(name: &[u8]) -> bool {
    (1..=MAX_NAME).contains(&name.len())
        && !matches!(name, b"." | b"..")
        && !name.iter().any(|byte| matches!(byte, 0 | b'/'))
}

/// The number of blocks of a directory with these names (without `.` and `..`).
pub(super) fn blocks<'a>(names: impl Iterator<Item = &'a [u8]>) -> u64 {
    let mut full = 0;
    let mut used = entry_size(b".") + entry_size(b"..");
    for name in names {
        let size = entry_size(name);
        if used + size > BLOCK_SIZE - TAIL {
            full += 1;
            used = 0;
        }
        used += size;
    }
    full + 1
}

/// Appends the blocks of the directory with inode `own` in the directory with inode `parent` to
/// `out`; `inode` is the seed of its checksums.
pub(super) fn write<'a>(
    out: &mut Vec<u8>,
    own: u32,
    parent: u32,
    entries: impl Iterator<Item = Entry<'a>>,
    inode: Checksum,
) {
    let dots = [(own, b".".as_slice()), (parent, b"..")];
    let dots = dots.map(|(inode, name)| Entry { inode, file_type: FileType::Directory, name });
    let mut block = Block { start: out.len(), last: out.len() };
    for entry in dots.into_iter().chain(entries) {
        if out.len() - block.start + entry_size(entry.name) > BLOCK_SIZE - TAIL {
            block.close(out, inode);
            block = Block { start: out.len(), last: out.len() };
        }
        block.last = out.len();
        push(out, &entry);
    }
    block.close(out, inode);
}

/// The bytes of a directory with this many blocks; `None` when they do not fit `i_size`.
pub(super) fn size(blocks: u64) -> Option<u32> {
    u32::try_from(blocks * BLOCK).ok().filter(|size| i32::try_from(*size).is_ok())
}

fn entry_size(name: &[u8]) -> usize {
    (HEADER + name.len()).next_multiple_of(4)
}

fn push(out: &mut Vec<u8>, entry: &Entry<'_>) {
    let rec_len = entry_size(entry.name);
    let end = out.len() + rec_len;
    out.extend_from_slice(&entry.inode.to_le_bytes());
    // An entry has at most 264 bytes and a name 255, which `is_name` ensures.
    out.extend_from_slice(&u16::try_from(rec_len).unwrap_or(u16::MAX).to_le_bytes());
    out.extend_from_slice(&[u8::try_from(entry.name.len()).unwrap_or(u8::MAX), entry.file_type as u8]);
    out.extend_from_slice(entry.name);
    out.resize(end, 0);
}

/// The block being filled: the offsets of its beginning and of its last entry.
struct Block {
    start: usize,
    last: usize,
}

impl Block {
    /// Extends the last entry to the end of the block and appends the tail.
    fn close(&self, out: &mut Vec<u8>, inode: Checksum) {
        let tail = self.start + BLOCK_SIZE - TAIL;
        out.resize(tail, 0);
        let rec_len = u16::try_from(tail - self.last).unwrap_or(u16::MAX);
        out[self.last + 4..self.last + 6].copy_from_slice(&rec_len.to_le_bytes());
        let checksum = inode.then(&out[self.start..tail]);
        out.extend_from_slice(&[0, 0, 0, 0, 12, 0, 0, TAIL_TYPE]);
        out.extend_from_slice(&checksum.get().to_le_bytes());
    }
}
