//! qcow2 version 3 with compressed clusters, as described in QEMU's `docs/interop/qcow2.txt`.
//!
//! The file consists of header, compressed and plain clusters, L2 tables, L1 table, refcount blocks
//! and refcount table. Zeros take no space: without a backing file, unallocated clusters read as
//! zeros.

mod pack;

use super::block::{BlockSource, EncodeError};
use super::clusters::{self, CLUSTER, DEFLATE_LEVEL};
use flate2::{Compress, FlushCompress, Status};
use pack::Packer;
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use zstd::bulk::Compressor;

/// `cluster_bits`: clusters of 64 KiB.
const CLUSTER_BITS: u32 = CLUSTER.trailing_zeros();
/// The number of entries of an L2 table, which fills a cluster.
const L2_ENTRIES: u64 = CLUSTER as u64 / 8;
/// `refcount_order`: refcounts of 16 bits.
const REFCOUNT_ORDER: u32 = 4;
/// The number of refcounts in a refcount block, which fills a cluster.
const REFCOUNTS: u64 = CLUSTER as u64 / 2;
/// `header_length`: all fields up to and including `compression_type`.
const HEADER_LENGTH: u32 = 112;
/// Incompatible feature: `compression_type` is not 0.
const COMPRESSION_TYPE: u64 = 1 << 3;
/// `QCOW_OFLAG_COPIED`: the cluster's refcount is exactly one.
const COPIED: u64 = 1 << 63;
/// `QCOW_OFLAG_COMPRESSED`: the rest of an L2 entry is a compressed cluster descriptor.
const COMPRESSED: u64 = 1 << 62;
/// The bit offset of the number of additional sectors in a compressed cluster descriptor.
const SECTORS_SHIFT: u32 = 62 - (CLUSTER_BITS - 8);
/// The most L1 entries that QEMU accepts: a table of 32 MiB.
const MAX_SIZE: u64 = (32 << 20) / 8 * L2_ENTRIES * CLUSTER as u64;
/// The default of zstd and of QEMU.
const ZSTD_LEVEL: i32 = 3;

/// How clusters are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Read by QEMU since 5.1.
    Zstd,
    /// Raw deflate, which everything that reads qcow2 can read. The file is larger and slower to
    /// write.
    Zlib,
}

/// A cluster as stored in the file.
enum Cluster {
    Compressed(Vec<u8>),
    /// Uncompressed, because compression would not make it smaller.
    Plain(Vec<u8>),
}

impl Cluster {
    fn new(plain: &[u8], compressed: &[u8]) -> Self {
        if compressed.len() < CLUSTER { Self::Compressed(compressed.to_vec()) } else { Self::Plain(plain.to_vec()) }
    }
}

/// Writes `disk` as qcow2 to `out`, an empty file, in up to `threads` threads; the bytes do not
/// depend on their number. `made` is called with the number of bytes of each finished part of the
/// disk.
///
/// # Errors
/// [`EncodeError`].
pub fn write(
    disk: &dyn BlockSource,
    compression: Compression,
    out: &File,
    threads: usize,
    made: &(dyn Fn(u64) + Sync),
) -> Result<(), EncodeError> {
    let size = disk.size();
    if size > MAX_SIZE {
        return Err(EncodeError::TooLarge { size, format: "qcow2", limit: MAX_SIZE });
    }
    // The first cluster holds the header.
    let mut packer = Packer::new(out, 1);
    let mut tables = BTreeMap::new();
    let mut take = |number, cluster| {
        let table = tables.entry(number / L2_ENTRIES).or_insert_with(|| vec![0_u64; CLUSTER / 8]);
        table[usize_of(number % L2_ENTRIES)] = match cluster {
            Cluster::Plain(bytes) => packer.plain(&bytes)? | COPIED,
            Cluster::Compressed(bytes) => descriptor(packer.compressed(&bytes)?, bytes.len() as u64),
        };
        Ok(())
    };
    match compression {
        Compression::Zstd => clusters::compress(disk, threads, made, zstd, &mut take)?,
        Compression::Zlib => clusters::compress(disk, threads, made, || Ok(zlib()), &mut take)?,
    }

    let mut l1 = vec![0; usize_of(size.div_ceil(CLUSTER as u64).div_ceil(L2_ENTRIES))];
    for (number, table) in &tables {
        l1[usize_of(*number)] = packer.plain(&big_endian(table))? | COPIED;
    }
    let l1_offset = packer.table(&big_endian(&l1))?;
    let (refcount_offset, refcount_clusters) = packer.finish()?;
    let header = Header { size, compression, l1_size: l1.len(), l1_offset, refcount_offset, refcount_clusters };
    out.write_all_at(&header.bytes()?, 0)?;
    Ok(())
}

/// Compresses a cluster to a zstd frame without a checksum: QEMU treats a frame as incomplete while
/// its end is unread.
fn zstd() -> io::Result<impl FnMut(&[u8]) -> io::Result<Cluster>> {
    let mut compressor = Compressor::new(ZSTD_LEVEL)?;
    let mut buffer = vec![0; zstd::zstd_safe::compress_bound(CLUSTER)];
    Ok(move |plain: &[u8]| {
        let len = compressor.compress_to_buffer(plain, &mut buffer)?;
        Ok(Cluster::new(plain, &buffer[..len]))
    })
}

