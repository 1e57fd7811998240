//! Compute Engine's archive: `disk.raw` in a tar archive compressed with gzip, unpacked to a file without a name to be read anywhere.

use super::ReadError;
use super::blocks::{Raw, past_end};
use flate2::read::GzDecoder;
use std::fs::File;
use std::io::{self, BufReader};
use std::os::unix::fs::FileExt;
use std::path::Path;

/// First bytes of gzip (RFC 1952).
pub const MAGIC: [u8; 2] = [0x1f, 0x8b];
/// Name of the only member.
const MEMBER: &[u8] = b"disk.raw";
/// Largest disk that is unpacked, and most data in it, in bytes.
const MAX_SIZE: u64 = 1 << 38;
const MAX_DATA: u64 = 16 << 30;
const CHUNK: usize = 256 << 10;

/// Unpacks the disk in the archive at `path`.
///
/// # Errors
/// [`ReadError::Damaged`], also when there is no room for it in the directory of temporary files.
pub fn open(path: &Path) -> Result<Raw, ReadError> {
    let file = File::open(path)?;
    let mut archive = tar::Archive::new(GzDecoder::new(BufReader::with_capacity(CHUNK, file)));
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
    match entries.next() {
        _ if offset != size => Err(past_end().into()),
        None => Ok(Raw::new(disk, size)),
        Some(Ok(_)) => Err(ReadError::damaged("it has more than one member")),
        Some(Err(error)) => Err(io::Error::new(io::ErrorKind::InvalidData, error).into()),
    }
}
