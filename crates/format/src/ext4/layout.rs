//! Assigns blocks to everything before the first byte is written.

use super::checksum::Checksum;
use super::geometry::{Geometry, INODES_PER_BLOCK};
use super::inode::{FIRST_INODE, ROOT_INODE, XATTR_ROOM};
use super::superblock::Usage;
use super::xattr::Place;
use super::{BLOCK, Ext4Error, Options, directory, extent, inode, superblock, xattr};
use crate::inodes::{Index, Inode, Inodes, Kind, ROOT};
use std::ops::Range;

/// The blocks of an inode: block numbers on disk and block counts.
///
/// Its metadata are the blocks of its directory or long target, then a block of extended
/// attributes, then blocks of extents.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Blocks {
    /// The first block of its data; the metadata for all but regular files.
    pub(super) data: u32,
    /// The number of blocks of data.
    pub(super) count: u32,
    /// The first block of its metadata.
    metadata: u32,
    /// The number of its data blocks that are metadata: all or none.
    among_metadata: u32,
    /// The number of its blocks of extended attributes: one or none.
    xattrs: u32,
}

impl Blocks {
    /// The block of its extended attributes, if any.
    pub(super) fn xattrs(&self) -> Option<u32> {
        (self.xattrs > 0).then_some(self.metadata + self.among_metadata)
    }

    /// The first block of its extents.
    pub(super) fn extents(&self) -> u32 {
        self.metadata + self.among_metadata + self.xattrs
    }

    /// The first block of its metadata, if any.
    pub(super) fn metadata(&self) -> Option<u32> {
        (self.metadata_count() > 0).then_some(self.metadata)
    }

    /// The number of all its blocks.
    pub(super) fn total(&self) -> u32 {
        self.metadata_count() + self.count - self.among_metadata
    }

    fn metadata_count(&self) -> u32 {
        self.among_metadata + self.xattrs + extent::leaves(self.count)
    }
}

/// A file system in which every block has been assigned.
#[derive(Debug)]
pub struct Layout<'a, C> {
    pub(super) inodes: Inodes<'a, C>,
    pub(super) options: Options<'a>,
    pub(super) geometry: Geometry,
    pub(super) usage: Usage,
    /// By inode index.
    pub(super) blocks: Vec<Blocks>,
    /// Regular files with data, in the order of their data.
    pub(super) files: Vec<Index>,
}

impl<'a, C> Layout<'a, C> {
    /// Assigns blocks to everything.
    ///
    /// # Errors
    /// [`Ext4Error`].
    pub fn new(inodes: Inodes<'a, C>, options: Options<'a>) -> Result<Self, Ext4Error> {
        superblock::check(&options)?;
        let all = inodes.all();
        // Counted from 0 first, because the size of the tables is not known yet.
        let mut blocks = Vec::with_capacity(all.len());
        let mut next = Next(0);
        for (index, inode) in all.iter().enumerate() {
            let path = || inodes.path(index);
            let count = data_blocks(&inodes, index, inode)?;
            let is_file = matches!(inode.kind, Kind::Regular { .. });
            let xattrs = xattr::place(&path, inode.attributes.xattrs, XATTR_ROOM)?;
            let own = Blocks {
                data: next.0,
                count,
                metadata: next.0,
                among_metadata: if is_file { 0 } else { count },
                xattrs: u32::from(xattrs == Place::Block),
            };
            next.take(own.metadata_count())?;
            inode::check_links(&path, inode.names)?;
            blocks.push(own);
        }
        let files = in_order_of_data(all, &blocks);
        for index in &files {
            blocks[*index].data = next.take(blocks[*index].count)?;
        }

        let last = u32::try_from(all.len() - 1).ok().and_then(|last| last.checked_add(FIRST_INODE - 1));
        let last = last.ok_or(Ext4Error::TooLarge)?;
        let geometry = Geometry::new(last, u64::from(next.0), options.size)?;
        for own in &mut blocks {
            own.data += geometry.content();
            own.metadata += geometry.content();
        }
        let mut directories = vec![0; geometry.groups as usize];
        for index in (0..all.len()).filter(|index| matches!(all[*index].kind, Kind::Directory(_))) {
            directories[((number(index) - 1) / geometry.s_inodes_per_group) as usize] += 1;
        }
        let usage = Usage { inodes: last, directories };
        Ok(Self { inodes, options, geometry, usage, blocks, files })
    }

