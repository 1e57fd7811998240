//! Reads an initramfs back: zstd frames by libzstd's streaming decoder, newc by the `cpio` crate.

use cpio::NewcReader;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::Path;

/// Most members of an initramfs that are looked at.
const MAX_MEMBERS: usize = 4 << 20;

/// What went wrong with an initramfs.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It cannot be read, or is no run of zstd frames of cpio members.
    #[error("{0}; the file is damaged or truncated")]
    Damaged(io::Error),
    /// It has no such file.
    #[error("it has no file /{0}")]
    Missing(String),
    /// The destination failed.
    #[error(transparent)]
    Write(io::Error),
}

/// Writes the bytes of the file `wanted` (no leading slash) in the initramfs at `path` to `out`. Of a path that occurs more than once the
/// kernel would keep the last, kiln's have each once. A hard link gives the bytes of its first name.
///
/// # Errors
/// [`ReadError`].
pub fn extract(path: &Path, wanted: &str, out: &mut impl Write) -> Result<(), ReadError> {
    let file = File::open(path).map_err(ReadError::Damaged)?;
    let mut decoder = zstd::Decoder::new(BufReader::with_capacity(1 << 20, file)).map_err(ReadError::Damaged)?;
    decoder.window_log_max(27).map_err(ReadError::Damaged)?;
    // Members with several names carry their data once, under the first; a second pass fetches it.
    let mut linked: BTreeMap<u32, String> = BTreeMap::new();
    let mut stream: Box<dyn Read> = Box::new(decoder);
    for _ in 0..MAX_MEMBERS {
        let mut reader = NewcReader::new(stream).map_err(ReadError::Damaged)?;
        let entry = reader.entry();
        if entry.is_trailer() {
            break;
        }
        let (found, link) = (entry.name() == wanted, entry.nlink() > 1 && entry.mode() & 0o170_000 == 0o100_000);
        let ino = entry.ino();
        if found
            && link
            && entry.file_size() == 0
            && let Some(first) = linked.remove(&ino)
        {
            return extract(path, &first, out);
        }
        if found {
            return copy(&mut reader, out);
        }
        if link && entry.file_size() > 0 {
            linked.insert(ino, entry.name().to_owned());
        }
        stream = reader.finish().map_err(ReadError::Damaged)?;
    }
    Err(ReadError::Missing(wanted.to_owned()))
}

fn copy(reader: &mut impl Read, out: &mut impl Write) -> Result<(), ReadError> {
    let mut buffer = vec![0; 256 << 10];
    loop {
        match reader.read(&mut buffer).map_err(ReadError::Damaged)? {
            0 => return Ok(()),
            got => out.write_all(&buffer[..got]).map_err(ReadError::Write)?,
        }
    }
}
