//! What Google Compute Engine imports: a gzip-compressed tar archive of GNU's old format that holds `disk.raw`.
//!
//! Google's instructions make it with `tar --format=oldgnu -Sczf`: the file is stored as a GNU sparse file, so the holes of the
//! disk and what it is filled up with cost nothing.
//!
//! The gzip file has one member, as gzip(1) makes it: readers that stop after the first of several exist, and Google does
//! not say what its importer does. Its deflate blocks are compressed side by side, each stretch without looking back at the one
//! before and ended at a byte boundary (a sync flush), and their checksums are combined.

use super::block::{BlockSource, EncodeError};
use super::clusters::DEFLATE_LEVEL;
use super::ordered::in_order;
use flate2::{Compress, Compression, Crc, FlushCompress};
use std::io::{self, Write};
use std::ops::Range;
use tar::{EntryType, GnuExtSparseHeader, Header};

/// Google takes disks of whole gibibytes only; smaller ends are filled up with zeros.
pub const ALIGNMENT: u64 = 1 << 30;
/// Holes begin and end at multiples of this.
const HOLE: u64 = 4096;
/// What is compressed at a time, without looking back at what was before. Changes the bytes.
const STRETCH: u64 = 1 << 20;
const BLOCK: usize = 512;
/// tar(1) writes archives of whole records.
const RECORD: usize = 20 * BLOCK;
/// RFC 1952: deflate, no name, no time, made on Unix.
const GZIP_HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3];
/// A last block of deflate, with nothing in it.
const LAST_BLOCK: [u8; 2] = [3, 0];

/// The size of `disk.raw` for a disk of `size` bytes.
pub fn padded(size: u64) -> u64 {
    size.next_multiple_of(ALIGNMENT)
}

/// Writes `disk` for Compute Engine to `out`, in up to `threads` threads, on whose number the bytes do not depend. `epoch` is the
/// archived file's time in seconds since 1970. `made` is called with the bytes of each part of the disk that is done.
///
/// # Errors
/// [`EncodeError`].
pub fn write(
    disk: &dyn BlockSource,
    epoch: u32,
    out: &mut dyn Write,
    threads: usize,
    made: &(dyn Fn(u64) + Sync),
) -> Result<(), EncodeError> {
    let map = sparse_map(disk.data(), disk.size());
    let stretches: Vec<Range<u64>> = map.iter().flat_map(stretches).collect();
    let stored: u64 = map.iter().map(|range| range.end - range.start).sum();
    let headers = tar_headers(&map, stored, padded(disk.size()), epoch)?;
    let archived = headers.len() as u64 + stored;
    let end = vec![0; 2 * BLOCK];
    let records = (archived + end.len() as u64).next_multiple_of(RECORD as u64);
    let end = [end, vec![0; usize::try_from(records - archived).unwrap_or(RECORD) - 2 * BLOCK]].concat();

    let mut gzip = Gzip { out, crc: Crc::new() };
    gzip.out.write_all(&GZIP_HEADER)?;
    let mut deflate = Deflate::new();
    gzip.add(&deflate.stretch(&headers)?)?;
    let worker = || {
        let mut deflate = Deflate::new();
        let mut buffer = Vec::new();
        let stretches = &stretches;
        Ok(move |job: usize| {
            let Range { start: offset, end } = stretches[job];
            buffer.resize(usize::try_from(end - offset).map_err(io::Error::other)?, 0);
            disk.read_at(&mut buffer, offset).map_err(|source| EncodeError::Read { offset, source })?;
            made(end - offset);
            deflate.stretch(&buffer)
        })
    };
    in_order(stretches.len(), threads, worker, |stretch| Ok(gzip.add(&stretch)?))?;
    gzip.add(&deflate.stretch(&end)?)?;
    gzip.finish()?;
    Ok(())
}

/// Where the archive has data: `data`, widened to multiples of [`HOLE`] within the disk.
fn sparse_map(data: &[Range<u64>], size: u64) -> Vec<Range<u64>> {
    let mut map: Vec<Range<u64>> = Vec::new();
    for range in data {
        let (start, end) = (range.start / HOLE * HOLE, range.end.next_multiple_of(HOLE).min(size));
        match map.last_mut() {
            Some(last) if start <= last.end => last.end = last.end.max(end),
            _ => map.push(start..end),
        }
    }
    map
}

