//! Disks and parts of them read once, for their digest and a copy, without reading what is not there.

use crate::format::block::BlockSource;
use crate::tree::Digest;
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::mpsc::{Sender, channel};

/// What is read, and hashed, at once.
const CHUNK: u64 = 1 << 20;

/// How far a disk is written that is written from its first byte to its last. When it is dropped, all is there.
#[derive(Debug)]
pub struct Front(Sender<u64>);

impl Front {
    /// Says that everything before byte `offset` is there.
    pub fn reached(&self, offset: u64) {
        // Nobody listens after a failure, which `digest_during` returns.
        let _ = self.0.send(offset);
    }
}

/// Does `work`, which begins with writing `disk`, and takes the SHA-256 of all bytes of `disk` beside it: each when `work` says that it is there.
///
/// The digest is one pass from the first byte to the last, which no second thread can share, and takes longer than all the rest.
///
/// # Errors
/// When the disk cannot be read.
pub fn digest_during<T>(disk: &dyn BlockSource, work: impl FnOnce(Front) -> T) -> (io::Result<Digest>, T) {
    let (sender, front) = channel();
    let mut reached = 0;
    let mut read = move |buffer: &mut [u8], offset: u64| {
        while reached < offset + buffer.len() as u64 {
            reached = front.recv().unwrap_or(u64::MAX);
        }
        disk.read_at(buffer, offset)
    };
    std::thread::scope(|scope| {
        let digest = scope.spawn(move || pass(disk, &(0..disk.size()), &mut read, &mut |_, _| Ok(())));
        let done = work(Front(sender));
        let died = |_| Err(io::Error::other("a thread died; this is a bug in kiln"));
        (digest.join().unwrap_or_else(died), done)
    })
}

/// Copies the part `range` of `disk` to the empty file `file`, sparse; its SHA-256.
///
/// # Errors
/// When the disk cannot be read, or the file not written.
pub fn extract(disk: &dyn BlockSource, range: &Range<u64>, file: &File) -> io::Result<Digest> {
    file.set_len(range.end - range.start)?;
    pass(disk, range, &mut |buffer, offset| disk.read_at(buffer, offset), &mut |offset, bytes| match offset {
        Some(offset) => file.write_all_at(bytes, offset),
        None => Ok(()),
    })
}

/// Reads the bytes of a disk at an offset.
type Read<'a> = dyn FnMut(&mut [u8], u64) -> io::Result<()> + 'a;
/// Sees the bytes of a disk as they pass.
type Visit<'a> = dyn FnMut(Option<u64>, &[u8]) -> io::Result<()> + 'a;

/// SHA-256 of the bytes of `disk` in `range`, which `read` gives; `visit` sees them in order, each piece of data with its offset in the range, and zeros that
/// were not read without one.
fn pass(disk: &dyn BlockSource, range: &Range<u64>, read: &mut Read<'_>, visit: &mut Visit<'_>) -> io::Result<Digest> {
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
            read(&mut buffer[..size], at)?;
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
        let (disk, _, bytes) = disk_in_file();
        (disk, bytes)
    }

    fn disk_in_file() -> (RawFile, File, Vec<u8>) {
        let file = tempfile::tempfile().expect("a file");
        let same = file.try_clone().expect("the same file");
        let mut bytes = vec![0_u8; (5 << 20) + 512];
        for (at, byte) in [(0, 1), (513, 2), ((3 << 20) - 1, 3), ((5 << 20) + 511, 4)] {
            bytes[at] = byte;
        }
        file.write_all_at(&bytes, 0).expect("written");
        // A hole is zero whatever the file says.
        file.write_all_at(&[9], 4 << 20).expect("written");
        let size = bytes.len() as u64;
        (RawFile::new(file, size, vec![0..1024, (3 << 20) - 4096..3 << 20, 5 << 20..size]), same, bytes)
    }

    #[test]
    fn holes_count_as_zeros_and_are_not_read() {
        let (disk, bytes) = disk();
        assert_eq!(digest_during(&disk, drop).0.expect("read"), Digest::of(&bytes));
    }

    #[test]
    fn nothing_is_read_before_it_is_there() {
        let (disk, file, bytes) = disk_in_file();
        let late = (3 << 20) - 4096;
        file.write_all_at(&[0; 4096], late).expect("written");
        let (digest, ()) = digest_during(&disk, |front| {
            front.reached(late);
            std::thread::sleep(std::time::Duration::from_millis(50));
            file.write_all_at(&bytes[late as usize..][..4096], late).expect("written");
            front.reached(disk.size());
        });
        assert_eq!(digest.expect("read"), Digest::of(&bytes));
    }

    #[test]
    fn a_disk_that_cannot_be_read_is_an_error() {
        let disk = RawFile::new(tempfile::tempfile().expect("a file"), 512, vec![0..512]);
        let (digest, done) = digest_during(&disk, |front| front.reached(512));
        assert_eq!((digest.expect_err("nothing to read").kind(), done), (io::ErrorKind::UnexpectedEof, ()));
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
