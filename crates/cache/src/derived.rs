//! Data derived from inputs: cheaper to keep than to compute again, and worthless when damaged.
//!
//! A file is its payload followed by a trailer of 80 bytes, so the payload starts at offset 0 and
//! can be reflinked:
//!
//! | bytes | content |
//! |---|---|
//! | 8 | `KILNDER1` |
//! | 8 | length of the payload, little-endian |
//! | 32 | SHA-256 of kind, NUL and key: detects a file that was moved |
//! | 32 | SHA-256 of the payload |
//!
//! The checksum makes fsync unnecessary: a file damaged by a power loss counts as absent.

use super::{Cache, CacheError, Damage, fan_out, land};
use kiln_tree::Digest;
use sha2::{Digest as _, Sha256};
use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;

const MAGIC: &[u8; 8] = b"KILNDER1";
const TRAILER: u64 = 80;

impl Cache {
    /// The path of derived data with this kind and key, whether it exists or not.
    ///
    /// # Errors
    /// [`CacheError::BadKind`] unless `kind` consists of lower-case letters, digits and `-`.
    pub fn derived_path(&self, kind: &str, key: &Digest) -> Result<PathBuf, CacheError> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if kind.is_empty() || !kind.bytes().all(plain) {
            return Err(CacheError::BadKind { kind: kind.to_owned() });
        }
        Ok(fan_out(&self.root.join("derived").join(kind), key))
    }

    /// Reads derived data and verifies it; `None` when it is absent or damaged (damaged data is
    /// removed).
    pub fn derived(&self, kind: &str, key: &Digest) -> Option<Vec<u8>> {
        let file = self.open_derived(kind, key)?;
        let mut payload = Vec::with_capacity(usize::try_from(file.len).ok()?);
        file.into_reader().read_to_end(&mut payload).ok()?;
        Some(payload)
    }

    /// Opens derived data without reading its payload; `None` when it is absent or its length or
    /// name is wrong (it is removed if wrong).
    ///
    /// The payload must be verified while it is streamed, as [`DerivedFile::into_reader`] does.
    pub fn open_derived(&self, kind: &str, key: &Digest) -> Option<DerivedFile> {
        let path = self.derived_path(kind, key).ok()?;
        let mut file = kiln_file::open(&path).ok()?;
        let metadata = file.metadata().ok()?;
        match read_trailer(&mut file, metadata.len(), kind, key) {
            Ok(Some((len, digest))) => {
                self.touch(&file, metadata.modified().unwrap_or(self.now));
                Some(DerivedFile { file, path, len, digest, damage: self.damage.clone() })
            }
            Ok(None) => {
                let _ = fs::remove_file(&path);
                None
            }
            Err(_) => None,
        }
    }

    /// Stores derived data and replaces what was there.
    ///
    /// # Errors
    /// [`CacheError`] when the cache cannot be written.
    pub fn put_derived(&self, kind: &str, key: &Digest, payload: &[u8]) -> Result<(), CacheError> {
        let mut writer = self.derived_writer(kind, key)?;
        writer.write_all(payload).map_err(|error| CacheError::writing(&writer.target, error))?;
        writer.finish().map(drop)
    }

    /// Starts derived data that is written piece by piece.
    ///
    /// # Errors
    /// [`CacheError`] when the cache cannot be written.
    pub fn derived_writer(&self, kind: &str, key: &Digest) -> Result<DerivedWriter, CacheError> {
        let target = self.derived_path(kind, key)?;
        let (file, temporary) = self.temporary()?.into_parts();
        let file = BufWriter::with_capacity(64 * 1024, file);
        let hasher = Some(Sha256::new());
        Ok(DerivedWriter { file, temporary, target, name: name_digest(kind, key), hasher, len: 0 })
    }

    /// Like [`Cache::derived_writer`], but the payload is not hashed: for data whose user has a
    /// digest of every part. Open such a file only with [`Cache::open_derived`] and read it by its
    /// path; every other function treats it as damaged.
    ///
    /// # Errors
    /// [`CacheError`] when the cache cannot be written.
    pub fn unsummed_writer(&self, kind: &str, key: &Digest) -> Result<DerivedWriter, CacheError> {
        Ok(DerivedWriter { hasher: None, ..self.derived_writer(kind, key)? })
    }
}

fn name_digest(kind: &str, key: &Digest) -> Digest {
    let mut hasher = Sha256::new();
    hasher.update(kind.as_bytes());
    hasher.update([0]);
    hasher.update(key.as_bytes());
    Digest::finish(hasher)
}