/// `range` in pieces of [`STRETCH`] at most.
fn stretches(range: &Range<u64>) -> impl Iterator<Item = Range<u64>> + use<> {
    let end = range.end;
    let step = usize::try_from(STRETCH).unwrap_or(usize::MAX);
    (range.start..end).step_by(step).map(move |start| start..end.min(start + STRETCH))
}

/// The header of `disk.raw` and as many extended sparse headers as its map needs: `tar(5)`, "GNU tar archives".
fn tar_headers(map: &[Range<u64>], stored: u64, size: u64, epoch: u32) -> io::Result<Vec<u8>> {
    // As GNU tar does it, the map ends with where the file does.
    let mut entries = map.iter().map(|range| (range.start, range.end - range.start)).chain([(size, 0)]).peekable();
    let mut header = Header::new_gnu();
    header.set_path("disk.raw")?;
    header.set_entry_type(EntryType::GNUSparse);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_username("root")?;
    header.set_groupname("root")?;
    header.set_mtime(epoch.into());
    header.set_size(stored);
    if let Some(gnu) = header.as_gnu_mut() {
        gnu.set_real_size(size);
        for (sparse, (offset, length)) in gnu.sparse.iter_mut().zip(&mut entries) {
            sparse.set_offset(offset);
            sparse.set_length(length);
        }
        gnu.set_is_extended(entries.peek().is_some());
    }
    header.set_cksum();
    // tar(1) ends the checksum's six digits in another way than all other numbers; so do we, for what was written to read tar(1)'s.
    let checksum = format!("{:06o}\0 ", header.cksum()?);
    header.as_old_mut().cksum.copy_from_slice(checksum.as_bytes());
    let mut bytes = header.as_bytes().to_vec();
    while entries.peek().is_some() {
        let mut extended = GnuExtSparseHeader::new();
        for (sparse, (offset, length)) in extended.sparse.iter_mut().zip(&mut entries) {
            sparse.set_offset(offset);
            sparse.set_length(length);
        }
        extended.set_is_extended(entries.peek().is_some());
        bytes.extend(extended.as_bytes());
    }
    Ok(bytes)
}

/// A stretch of the archive, compressed.
struct Stretch {
    /// Deflate blocks, up to a byte boundary.
    deflated: Vec<u8>,
    /// Checksum and number of the bytes in them.
    crc: Crc,
}

/// A compressor of stretches.
struct Deflate {
    compressor: Compress,
    buffer: Vec<u8>,
}

impl Deflate {
    fn new() -> Self {
        Self { compressor: Compress::new(Compression::new(DEFLATE_LEVEL), false), buffer: Vec::new() }
    }

    fn stretch(&mut self, bytes: &[u8]) -> Result<Stretch, EncodeError> {
        // Deflate adds five bytes to each block that does not shrink, and five to flush.
        self.buffer.resize(bytes.len() + bytes.len() / 16 + 64, 0);
        self.compressor.reset();
        let failed = |error| EncodeError::Compress(io::Error::other(error));
        self.compressor.compress(bytes, &mut self.buffer, FlushCompress::Sync).map_err(failed)?;
        let len = usize::try_from(self.compressor.total_out()).unwrap_or(usize::MAX);
        if self.compressor.total_in() != bytes.len() as u64 || len >= self.buffer.len() {
            return Err(EncodeError::Compress(io::ErrorKind::WriteZero.into()));
        }
        let mut crc = Crc::new();
        crc.update(bytes);
        Ok(Stretch { deflated: self.buffer[..len].to_vec(), crc })
    }
}

/// The one member of a gzip file.
struct Gzip<'a> {
    out: &'a mut dyn Write,
    crc: Crc,
}

impl Gzip<'_> {
    fn add(&mut self, stretch: &Stretch) -> io::Result<()> {
        self.crc.combine(&stretch.crc);
        self.out.write_all(&stretch.deflated)
    }

    fn finish(self) -> io::Result<()> {
        self.out.write_all(&LAST_BLOCK)?;
        self.out.write_all(&self.crc.sum().to_le_bytes())?;
        // Modulo 2^32, as RFC 1952 has it.
        self.out.write_all(&self.crc.amount().to_le_bytes())
    }
}
