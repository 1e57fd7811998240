//! The archive that Google Compute Engine imports: a gzip-compressed tar archive in GNU's old
//! format that contains `disk.raw`.
//!
//! Google's instructions make it with `tar --format=oldgnu -Sczf`: the file is stored as a GNU
//! sparse file, so holes of the disk and its padding take no space.
//!
//! The gzip file has one member, as gzip(1) writes it: some readers stop after the first member,
//! and Google does not document what its importer does. The deflate blocks are compressed in
//! parallel. Each stretch is compressed without references to the one before and ends at a byte
//! boundary (a sync flush), and the checksums are combined.

use super::block::{BlockSource, EncodeError};
use super::clusters::DEFLATE_LEVEL;
use super::ordered::in_order;
use flate2::{Compress, Compression, Crc, FlushCompress};
use std::io::{self, Write};
use std::ops::Range;
use tar::{EntryType, GnuExtSparseHeader, Header};

/// Google accepts only disks of whole gibibytes; a smaller disk is padded with zeros.
pub const ALIGNMENT: u64 = 1 << 30;
/// Holes start and end at multiples of this.
const HOLE: u64 = 4096;
/// The bytes compressed at a time, without references to earlier bytes. The value affects the
/// output bytes.
const STRETCH: u64 = 1 << 20;
const BLOCK: usize = 512;
/// tar(1) pads archives to whole records.
const RECORD: usize = 20 * BLOCK;
/// RFC 1952: deflate, no name, no time, made on Unix.
const GZIP_HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3];
/// An empty final deflate block.
const LAST_BLOCK: [u8; 2] = [3, 0];

/// The size of `disk.raw` for a disk of `size` bytes.
pub fn padded(size: u64) -> u64 {
    size.next_multiple_of(ALIGNMENT)
}

/// Writes `disk` for Compute Engine to `out` in up to `threads` threads; the bytes do not depend on
/// their number. `epoch` is the archived file's time in seconds since 1970. `made` is called with
/// the number of bytes of each finished part of the disk.
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

/// The ranges that the archive stores: `data`, widened to multiples of [`HOLE`] within the disk.
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

/// `range` in pieces of at most [`STRETCH`].
fn stretches(range: &Range<u64>) -> impl Iterator<Item = Range<u64>> + use<> {
    let end = range.end;
    let step = usize::try_from(STRETCH).unwrap_or(usize::MAX);
    (range.start..end).step_by(step).map(move |start| start..end.min(start + STRETCH))
}

/// The header of `disk.raw` and the extended sparse headers that its map needs: `tar(5)`, "GNU tar
/// archives".
fn tar_headers(map: &[Range<u64>], stored: u64, size: u64, epoch: u32) -> io::Result<Vec<u8>> {
    // As in GNU tar, the map's last entry is the end of the file.
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
    // tar(1) ends the checksum's six digits differently from all other numbers. kiln does the same,
    // because readers were written for tar(1)'s output.
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

/// A compressed stretch of the archive.
struct Stretch {
    /// Deflate blocks, up to a byte boundary.
    deflated: Vec<u8>,
    /// The checksum and the number of the uncompressed bytes.
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
        // Deflate adds five bytes to each block that does not shrink, and five for the flush.
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

/// The only member of a gzip file.
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
        // Modulo 2^32, as RFC 1952 specifies.
        self.out.write_all(&self.crc.amount().to_le_bytes())
    }
}
