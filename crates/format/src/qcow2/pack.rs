//! Allocates the clusters of a qcow2 file and counts the references to each.

use super::{CLUSTER, REFCOUNTS, big_endian, usize_of};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

const SIZE: u64 = CLUSTER as u64;

/// Allocates a file's clusters one after another. Compressed clusters are packed without gaps into
/// shared clusters.
pub(super) struct Packer<'a> {
    file: &'a File,
    /// The refcount of every allocated cluster.
    refcounts: Vec<u16>,
    /// Packed bytes that are not written yet: less than a cluster.
    open: Vec<u8>,
    /// Their offset, always the beginning of a cluster.
    open_at: u64,
}

impl<'a> Packer<'a> {
    /// Starts after the first `reserved` clusters of `file`.
    pub(super) fn new(file: &'a File, reserved: usize) -> Self {
        Self { file, refcounts: vec![1; reserved], open: Vec::new(), open_at: 0 }
    }

    /// The offset of the next cluster.
    fn end(&self) -> u64 {
        self.refcounts.len() as u64 * SIZE
    }

    /// Writes `bytes`, at most a cluster, to a separate cluster; returns its offset.
    pub(super) fn plain(&mut self, bytes: &[u8]) -> io::Result<u64> {
        let offset = self.end();
        self.file.write_all_at(bytes, offset)?;
        self.refcounts.push(1);
        Ok(offset)
    }

    /// Writes `bytes` of any length to separate clusters; returns the offset of the first.
    pub(super) fn table(&mut self, bytes: &[u8]) -> io::Result<u64> {
        let offset = self.end();
        bytes.chunks(CLUSTER).try_for_each(|chunk| self.plain(chunk).map(drop))?;
        Ok(offset)
    }

    /// Packs `bytes`, less than a cluster, after the others; returns their offset.
    pub(super) fn compressed(&mut self, bytes: &[u8]) -> io::Result<u64> {
        let overflows = self.open.len() + bytes.len() > CLUSTER;
        // What overflows continues in the next cluster, unless that is allocated.
        if self.open.is_empty() || overflows && self.end() != self.open_at + SIZE {
            self.close()?;
            self.open_at = self.end();
            self.refcounts.push(0);
        }
        if overflows && !self.open.is_empty() {
            self.refcounts.push(0);
        }
        let offset = self.open_at + self.open.len() as u64;
        self.open.extend_from_slice(bytes);
        let first = usize_of(offset / SIZE);
        let last = usize_of((offset + bytes.len() as u64 - 1) / SIZE);
        self.refcounts[first..=last].iter_mut().for_each(|count| *count += 1);
        if self.open.len() >= CLUSTER {
            let rest = self.open.split_off(CLUSTER);
            self.file.write_all_at(&self.open, self.open_at)?;
            self.open = rest;
            self.open_at += SIZE;
        }
        Ok(offset)
    }

    /// Writes the bytes packed so far.
    fn close(&mut self) -> io::Result<()> {
        self.file.write_all_at(&self.open, self.open_at)?;
        self.open.clear();
        Ok(())
    }

    /// Writes refcount blocks and their table after everything else; returns the offset of the
    /// table and its number of clusters.
    pub(super) fn finish(mut self) -> io::Result<(u64, u64)> {
        self.close()?;
        let (table, blocks) = refcount_clusters(self.refcounts.len() as u64);
        let first_block = self.end();
        let offset = first_block + blocks * SIZE;
        let entries: Vec<u64> = (0..blocks).map(|block| first_block + block * SIZE).collect();
        self.refcounts.extend(std::iter::repeat_n(1, usize_of(table + blocks)));
        self.file.write_all_at(&big_endian(&entries), offset)?;
        let counts: Vec<u8> = self.refcounts.iter().flat_map(|count| count.to_be_bytes()).collect();
        self.file.write_all_at(&counts, first_block)?;
        self.file.set_len(self.end())?;
        Ok((offset, table))
    }
}

/// The number of clusters of the refcount table and of refcount blocks in a file with `others`
/// other clusters. They count themselves, too.
fn refcount_clusters(others: u64) -> (u64, u64) {
    let (mut table, mut blocks) = (1, 1);
    loop {
        let needed = (others + table + blocks).div_ceil(REFCOUNTS);
        let found = ((needed * 8).div_ceil(SIZE), needed);
        if found == (table, blocks) {
            return found;
        }
        (table, blocks) = found;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refcount_blocks_count_themselves() {
        assert_eq!(refcount_clusters(1), (1, 1));
        assert_eq!(refcount_clusters(REFCOUNTS - 2), (1, 1));
        assert_eq!(refcount_clusters(REFCOUNTS - 1), (1, 2));
        assert_eq!(refcount_clusters(2 * REFCOUNTS - 3), (1, 2));
        assert_eq!(refcount_clusters(2 * REFCOUNTS - 2), (1, 3));
        let many = 8192 * REFCOUNTS;
        let (table, blocks) = refcount_clusters(many);
        assert_eq!(table, 2);
        assert!((many + table + blocks).div_ceil(REFCOUNTS) == blocks);
    }

    #[test]
    fn packed_bytes_continue_in_the_next_cluster_unless_it_is_allocated() {
        let file = tempfile::tempfile().expect("a file");
        let mut packer = Packer::new(&file, 1);
        let half = vec![7; CLUSTER / 2 + 1];
        assert_eq!(packer.compressed(&half).expect("packed"), SIZE);
        assert_eq!(packer.compressed(&half).expect("packed"), SIZE + SIZE / 2 + 1);
        assert_eq!(packer.refcounts, [1, 2, 1]);
        assert_eq!(packer.plain(&[9; CLUSTER]).expect("written"), 3 * SIZE);
        // Two bytes are in the second; this still fits, and the next does not.
        assert_eq!(packer.compressed(&half).expect("packed"), 2 * SIZE + 2);
        assert_eq!(packer.compressed(&half).expect("packed"), 4 * SIZE);
        assert_eq!(packer.refcounts, [1, 2, 2, 1, 1]);
        // Filled to the last byte.
        assert_eq!(packer.compressed(&half[2..]).expect("packed"), 4 * SIZE + SIZE / 2 + 1);
        assert_eq!(packer.compressed(&half).expect("packed"), 5 * SIZE);
        assert_eq!(packer.refcounts, [1, 2, 2, 1, 2, 1]);
        assert_eq!(packer.finish().expect("finished"), (7 * SIZE, 1));
        let mut bytes = vec![0; 8 * CLUSTER];
        file.read_exact_at(&mut bytes, 0).expect("written");
        assert!(bytes[3 * CLUSTER..4 * CLUSTER].iter().all(|byte| *byte == 9));
        assert!(bytes[CLUSTER..2 * CLUSTER + CLUSTER / 2].iter().all(|byte| *byte == 7));
        assert_eq!(bytes[6 * CLUSTER..][..18], [0, 1, 0, 2, 0, 2, 0, 1, 0, 2, 0, 1, 0, 1, 0, 1, 0, 0]);
    }
}
