//! Writes the blocks that [`Layout`] assigned, from several threads.

use super::geometry::{INODE_SIZE, INODES_PER_BLOCK};
use super::inode::{self, Body, IBlock};
use super::layout::{Layout, index, number};
use super::stream::Stream;
use super::{BLOCK, BLOCK_SIZE, directory, extent, superblock, xattr};
use crate::block::BlockSink;
use crate::filesystem::{CopyContent, FileSystem, WriteError};
use crate::inodes::{Index, Inode, Kind};
use rayon::prelude::*;
use std::cmp::Reverse;
use std::io;
use std::ops::Range;

/// The number of inodes that a thread writes at a time: 256 KiB.
const INODES: usize = 1024;
/// The number of blocks that a thread copies at a time, one small file after another.
const RUN: u32 = 256;

impl<C: Sync, E: Send> FileSystem<C, E> for Layout<'_, C> {
    fn size(&self) -> u64 {
        Layout::size(self)
    }

    fn data(&self) -> Vec<Range<u64>> {
        Layout::data(self)
    }

    fn write(&self, sink: &dyn BlockSink, copy: &CopyContent<'_, C, E>) -> Result<(), WriteError<E>> {
        let mut pieces = self.pieces();
        // Largest first: otherwise one thread may start it when all others are done.
        pieces.sort_by_key(|piece| Reverse(self.blocks_of(piece)));
        pieces.into_par_iter().with_max_len(1).try_for_each(|piece| self.write_piece(sink, copy, &piece))
    }

    fn write_in_order(&self, sink: &dyn BlockSink, copy: &CopyContent<'_, C, E>) -> Result<(), WriteError<E>> {
        self.pieces().iter().try_for_each(|piece| self.write_piece(sink, copy, piece))
    }
}

/// The work that one thread does at a time.
enum Piece<'a> {
    /// Everything before the inodes.
    Head,
    /// [`INODES`] inodes, starting with this number.
    Inodes(u32),
    /// The blocks of these consecutive inodes outside tables and contents.
    Metadata(Range<Index>),
    /// The contents of these consecutive files: one large file or several small ones.
    Contents(&'a [Index]),
}

