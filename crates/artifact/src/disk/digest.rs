//! Reads disks and parts of them once, for a digest and a copy, and skips holes.

use kiln_format::block::BlockSource;
use kiln_tree::Digest;
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};

/// The number of bytes read and hashed at a time.
const CHUNK: usize = 256 << 10;
/// The number of pieces that are read ahead of the hasher.
const AHEAD: usize = 2;
static ZEROS: [u8; CHUNK] = [0; CHUNK];

/// Reports how far a disk is written that is written sequentially. When it is dropped, the disk is
/// complete.
#[derive(Debug)]
pub struct Front(Sender<u64>);

impl Front {
    /// Reports that everything before byte `offset` is written.
    pub fn reached(&self, offset: u64) {
        // After a failure, which `digest_during` returns, nothing receives this.
        let _ = self.0.send(offset);
    }
}

/// Runs `work`, which starts by writing `disk`, and computes the SHA-256 of all bytes of `disk` in
/// parallel: each byte is hashed when `work` has reported that it is written.
///
/// The digest is a single pass from the first byte to the last, which cannot run in parallel and
/// takes longer than everything else. So one thread does nothing else, and another thread reads
/// ahead for it.
///
/// The digest is an error when the disk cannot be read.
pub fn digest_during<T>(disk: &dyn BlockSource, work: impl FnOnce(Front) -> T) -> (io::Result<Digest>, T) {
    let (front, reached) = channel();
    let (read, pieces) = sync_channel(AHEAD);
    let (hashed, free) = channel();
    std::thread::scope(|scope| {
        let reader = scope.spawn(move || read_ahead(disk, &reached, &free, &read));
        let hasher = scope.spawn(move || hash(&pieces, &hashed));
        let done = work(Front(front));
        let died = |_| io::Error::other("a thread panicked; this is a bug in kiln");
        let read = reader.join().map_err(died).flatten();
        (read.and_then(|()| hasher.join().map_err(died)), done)
    })
}

/// A piece to be hashed: its size and its bytes; no bytes if it is zeros.
type Bytes = (usize, Option<Vec<u8>>);

/// Reads `disk` and sends every piece as soon as it is `reached`, in `free` buffers, or new ones at
/// first.
fn read_ahead(
    disk: &dyn BlockSource,
    reached: &Receiver<u64>,
    free: &Receiver<Vec<u8>>,
    pieces: &SyncSender<Bytes>,
) -> io::Result<()> {
    let mut front = 0;
    for Piece { offset, size, is_data } in pieces_of(disk, &(0..disk.size())) {
        let mut bytes = None;
        if is_data {
            while front < offset + size as u64 {
                front = reached.recv().unwrap_or(u64::MAX);
            }
            let mut buffer = free.try_recv().unwrap_or_else(|_| vec![0; CHUNK]);
            disk.read_at(&mut buffer[..size], offset)?;
            bytes = Some(buffer);
        }
        if pieces.send((size, bytes)).is_err() {
            break; // The hasher panicked, and joining it reports why.
        }
    }
    Ok(())
}

/// The SHA-256 of `pieces`, whose buffers are returned.
fn hash(pieces: &Receiver<Bytes>, hashed: &Sender<Vec<u8>>) -> Digest {
    let mut hasher = Sha256::new();
    for (size, bytes) in pieces {
        hasher.update(bytes.as_deref().map_or(&ZEROS[..size], |bytes| &bytes[..size]));
        if let Some(buffer) = bytes {
            // The reader may have finished already.
            let _ = hashed.send(buffer);
        }
    }
    Digest::finish(hasher)
}

/// Copies `range` of `disk` to the empty file `file`, keeping holes; returns its SHA-256.
///
/// # Errors
/// When the disk cannot be read, or the file cannot be written.
pub fn extract(disk: &dyn BlockSource, range: &Range<u64>, file: &File) -> io::Result<Digest> {
    file.set_len(range.end - range.start)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; CHUNK];
    for Piece { offset, size, is_data } in pieces_of(disk, range) {
        if is_data {
            disk.read_at(&mut buffer[..size], offset)?;
            file.write_all_at(&buffer[..size], offset - range.start)?;
            hasher.update(&buffer[..size]);
        } else {
            hasher.update(&ZEROS[..size]);
        }
    }
    Ok(Digest::finish(hasher))
}

/// A piece of a disk.
struct Piece {
    /// The offset of its first byte.
    offset: u64,
    /// The number of its bytes, at most [`CHUNK`].
    size: usize,
    /// Whether it may contain anything other than zeros.
    is_data: bool,
}

/// The pieces of `range` of `disk`, in order.
fn pieces_of(disk: &dyn BlockSource, range: &Range<u64>) -> impl Iterator<Item = Piece> {
    let Range { start, end } = *range;
    let last = end..end;
    let mut at = start;
    let parts = disk.data().iter().cloned().chain([last]).flat_map(move |data| {
        let data = data.start.clamp(at, end)..data.end.clamp(at, end);
        let hole = at..data.start;
        at = data.end;
        [(hole, false), (data, true)]
    });
    parts.flat_map(|(part, is_data)| {
        // No piece exceeds CHUNK, so every size fits.
        let size = move |offset| usize::try_from(part.end - offset).map_or(CHUNK, |left| left.min(CHUNK));
        part.clone().step_by(CHUNK).map(move |offset| Piece { offset, size: size(offset), is_data })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use kiln_format::block::RawFile;

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
        // A hole counts as zeros whatever the file contains.
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
    fn nothing_is_read_before_it_is_written() {
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
        let disk = RawFile::new(tempfile::tempfile().expect("a file"), 512, std::iter::once(0..512).collect());
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
