//! `ext4_inode`: the 256 bytes of an inode.

use super::checksum::Checksum;
use super::directory::FileType;
use super::geometry::INODE_SIZE;
use super::xattr;
use super::{BLOCK, Ext4Error};
use crate::inodes::{Attributes, Kind};

/// `EXT4_ROOT_INO`.
pub(super) const ROOT_INODE: u32 = 2;
/// `s_first_ino`: inodes before it are reserved.
pub(super) const FIRST_INODE: u32 = 11;
/// `i_extra_isize`: bytes of fields after the first 128.
pub(super) const EXTRA_ISIZE: u16 = 32;
/// The offset of extended attributes.
const XATTRS: usize = 128 + EXTRA_ISIZE as usize;
/// The bytes available for them.
pub(super) const XATTR_ROOM: usize = INODE_SIZE as usize - XATTRS;
/// Targets shorter than this are stored in the inode.
const FAST_SYMLINK: usize = 60;
/// `EXT4_LINK_MAX`.
pub(super) const LINK_MAX: u32 = 65000;
const EXTENTS_FL: u32 = 0x8_0000;
/// `i_blocks` counts sectors of 512 bytes.
const SECTORS_PER_BLOCK: u64 = BLOCK / 512;

/// The fields of an inode besides its attributes.
#[derive(Debug)]
pub(super) struct Body {
    pub(super) file_type: FileType,
    pub(super) i_size: u64,
    /// The number of blocks of data, extents and extended attributes.
    pub(super) i_blocks: u64,
    pub(super) i_links_count: u32,
    pub(super) i_block: IBlock,
    /// The block with extended attributes, or 0.
    pub(super) i_file_acl: u32,
}

/// The contents of `i_block`.
#[derive(Debug)]
pub(super) enum IBlock {
    /// The root of the extent tree.
    Extents([u8; 60]),
    /// A short target or device numbers.
    Plain([u8; 60]),
}

/// Whether the target of a symbolic link fits into the inode.
pub(super) fn is_fast_symlink(target: &[u8]) -> bool {
    target.len() < FAST_SYMLINK
}

/// The `i_block` of a symbolic link whose target [fits](is_fast_symlink).
pub(super) fn fast_symlink(target: &[u8]) -> IBlock {
    let mut bytes = [0; 60];
    bytes[..target.len()].copy_from_slice(target);
    IBlock::Plain(bytes)
}

/// The `i_block` of a device: the old encoding if the numbers fit it, otherwise the new one, as
/// `init_special_inode` expects.
pub(super) fn device(major: u32, minor: u32) -> IBlock {
    let mut bytes = [0; 60];
    if major < 256 && minor < 256 {
        bytes[..4].copy_from_slice(&(major << 8 | minor).to_le_bytes());
    } else {
        bytes[4..8].copy_from_slice(&(minor & 0xff | major << 8 | (minor & !0xff) << 12).to_le_bytes());
    }
    IBlock::Plain(bytes)
}

/// Whether Linux supports these device numbers.
pub(super) fn is_device(major: u32, minor: u32) -> bool {
    major < 1 << 12 && minor < 1 << 20
}

/// The `file_type` of an inode in its directory entry.
pub(super) fn file_type<C>(kind: &Kind<'_, C>) -> FileType {
    match kind {
        Kind::Directory(_) => FileType::Directory,
        Kind::Regular { .. } => FileType::Regular,
        Kind::Symlink(_) => FileType::Symlink,
        Kind::Char { .. } => FileType::Char,
        Kind::Block { .. } => FileType::Block,
        Kind::Fifo => FileType::Fifo,
    }
}

/// The `S_IFMT` bits of `i_mode`.
fn format_bits(file_type: FileType) -> u16 {
    match file_type {
        FileType::Fifo => 0o010_000,
        FileType::Char => 0o020_000,
        FileType::Directory => 0o040_000,
        FileType::Block => 0o060_000,
        FileType::Regular => 0o100_000,
        FileType::Symlink => 0o120_000,
    }
}

/// Checks that an inode can have this many names.
pub(super) fn check_links(path: &dyn Fn() -> String, links: u32) -> Result<(), Ext4Error> {
    match links <= LINK_MAX {
        true => Ok(()),
        false => Err(Ext4Error::Links { path: path(), links }),
    }
}

/// Writes inode `number` to `out`, which must be zero.
pub(super) fn write(out: &mut [u8], number: u32, body: &Body, attributes: &Attributes<'_>, file_system: Checksum) {
    let halves = |value: u32| {
        let [a, b, c, d] = value.to_le_bytes();
        ([a, b], [c, d])
    };
    let mut put = |at: usize, bytes: &[u8]| out[at..at + bytes.len()].copy_from_slice(bytes);
    let (uid, uid_high) = halves(attributes.uid);
    let (gid, gid_high) = halves(attributes.gid);
    // With dir_nlink, a directory with more subdirectories than i_links_count can count has one
    // link.
    let links = u16::try_from(body.i_links_count).ok().filter(|links| u32::from(*links) <= LINK_MAX).unwrap_or(1);
    let [size @ .., _, _, _, _] = body.i_size.to_le_bytes();
    let [_, _, _, _, size_high @ ..] = body.i_size.to_le_bytes();
    let sectors = (body.i_blocks * SECTORS_PER_BLOCK).to_le_bytes();
    let (seconds, epoch) = timestamp(attributes.mtime);
    put(0x00, &(format_bits(body.file_type) | attributes.mode & 0o7777).to_le_bytes()); // i_mode
    put(0x02, &uid); // i_uid
    put(0x04, &size); // i_size_lo
    for at in [0x08, 0x0c, 0x10, 0x90] {
        put(at, &seconds); // i_atime, i_ctime, i_mtime, i_crtime
    }
    put(0x18, &gid); // i_gid
    put(0x1a, &links.to_le_bytes()); // i_links_count
    put(0x1c, &sectors[..4]); // i_blocks_lo
    let (flags, i_block) = match &body.i_block {
        IBlock::Extents(bytes) => (EXTENTS_FL, bytes),
        IBlock::Plain(bytes) => (0, bytes),
    };
    put(0x20, &flags.to_le_bytes()); // i_flags
    put(0x28, i_block);
    put(0x68, &body.i_file_acl.to_le_bytes()); // i_file_acl_lo
    put(0x6c, &size_high); // i_size_high
    put(0x74, &sectors[4..6]); // l_i_blocks_high
    put(0x78, &uid_high); // l_i_uid_high
    put(0x7a, &gid_high); // l_i_gid_high
    put(0x80, &EXTRA_ISIZE.to_le_bytes()); // i_extra_isize
    for at in [0x84, 0x88, 0x8c, 0x94] {
        put(at, &epoch); // i_ctime_extra, i_mtime_extra, i_atime_extra, i_crtime_extra
    }
    if body.i_file_acl == 0 {
        xattr::write_in_inode(&mut out[XATTRS..], attributes.xattrs);
    }
    let [low, high] = file_system.of_inode(number).then(out).halves();
    out[0x7c..0x7e].copy_from_slice(&low); // l_i_checksum_lo
    out[0x82..0x84].copy_from_slice(&high); // i_checksum_hi
}

/// The seconds and the epoch bits of a timestamp: the kernel reads the low 32 bits as signed.
fn timestamp(time: u32) -> ([u8; 4], [u8; 4]) {
    (time.to_le_bytes(), (time >> 31).to_le_bytes())
}
