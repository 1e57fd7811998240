//! Compute Engine's archive: `disk.raw` in a tar archive compressed with gzip, unpacked to a file without a name to be read anywhere.

use super::ReadError;
use super::blocks::{Raw, past_end};
use flate2::read::GzDecoder;
use std::fs::File;
use std::io::{BufReader, Cursor, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;

/// First bytes of gzip (RFC 1952).
pub const MAGIC: [u8; 2] = [0x1f, 0x8b];
/// Name of the only member.
const MEMBER: &[u8] = b"disk.raw";
/// Largest disk that is unpacked, and most data in it, in bytes.
const MAX_SIZE: u64 = 1 << 38;
const MAX_DATA: u64 = 16 << 30;
/// Where a header has the member's type.
const TYPE_FLAG: usize = 156;
const CHUNK: usize = 256 << 10;

/// Unpacks the disk in the archive at `path`.
///
/// # Errors
/// [`ReadError::Damaged`], also when there is no room for it in the directory of temporary files.
pub fn open(path: &Path) -> Result<Raw, ReadError> {
    let mut stream = GzDecoder::new(BufReader::with_capacity(CHUNK, File::open(path)?));
    let mut header = [0; 512];
    super::fill(&mut stream, &mut header)?;
    // A long name, for one, would be read into memory whatever its length; a plain or sparse file has none before it.
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
                return Err(ReadError::damaged(format!("it has more than {MAX_DATA} bytes of data")));
            }
            disk.write_all_at(&buffer[..got], offset)?;
        }
        offset += got as u64;
    }
    drop(entry);
    if offset != size {
        return Err(past_end().into());
    }
    // Padding and the end's two empty headers, and no further member.
    let mut rest = archive.into_inner();
    loop {
        match super::fill(&mut rest, &mut buffer)? {
            0 => return Ok(Raw::new(disk, size)),
            got if buffer[..got].iter().any(|byte| *byte != 0) => {
                return Err(ReadError::damaged("it has something behind disk.raw"));
            }
            _ => {}
        }
    }
}