/// Length and digest of the payload; `None` when the trailer is wrong. Leaves the file position at
/// the start.
fn read_trailer(file: &mut File, size: u64, kind: &str, key: &Digest) -> io::Result<Option<(u64, Digest)>> {
    let Some(len) = size.checked_sub(TRAILER) else { return Ok(None) };
    let mut trailer = [0; 80];
    file.seek(SeekFrom::Start(len))?;
    file.read_exact(&mut trailer)?;
    file.rewind()?;
    let (magic, rest) = trailer.split_at(8);
    let (length, rest) = rest.split_at(8);
    let (name, digest) = rest.split_at(32);
    let right = magic == MAGIC && length == len.to_le_bytes() && name == name_digest(kind, key).as_bytes();
    let digest: Result<[u8; 32], _> = digest.try_into();
    Ok(digest.ok().filter(|_| right).map(|digest| (len, Digest::from(digest))))
}

/// Derived data on disk: its payload is the first `len` bytes of the file and is not verified yet.
#[derive(Debug)]
pub struct DerivedFile {
    /// Open for reading, at the start of the payload.
    pub file: File,
    /// The path of the file.
    pub path: PathBuf,
    /// Length of the payload, which starts at offset 0.
    pub len: u64,
    /// The SHA-256 that the payload must have.
    pub digest: Digest,
    damage: Damage,
}

impl DerivedFile {
    /// Reads the payload and verifies it while reading.
    pub fn into_reader(self) -> DerivedReader {
        DerivedReader { left: self.len, derived: self, hasher: Some(Sha256::new()) }
    }

    /// Removes the file: for callers that verify the payload themselves and found it damaged.
    pub fn discard(self) {
        self.damage.remove(&self.path);
    }
}

/// Streams a payload. If the bytes were wrong, the read that would report the end fails with
/// [`io::ErrorKind::InvalidData`]. Nothing made from the bytes may be kept before the end was
/// reported.
#[derive(Debug)]
pub struct DerivedReader {
    derived: DerivedFile,
    hasher: Option<Sha256>,
    left: u64,
}

impl DerivedReader {
    fn damaged(&self) -> io::Error {
        self.derived.damage.remove(&self.derived.path);
        let text = format!("{} is damaged and was removed; run the same command again", self.derived.path.display());
        io::Error::new(io::ErrorKind::InvalidData, text)
    }
}

impl Read for DerivedReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        if self.left == 0 {
            if let Some(hasher) = &self.hasher {
                if Digest::finish(hasher.clone()) != self.derived.digest {
                    return Err(self.damaged());
                }
                self.hasher = None;
            }
            return Ok(0);
        }
        let want = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let count = self.derived.file.read(&mut buffer[..want])?;
        if count == 0 {
            return Err(self.damaged());
        }
        if let Some(hasher) = &mut self.hasher {
            hasher.update(&buffer[..count]);
        }
        self.left -= count as u64;
        Ok(count)
    }
}

/// Hashes derived data while it is written; nothing is kept without [`DerivedWriter::finish`].
#[derive(Debug)]
pub struct DerivedWriter {
    file: BufWriter<File>,
    temporary: tempfile::TempPath,
    target: PathBuf,
    name: Digest,
    /// `None` when the payload has its own digests.
    hasher: Option<Sha256>,
    len: u64,
}

impl DerivedWriter {
    /// Completes the file and gives it its name. Returns the digest of the payload.
    ///
    /// # Errors
    /// [`CacheError`] when it cannot be written.
    pub fn finish(mut self) -> Result<Digest, CacheError> {
        let digest = self.hasher.map_or_else(|| Digest::from([0; 32]), Digest::finish);
        let mut trailer = Vec::with_capacity(80);
        trailer.extend_from_slice(MAGIC);
        trailer.extend_from_slice(&self.len.to_le_bytes());
        trailer.extend_from_slice(self.name.as_bytes());
        trailer.extend_from_slice(digest.as_bytes());
        let failed = |error| CacheError::writing(&self.target, error);
        self.file.write_all(&trailer).map_err(failed)?;
        self.file.into_inner().map_err(|error| failed(error.into_error()))?;
        land(self.temporary, &self.target)?;
        Ok(digest)
    }
}

impl Write for DerivedWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.file.write(bytes)?;
        if let Some(hasher) = &mut self.hasher {
            hasher.update(&bytes[..count]);
        }
        self.len += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
