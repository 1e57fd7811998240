//! Stream-optimized VMDK (VMware's "Virtual Disk Format 5.0").

use super::ReadError;
use super::blocks::{Blocks, bytes, past_end, u32_le, u64_le};
use flate2::read::ZlibDecoder;
use std::io::{self, Read};
use std::sync::{Arc, Mutex};

/// `KDMV`.
pub const MAGIC: [u8; 4] = *b"KDMV";
const SECTOR: u64 = 512;
/// The offset of the footer from the end: the footer and the end-of-stream marker are one sector
/// each.
const FOOTER: u64 = 1024;
/// The `gdOffset` that refers to the footer.
const GD_AT_END: u64 = u64::MAX;
/// The largest disk that is read, in sectors.
const MAX_SECTORS: u64 = 1 << 35;
/// The most grains: a terabyte in grains of 64 KiB.
const MAX_GRAINS: u64 = 1 << 24;
/// The largest grain in sectors.
const MAX_GRAIN: u64 = 2048;

/// A disk in a VMDK file.
#[derive(Debug)]
pub struct Vmdk {
    file: Arc<dyn Blocks>,
    capacity: u64,
    grain: u64,
    /// The first sector of each grain's marker; 0 means that the grain is zero.
    grains: Vec<u32>,
    /// The grain read last.
    last: Mutex<Option<(usize, Arc<Vec<u8>>)>>,
}

impl Vmdk {
    /// Opens the disk in `file`.
    ///
    /// # Errors
    /// [`ReadError::Damaged`].
    pub fn open(file: Arc<dyn Blocks>) -> Result<Self, ReadError> {
        let damaged = || ReadError::damaged("it is not a stream-optimized VMDK file");
        let mut header = bytes(&*file, 0, SECTOR)?;
        if u64_le(&header, 56) == Some(GD_AT_END) {
            header = bytes(&*file, file.size().checked_sub(FOOTER).ok_or_else(damaged)?, SECTOR)?;
        }
        let quad = |at| u64_le(&header, at).ok_or_else(damaged);
        let (capacity, grain, directory) = (quad(12)?, quad(20)?, quad(56)?);
        let entries = u64::from(u32_le(&header, 44).ok_or_else(damaged)?);
        // compressAlgorithm 1 is deflate.
        let plausible = header.starts_with(&MAGIC) && header[77] == 1 && (1..=MAX_SECTORS).contains(&capacity);
        if !plausible || !(8..=MAX_GRAIN).contains(&grain) || !(1..=4096).contains(&entries) {
            return Err(damaged());
        }
        let count = capacity.div_ceil(grain);
        if count > MAX_GRAINS {
            return Err(ReadError::damaged(format!("it claims a disk of {count} grains")));
        }
        let tables = bytes(&*file, directory.saturating_mul(SECTOR), count.div_ceil(entries) * 4)?;
        let mut grains = Vec::new();
        for table in tables.chunks_exact(4).filter_map(|entry| u32_le(entry, 0)) {
            let left = entries.min(count - grains.len() as u64);
            if table == 0 {
                grains.resize(grains.len() + usize::try_from(left).map_err(|_| damaged())?, 0);
            } else {
                let table = bytes(&*file, u64::from(table) * SECTOR, left * 4)?;
                grains.extend(table.chunks_exact(4).filter_map(|entry| u32_le(entry, 0)));
            }
        }
        Ok(Self { file, capacity: capacity * SECTOR, grain: grain * SECTOR, grains, last: Mutex::default() })
    }

    fn read_grain(&self, number: usize) -> io::Result<Option<Arc<Vec<u8>>>> {
        let sector = u64::from(*self.grains.get(number).ok_or_else(past_end)?);
        if sector == 0 {
            return Ok(None);
        }
        let poisoned = |_| io::Error::other("a reading thread panicked");
        if let Ok(Some((known, grain))) = self.last.lock().as_deref()
            && *known == number
        {
            return Ok(Some(Arc::clone(grain)));
        }
        let invalid = || io::Error::new(io::ErrorKind::InvalidData, format!("grain {number} has a wrong marker"));
        // The marker: the grain's first sector on the disk, and the number of bytes that follow.
        let marker = bytes(&*self.file, sector * SECTOR, 12)?;
        let size = u64::from(u32_le(&marker, 8).ok_or_else(invalid)?);
        if u64_le(&marker, 0) != Some(number as u64 * self.grain / SECTOR) || size > 2 * self.grain {
            return Err(invalid());
        }
        let packed = bytes(&*self.file, sector * SECTOR + 12, size)?;
        let mut grain = Vec::new();
        ZlibDecoder::new(packed.as_slice()).take(self.grain).read_to_end(&mut grain)?;
        // The last grain may be shorter and end with the disk.
        grain.resize(usize::try_from(self.grain).map_err(|_| past_end())?, 0);
        let grain = Arc::new(grain);
        *self.last.lock().map_err(poisoned)? = Some((number, Arc::clone(&grain)));
        Ok(Some(grain))
    }
}

impl Blocks for Vmdk {
    fn size(&self) -> u64 {
        self.capacity
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        if offset.checked_add(buffer.len() as u64).is_none_or(|end| end > self.capacity) {
            return Err(past_end());
        }
        let (mut at, mut rest) = (offset, buffer);
        while !rest.is_empty() {
            let start = usize::try_from(at % self.grain).map_err(|_| past_end())?;
            let count = usize::try_from(self.grain - at % self.grain).map_or(rest.len(), |count| count.min(rest.len()));
            let (part, next) = rest.split_at_mut(count);
            match self.read_grain(usize::try_from(at / self.grain).map_err(|_| past_end())?)? {
                Some(grain) => part.copy_from_slice(&grain[start..start + count]),
                None => part.fill(0),
            }
            at += count as u64;
            rest = next;
        }
        Ok(())
    }
}
