//! Compute Engine's archive: `disk.raw` in a tar archive compressed with gzip. It is unpacked to an
//! unnamed file that can be read at any offset.

use super::ReadError;
use super::blocks::{Raw, past_end};
use flate2::read::GzDecoder;
use std::io::{BufReader, Cursor, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;

/// First bytes of gzip (RFC 1952).
pub const MAGIC: [u8; 2] = [0x1f, 0x8b];
/// The name of the only member.
const MEMBER: &[u8] = b"disk.raw";
/// The largest disk that is unpacked, and the most data in it, in bytes.
const MAX_SIZE: u64 = 1 << 38;
const MAX_DATA: u64 = 16 << 30;
/// The offset of the member's type in a header.
const TYPE_FLAG: usize = 156;
const CHUNK: usize = 256 << 10;

/// Unpacks the disk in the archive at `path`.
///
/// # Errors
/// [`ReadError::Damaged`], also when the directory for temporary files is full.
pub fn open(path: &Path) -> Result<Raw, ReadError> {
    let mut stream = GzDecoder::new(BufReader::with_capacity(CHUNK, kiln_file::open(path)?));
    let mut header = [0; 512];
    super::fill(&mut stream, &mut header)?;
    // A long name, for example, would be read into memory whatever its length. A plain or sparse
    // file has none before it.
    if !matches!(header[TYPE_FLAG], b'0' | b'S' | 0) {
        return Err(ReadError::damaged("it is not an archive of disk.raw"));
    }
    let mut archive = tar::Archive::new(Cursor::new(header).chain(stream));
    let mut entries = archive.entries()?;
    let mut entry = entries.next().ok_or_else(|| ReadError::damaged("it is an empty archive"))??;
    let size = entry.size();
    if entry.path_bytes() != MEMBER || size > MAX_SIZE {
        return Err(ReadError::damaged("it is not an archive of disk.raw"));
    }
    let disk = tempfile::tempfile()?;
    disk.set_len(size)?;
    let (mut buffer, mut offset, mut data) = (vec![0; CHUNK], 0, 0);
    loop {
        let got = super::fill(&mut entry, &mut buffer)?;
        if got == 0 {
            break;
        }
        // Holes stay holes.
        if buffer[..got].iter().any(|byte| *byte != 0) {
            data += got as u64;
            if data > MAX_DATA {
                return Err(ReadError::damaged(format!("it contains more than {MAX_DATA} bytes of data")));
            }
            disk.write_all_at(&buffer[..got], offset)?;
        }
        offset += got as u64;
    }
    drop(entry);
    if offset != size {
        return Err(past_end().into());
    }
    // Only padding and the two empty headers of the end may follow.
    let mut rest = archive.into_inner();
    loop {
        match super::fill(&mut rest, &mut buffer)? {
            0 => return Ok(Raw::new(disk, size)),
            got if buffer[..got].iter().any(|byte| *byte != 0) => {
                return Err(ReadError::damaged("it contains something after disk.raw"));
            }
            _ => {}
        }
    }
}
