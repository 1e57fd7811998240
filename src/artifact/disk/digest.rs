//! Disks and parts of them read once, for their digest and a copy, without reading what is not there.

use crate::format::block::BlockSource;
use crate::tree::Digest;
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

/// What is read, and hashed, at once.
const CHUNK: u64 = 1 << 20;

/// SHA-256 of all bytes of `disk`.
///
/// # Errors
/// When the disk cannot be read.
pub fn digest(disk: &dyn BlockSource) -> io::Result<Digest> {
    pass(disk, &(0..disk.size()), &mut |_, _| Ok(()))
}

/// Copies the part `range` of `disk` to the empty file `file`, sparse; its SHA-256.
///
/// # Errors
/// When the disk cannot be read, or the file not written.
pub fn extract(disk: &dyn BlockSource, range: &Range<u64>, file: &File) -> io::Result<Digest> {
    file.set_len(range.end - range.start)?;
    pass(disk, range, &mut |offset, bytes| match offset {
        Some(offset) => file.write_all_at(bytes, offset),
        None => Ok(()),
    })
}

/// Sees the bytes of a disk as they pass.
type Visit<'a> = dyn FnMut(Option<u64>, &[u8]) -> io::Result<()> + 'a;

/// SHA-256 of the bytes of `disk` in `range`; `visit` sees them in order, each piece of data with its offset in the range, and zeros that
/// were not read without one.
fn pass(disk: &dyn BlockSource, range: &Range<u64>, visit: &mut Visit<'_>) -> io::Result<Digest> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; CHUNK as usize];
    let zeros = vec![0; CHUNK as usize];
    let mut at = range.start;
    let end = range.end..range.end;
    for data in disk.data().iter().chain([&end]) {
        let data = data.start.clamp(range.start, range.end)..data.end.clamp(range.start, range.end);
        for size in chunks(at..data.start) {
            hasher.update(&zeros[..size]);
            visit(None, &zeros[..size])?;
        }
        at = at.max(data.start);
        for size in chunks(data) {
            disk.read_at(&mut buffer[..size], at)?;
            hasher.update(&buffer[..size]);
            visit(Some(at - range.start), &buffer[..size])?;
            at += size as u64;
        }
    }
    Ok(Digest::finish(hasher))
}

/// The sizes of the pieces in which `range` is gone through.
fn chunks(range: Range<u64>) -> impl Iterator<Item = usize> {
    let size = range.end.saturating_sub(range.start);
    // No chunk exceeds CHUNK, so every size fits.
    (0..size.div_ceil(CHUNK)).map(move |index| usize::try_from((size - index * CHUNK).min(CHUNK)).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::block::RawFile;

    fn disk() -> (RawFile, Vec<u8>) {
        let file = tempfile::tempfile().expect("a file");
        let mut bytes = vec![0_u8; (5 << 20) + 512];
        for (at, byte) in [(0, 1), (513, 2), ((3 << 20) - 1, 3), ((5 << 20) + 511, 4)] {
            bytes[at] = byte;
        }
        file.write_all_at(&bytes, 0).expect("written");
        // A hole is zero whatever the file says.
        file.write_all_at(&[9], 4 << 20).expect("written");
        let size = bytes.len() as u64;
        (RawFile::new(file, size, vec![0..1024, (3 << 20) - 4096..3 << 20, 5 << 20..size]), bytes)
    }

    #[test]
    fn holes_count_as_zeros_and_are_not_read() {
        let (disk, bytes) = disk();
        assert_eq!(digest(&disk).expect("read"), Digest::of(&bytes));
    }

    #[test]
    fn parts_are_copied_with_their_holes() {
        let (disk, bytes) = disk();
        for range in [0..512_usize, 512..3 << 20, (3 << 20) - 1..5 << 20, 600..600, 4 << 20..bytes.len()] {
            let file = tempfile::tempfile().expect("a file");
            let part = range.start as u64..range.end as u64;
            let digest = extract(&disk, &part, &file).expect("copied");
            let mut copy = vec![0; range.len()];
            file.read_exact_at(&mut copy, 0).expect("its full size");
            assert!(copy == bytes[range.clone()], "{range:?}");
            assert_eq!((digest, file.metadata().expect("a size").len()), (Digest::of(&copy), range.len() as u64));
        }
    }
}