    /// The size of the file system in bytes.
    pub fn size(&self) -> u64 {
        u64::from(self.geometry.s_blocks_count) * BLOCK
    }

    /// The byte ranges that may contain anything other than zeros: ascending and disjoint.
    pub fn data(&self) -> Vec<Range<u64>> {
        let bytes = |from: u32, to: u32| u64::from(from) * BLOCK..u64::from(to) * BLOCK;
        let tables = self.geometry.inode_table() + self.usage.inodes.div_ceil(INODES_PER_BLOCK);
        let ranges = [bytes(0, tables), bytes(self.geometry.content(), self.geometry.used)];
        ranges.into_iter().filter(|range| !range.is_empty()).collect()
    }

    /// The seed of metadata checksums.
    pub(super) fn checksum(&self) -> Checksum {
        Checksum::of_file_system(&self.options.uuid)
    }
}

/// The number of an inode.
pub(super) fn number(index: Index) -> u32 {
    match u32::try_from(index) {
        Ok(0) => ROOT_INODE,
        // `Layout::new` ensures that there are not more.
        Ok(index) => (FIRST_INODE - 1).saturating_add(index),
        Err(_) => u32::MAX,
    }
}

/// The inode with this number; `None` for reserved inodes.
pub(super) fn index(number: u32) -> Option<Index> {
    match number {
        ROOT_INODE => Some(ROOT),
        _ => usize::try_from(number.checked_sub(FIRST_INODE - 1)?).ok().filter(|index| *index > ROOT),
    }
}

/// The next free block.
struct Next(u32);

impl Next {
    fn take(&mut self, count: u32) -> Result<u32, Ext4Error> {
        let start = self.0;
        self.0 = start.checked_add(count).ok_or(Ext4Error::TooLarge)?;
        Ok(start)
    }
}

/// The number of data blocks of an inode; checks that ext4 can hold it.
fn data_blocks<C>(inodes: &Inodes<'_, C>, index: Index, inode: &Inode<'_, C>) -> Result<u32, Ext4Error> {
    let path = || inodes.path(index);
    let blocks = match &inode.kind {
        Kind::Directory(names) => {
            if let Some((_, bad)) = names.iter().find(|(name, _)| !directory::is_name(name)) {
                return Err(Ext4Error::Name { path: inodes.path(*bad) });
            }
            let blocks = directory::blocks(names.iter().map(|(name, _)| *name));
            directory::size(blocks).ok_or(Ext4Error::TooLarge)?;
            blocks
        }
        Kind::Regular { size, .. } if *size > extent::MAX_FILE_SIZE => {
            return Err(Ext4Error::FileTooLarge { path: path(), size: *size });
        }
        Kind::Regular { size, .. } => size.div_ceil(BLOCK),
        Kind::Symlink(target) if target.is_empty() || target.len() as u64 >= BLOCK => {
            return Err(Ext4Error::Target { path: path(), length: target.len() });
        }
        Kind::Symlink(target) => u64::from(!inode::is_fast_symlink(target)),
        Kind::Char { major, minor } | Kind::Block { major, minor } if !inode::is_device(*major, *minor) => {
            return Err(Ext4Error::Device { path: path(), major: *major, minor: *minor });
        }
        Kind::Char { .. } | Kind::Block { .. } | Kind::Fifo => 0,
    };
    u32::try_from(blocks).map_err(|_| Ext4Error::TooLarge)
}

/// Files with data: first those that seldom change, so that a small change moves and alters as few
/// blocks as possible.
fn in_order_of_data<C>(all: &[Inode<'_, C>], blocks: &[Blocks]) -> Vec<Index> {
    let is_late = |index: &Index| matches!(all[*index].kind, Kind::Regular { late: true, .. });
    let is_file = |index: &Index| matches!(all[*index].kind, Kind::Regular { .. }) && blocks[*index].count > 0;
    let (late, early): (Vec<Index>, Vec<Index>) = (0..all.len()).filter(is_file).partition(is_late);
    [early, late].concat()
}
