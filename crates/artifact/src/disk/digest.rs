//! Disks and parts of them read once, for their digest and a copy, without reading what is not there.

use kiln_format::block::BlockSource;
use kiln_tree::Digest;
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};

/// What is read, and hashed, at once.
const CHUNK: usize = 256 << 10;
/// Pieces that are read before they are hashed.
const AHEAD: usize = 2;
static ZEROS: [u8; CHUNK] = [0; CHUNK];

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

/// Does `work`, which begins with writing `disk`, and takes the SHA-256 of all bytes of `disk` beside it: each when `work` says that
/// it is there.
///
/// That is one pass from the first byte to the last, which cannot be shared out and takes longer than all the rest: so one
/// thread has nothing to do but this, and another reads ahead of it.
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
        let died = |_| io::Error::other("a thread died; this is a bug in kiln");
        let read = reader.join().map_err(died).flatten();
        (read.and_then(|()| hasher.join().map_err(died)), done)
    })
}

/// A piece as it is hashed: how large it is, and what it begins; nothing where it is zeros.
type Bytes = (usize, Option<Vec<u8>>);

/// Reads `disk` and sends every piece as soon as it is `reached`, in buffers that are `free` again, or new ones at first.
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
            break; // The hasher died, and its end tells why.
        }
    }
    Ok(())
}

/// SHA-256 of `pieces`, whose buffers are given back.
fn hash(pieces: &Receiver<Bytes>, hashed: &Sender<Vec<u8>>) -> Digest {
    let mut hasher = Sha256::new();
    for (size, bytes) in pieces {
        hasher.update(bytes.as_deref().map_or(&ZEROS[..size], |bytes| &bytes[..size]));
        if let Some(buffer) = bytes {
            // The reader may have read everything already.
            let _ = hashed.send(buffer);
        }
    }
    Digest::finish(hasher)
}

/// Copies the part `range` of `disk` to the empty file `file`, sparse; its SHA-256.
///
/// # Errors
/// When the disk cannot be read, or the file not written.
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
    /// Its first byte.
    offset: u64,
    /// Its bytes, at most [`CHUNK`].
    size: usize,
    /// Whether they can be anything but zeros.
    is_data: bool,
}

/// The pieces of the part `range` of `disk`, in order.
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