impl<C> Layout<'_, C> {
    /// All pieces in the order of the disk.
    fn pieces(&self) -> Vec<Piece<'_>> {
        let mut pieces = vec![Piece::Head];
        pieces.extend((1..=self.usage.inodes).step_by(INODES).map(Piece::Inodes));
        let all = self.blocks.len();
        pieces.extend((0..all).step_by(INODES).map(|start| Piece::Metadata(start..all.min(start + INODES))));
        let (mut start, mut blocks) = (0, 0);
        for (at, index) in self.files.iter().enumerate() {
            let count = self.blocks[*index].count;
            if at > start && blocks + u64::from(count) > u64::from(RUN) {
                pieces.push(Piece::Contents(&self.files[start..at]));
                (start, blocks) = (at, 0);
            }
            blocks += u64::from(count);
        }
        if start < self.files.len() {
            pieces.push(Piece::Contents(&self.files[start..]));
        }
        pieces
    }

    /// The approximate number of blocks of a piece.
    fn blocks_of(&self, piece: &Piece<'_>) -> u32 {
        match piece {
            Piece::Contents(files) => files.iter().map(|index| self.blocks[*index].count).sum(),
            Piece::Head | Piece::Inodes(_) | Piece::Metadata(_) => RUN,
        }
    }

    fn write_piece<E>(
        &self,
        sink: &dyn BlockSink,
        copy: &CopyContent<'_, C, E>,
        piece: &Piece<'_>,
    ) -> Result<(), WriteError<E>> {
        match piece {
            Piece::Head => sink.write_at(&superblock::head(&self.options, &self.geometry, &self.usage), 0)?,
            Piece::Inodes(first) => self.write_inodes(sink, *first)?,
            Piece::Metadata(indexes) => self.write_metadata(sink, indexes.clone())?,
            Piece::Contents(files) => self.write_contents(sink, copy, files)?,
        }
        Ok(())
    }

    /// Copies the contents of `files`, which are consecutive.
    fn write_contents<E>(
        &self,
        sink: &dyn BlockSink,
        copy: &CopyContent<'_, C, E>,
        files: &[Index],
    ) -> Result<(), WriteError<E>> {
        let offset = files.first().map_or(0, |first| u64::from(self.blocks[*first].data) * BLOCK);
        let mut stream = Stream::new(sink, offset);
        for index in files {
            if let Kind::Regular { size, content, .. } = &self.inodes.all()[*index].kind {
                stream.begin(*size);
                copy(content, &mut stream).map_err(WriteError::Copy)?;
                let missing = stream.end();
                if missing > 0 {
                    return Err(WriteError::Short { path: self.inodes.path(*index), missing });
                }
            }
        }
        Ok(stream.finish()?)
    }

    /// Writes [`INODES`] inodes, starting with number `first`, and pads their last block.
    fn write_inodes(&self, sink: &dyn BlockSink, first: u32) -> io::Result<()> {
        let last = self.usage.inodes.min(first.saturating_add(INODES as u32 - 1));
        let blocks = (last + 1 - first).div_ceil(INODES_PER_BLOCK);
        let mut bytes = vec![0; blocks as usize * BLOCK_SIZE];
        for (number, bytes) in (first..=last).zip(bytes.chunks_exact_mut(INODE_SIZE as usize)) {
            if let Some(index) = index(number) {
                let inode = &self.inodes.all()[index];
                inode::write(bytes, number, &self.body(index, inode), &inode.attributes, self.checksum());
            }
        }
        let block = self.geometry.inode_table() + (first - 1) / INODES_PER_BLOCK;
        sink.write_at(&bytes, u64::from(block) * BLOCK)
    }

    fn body(&self, index: Index, inode: &Inode<'_, C>) -> Body {
        let own = &self.blocks[index];
        let extents = || IBlock::Extents(extent::root(own.data, own.count, own.extents()));
        let data = u64::from(own.count) * BLOCK;
        let (i_size, i_block) = match &inode.kind {
            Kind::Directory(_) => (data, extents()),
            Kind::Regular { size, .. } => (*size, extents()),
            Kind::Symlink(target) if inode::is_fast_symlink(target) => {
                (target.len() as u64, inode::fast_symlink(target))
            }
            Kind::Symlink(target) => (target.len() as u64, extents()),
            Kind::Char { major, minor } | Kind::Block { major, minor } => (0, inode::device(*major, *minor)),
            Kind::Fifo => (0, IBlock::Plain([0; 60])),
        };
        let i_links_count = match &inode.kind {
            Kind::Directory(names) => {
                let is_directory = |index: Index| matches!(self.inodes.all()[index].kind, Kind::Directory(_));
                let below = names.iter().filter(|(_, index)| is_directory(*index)).count();
                u32::try_from(below).map_or(u32::MAX, |below| below.saturating_add(2))
            }
            _ => inode.names,
        };
        let (i_blocks, i_file_acl) = (u64::from(own.total()), own.xattrs().unwrap_or(0));
        Body { file_type: inode::file_type(&inode.kind), i_size, i_blocks, i_links_count, i_block, i_file_acl }
    }

    /// Writes the blocks of `indexes` outside tables and contents.
    fn write_metadata(&self, sink: &dyn BlockSink, mut indexes: Range<Index>) -> io::Result<()> {
        let mut bytes = Vec::new();
        for index in indexes.clone() {
            let (own, inode) = (&self.blocks[index], &self.inodes.all()[index]);
            let checksum = self.checksum().of_inode(number(index));
            match &inode.kind {
                Kind::Directory(names) => {
                    let entries = names.iter().map(|(name, index)| directory::Entry {
                        inode: number(*index),
                        file_type: inode::file_type(&self.inodes.all()[*index].kind),
                        name,
                    });
                    directory::write(&mut bytes, number(index), number(inode.parent), entries, checksum);
                }
                Kind::Symlink(target) if own.count > 0 => {
                    bytes.extend_from_slice(target);
                    bytes.resize(bytes.len().next_multiple_of(BLOCK_SIZE), 0);
                }
                _ => {}
            }
            if let Some(block) = own.xattrs() {
                xattr::write_block(&mut bytes, block, inode.attributes.xattrs, self.checksum());
            }
            extent::leaf_blocks(&mut bytes, own.data, own.count, checksum);
        }
        match indexes.find_map(|index| self.blocks[index].metadata()) {
            Some(first) => sink.write_at(&bytes, u64::from(first) * BLOCK),
            None => Ok(()),
        }
    }
}