/// Compresses a cluster to raw deflate, or finds that the result does not fit a cluster.
fn zlib() -> impl FnMut(&[u8]) -> io::Result<Cluster> {
    let mut compressor = Compress::new(flate2::Compression::new(DEFLATE_LEVEL), false);
    let mut buffer = vec![0; CLUSTER];
    move |plain: &[u8]| {
        compressor.reset();
        let status = compressor.compress(plain, &mut buffer, FlushCompress::Finish).map_err(io::Error::other)?;
        let len = if status == Status::StreamEnd { usize_of(compressor.total_out()) } else { CLUSTER };
        Ok(Cluster::new(plain, &buffer[..len]))
    }
}

/// The L2 entry of a compressed cluster of `len` bytes at `offset`: the offset, and the number of
/// sectors of 512 bytes that it touches beyond the first.
fn descriptor(offset: u64, len: u64) -> u64 {
    let additional = (offset + len - 1) / 512 - offset / 512;
    COMPRESSED | additional << SECTORS_SHIFT | offset
}

/// The header fields that differ between files.
struct Header {
    size: u64,
    compression: Compression,
    l1_size: usize,
    l1_offset: u64,
    refcount_offset: u64,
    refcount_clusters: u64,
}

impl Header {
    fn bytes(&self) -> io::Result<Vec<u8>> {
        let narrow = |number: u64| u32::try_from(number).map_err(io::Error::other);
        let (compression_type, incompatible_features) = match self.compression {
            Compression::Zlib => (0, 0),
            Compression::Zstd => (1, COMPRESSION_TYPE),
        };
        let mut bytes = Vec::new();
        bytes.extend(b"QFI\xfb");
        bytes.extend(3_u32.to_be_bytes()); // version
        bytes.extend(0_u64.to_be_bytes()); // backing_file_offset
        bytes.extend(0_u32.to_be_bytes()); // backing_file_size
        bytes.extend(CLUSTER_BITS.to_be_bytes());
        bytes.extend(self.size.to_be_bytes());
        bytes.extend(0_u32.to_be_bytes()); // crypt_method
        bytes.extend(narrow(self.l1_size as u64)?.to_be_bytes());
        bytes.extend(self.l1_offset.to_be_bytes());
        bytes.extend(self.refcount_offset.to_be_bytes());
        bytes.extend(narrow(self.refcount_clusters)?.to_be_bytes());
        bytes.extend(0_u32.to_be_bytes()); // nb_snapshots
        bytes.extend(0_u64.to_be_bytes()); // snapshots_offset
        bytes.extend(incompatible_features.to_be_bytes());
        bytes.extend(0_u64.to_be_bytes()); // compatible_features
        bytes.extend(0_u64.to_be_bytes()); // autoclear_features
        bytes.extend(REFCOUNT_ORDER.to_be_bytes());
        bytes.extend(HEADER_LENGTH.to_be_bytes());
        bytes.extend([compression_type, 0, 0, 0, 0, 0, 0, 0]);
        // The end of the header extensions, which are empty.
        bytes.extend(0_u64.to_be_bytes());
        bytes.resize(CLUSTER, 0);
        Ok(bytes)
    }
}

fn big_endian(table: &[u64]) -> Vec<u8> {
    table.iter().flat_map(|entry| entry.to_be_bytes()).collect()
}

/// Converts a number that counts items in memory.
fn usize_of(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_count_sectors_beyond_the_first() {
        let sectors = |offset, len| (descriptor(offset, len) & !COMPRESSED) >> SECTORS_SHIFT;
        assert_eq!(sectors(65536, 1), 0);
        assert_eq!(sectors(65536, 512), 0);
        assert_eq!(sectors(65536, 513), 1);
        assert_eq!(sectors(65536 + 511, 2), 1);
        assert_eq!(sectors(65536 + 511, 65535), 128);
        assert_eq!(descriptor(0x12345, 10) & ((1 << SECTORS_SHIFT) - 1), 0x12345);
    }

    #[test]
    fn a_disk_larger_than_qemu_accepts_is_rejected() {
        struct Huge;
        impl BlockSource for Huge {
            fn size(&self) -> u64 {
                MAX_SIZE + 512
            }
            fn data(&self) -> &[std::ops::Range<u64>] {
                &[]
            }
            fn read_at(&self, _: &mut [u8], _: u64) -> io::Result<()> {
                Ok(())
            }
        }
        let out = tempfile::tempfile().expect("a file");
        let error = write(&Huge, Compression::Zstd, &out, 1, &|_| ()).expect_err("too large");
        assert_eq!(
            error.to_string(),
            "a disk of 2251799813685760 bytes is too large for qcow2, which holds at most 2251799813685248 bytes: make it smaller"
        );
    }
}
