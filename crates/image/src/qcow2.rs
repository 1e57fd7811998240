//! qcow2 (QEMU's docs/interop/qcow2.txt), versions 2 and 3, without backing file, snapshots or
//! encryption.

use super::ReadError;
use super::blocks::{Blocks, bytes, past_end, u32_be, u64_be};
use flate2::read::DeflateDecoder;
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::sync::{Arc, Mutex};

/// `QFI\xfb`.
pub const MAGIC: [u8; 4] = *b"QFI\xfb";
/// The cluster sizes that QEMU accepts, as powers of two.
const CLUSTER_BITS: std::ops::RangeInclusive<u32> = 9..=21;
/// The largest disk that is read, in bytes.
const MAX_SIZE: u64 = 1 << 44;
/// The largest L1 table in entries that QEMU allows.
const MAX_L1: u32 = 4 << 20;
/// Incompatible feature: the compression type is in the header.
const INCOMPAT_COMPRESSION: u64 = 1 << 3;
const COMPRESSED: u64 = 1 << 62;
const ZERO: u64 = 1;
const OFFSET: u64 = 0x00ff_ffff_ffff_fe00;
/// The largest window of a compressed cluster, as a binary logarithm: no cluster is larger than 2
/// MiB.
const MAX_WINDOW: u32 = 23;
/// The number of L2 tables and of decompressed clusters kept in memory.
const KEPT: usize = 16;

/// How clusters are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Compression {
    Zlib,
    Zstd,
}

/// A disk in a qcow2 file.
#[derive(Debug)]
pub struct Qcow2 {
    file: Arc<dyn Blocks>,
    size: u64,
    cluster_bits: u32,
    compression: Compression,
    l1: Vec<u64>,
    /// L2 tables and decompressed clusters by their offset in the file.
    kept: Mutex<BTreeMap<u64, Arc<Vec<u8>>>>,
}

impl Qcow2 {
    /// Opens the disk in `file`.
    ///
    /// # Errors
    /// [`ReadError::Damaged`].
    pub fn open(file: Arc<dyn Blocks>) -> Result<Self, ReadError> {
        let header = bytes(&*file, 0, file.size().min(112))?;
        let short = || ReadError::damaged("its qcow2 header is cut off");
        let long = |at| u32_be(&header, at).ok_or_else(short);
        let quad = |at| u64_be(&header, at).ok_or_else(short);
        let version = long(4)?;
        let incompatible = if version >= 3 { quad(72)? } else { 0 };
        let compression = match header.get(104) {
            Some(1) if incompatible & INCOMPAT_COMPRESSION != 0 => Compression::Zstd,
            _ => Compression::Zlib,
        };
        let (size, cluster_bits, l1_size) = (quad(24)?, long(20)?, long(36)?);
        let plain = quad(8)? == 0 && long(32)? == 0 && long(60)? == 0;
        if !header.starts_with(&MAGIC)
            || !(2..=3).contains(&version)
            || !plain
            || incompatible & !INCOMPAT_COMPRESSION != 0
        {
            return Err(ReadError::damaged("it is not a qcow2 file as kiln makes it: complete and not encrypted"));
        }
        if !CLUSTER_BITS.contains(&cluster_bits) || size > MAX_SIZE || l1_size > MAX_L1 {
            return Err(ReadError::damaged(format!(
                "it claims a disk of {size} bytes in clusters of 2^{cluster_bits} bytes"
            )));
        }
        let table = bytes(&*file, quad(40)?, u64::from(l1_size) * 8)?;
        let l1: Vec<u64> = table.chunks_exact(8).filter_map(|entry| u64_be(entry, 0)).collect();
        // Each L1 entry is a table of as many 8-byte entries as fit into a cluster.
        if (l1.len() as u64) < size.div_ceil(1 << (2 * cluster_bits - 3)) {
            return Err(ReadError::damaged("its L1 table is smaller than the disk"));
        }
        Ok(Self { file, size, cluster_bits, compression, l1, kept: Mutex::default() })
    }

    fn cluster_size(&self) -> u64 {
        1 << self.cluster_bits
    }

    /// The L2 entry of cluster number `number`.
    fn entry(&self, number: u64) -> io::Result<u64> {
        let entries = self.cluster_size() / 8;
        let index = usize::try_from(number / entries).map_err(|_| past_end())?;
        let table = self.l1.get(index).ok_or_else(past_end)? & OFFSET;
        if table == 0 {
            return Ok(0);
        }
        let table = self.keep(table, || bytes(&*self.file, table, self.cluster_size()))?;
        u64_be(&table, usize::try_from(number % entries * 8).map_err(|_| past_end())?).ok_or_else(past_end)
    }

    fn keep(&self, key: u64, make: impl FnOnce() -> io::Result<Vec<u8>>) -> io::Result<Arc<Vec<u8>>> {
        let poisoned = || io::Error::other("a reading thread panicked");
        if let Some(found) = self.kept.lock().map_err(|_| poisoned())?.get(&key) {
            return Ok(Arc::clone(found));
        }
        let made = Arc::new(make()?);
        let mut kept = self.kept.lock().map_err(|_| poisoned())?;
        while kept.len() >= KEPT {
            // Tables have the lower keys and are needed again.
            kept.pop_last();
        }
        kept.insert(key, Arc::clone(&made));
        Ok(made)
    }

    fn decompressed(&self, entry: u64) -> io::Result<Arc<Vec<u8>>> {
        self.keep(entry, || {
            let bits = 62 - (self.cluster_bits - 8);
            let offset = entry & ((1 << bits) - 1);
            let sectors = ((entry & !COMPRESSED & !(1 << 63)) >> bits) + 1;
            let end = (offset & !511).saturating_add(sectors * 512).min(self.file.size());
            let packed = bytes(&*self.file, offset, end.saturating_sub(offset))?;
            let mut cluster = vec![0; usize::try_from(self.cluster_size()).map_err(|_| past_end())?];
            match self.compression {
                Compression::Zlib => DeflateDecoder::new(packed.as_slice()).read_exact(&mut cluster)?,
                Compression::Zstd => {
                    let mut decoder = zstd::Decoder::new(packed.as_slice())?.single_frame();
                    decoder.window_log_max(MAX_WINDOW)?;
                    decoder.read_exact(&mut cluster)?;
                }
            }
            Ok(cluster)
        })
    }
}

impl Blocks for Qcow2 {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        if offset.checked_add(buffer.len() as u64).is_none_or(|end| end > self.size) {
            return Err(past_end());
        }
        let (mut at, mut rest) = (offset, buffer);
        while !rest.is_empty() {
            let within = at % self.cluster_size();
            let count = usize::try_from(self.cluster_size() - within).map_or(rest.len(), |count| count.min(rest.len()));
            let (part, next) = rest.split_at_mut(count);
            let entry = self.entry(at / self.cluster_size())?;
            if entry & COMPRESSED != 0 {
                let start = usize::try_from(within).map_err(|_| past_end())?;
                part.copy_from_slice(&self.decompressed(entry)?[start..start + count]);
            } else if entry & ZERO != 0 || entry & OFFSET == 0 {
                part.fill(0);
            } else {
                // A file may end within its last cluster.
                let from = (entry & OFFSET) + within;
                let there =
                    usize::try_from(self.file.size().saturating_sub(from)).map_or(count, |there| there.min(count));
                self.file.read_at(&mut part[..there], from)?;
                part[there..].fill(0);
            }
            at += count as u64;
            rest = next;
        }
        Ok(())
    }
}
