//! Verified inputs.

use super::{Cache, CacheError, land};
use kiln_tree::Digest;
use sha2::{Digest as _, Sha256};
use std::fs::{self, File};
use std::io::{self, Read, Seek, Write};
use std::path::PathBuf;

/// A blob that is in the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// SHA-256 of its bytes.
    pub digest: Digest,
    /// Length in bytes.
    pub size: u64,
    /// The file.
    pub path: PathBuf,
}

impl Cache {
    /// The file of a verified input, if the cache holds it with this size.
    ///
    /// Its digest was checked when it was added, and must be checked again by whoever reads it:
    /// caches are copied and restored between machines. A file with another size was damaged later:
    /// it counts as absent and is removed.
    pub fn blob(&self, digest: &Digest, size: Option<u64>) -> Option<PathBuf> {
        let path = self.blob_path(digest);
        let file = kiln_file::open(&path).ok()?;
        let metadata = file.metadata().ok()?;
        if size.is_some_and(|size| size != metadata.len()) {
            let _ = fs::remove_file(&path);
            return None;
        }
        self.touch(&file, metadata.modified().unwrap_or(self.now));
        Some(path)
    }

    /// Opens a blob and verifies its digest; the file is positioned at its start. A damaged blob is
    /// removed.
    ///
    /// # Errors
    /// [`CacheError::Damaged`] when its bytes have another digest; [`CacheError::Io`] when it is
    /// missing or cannot be read.
    pub fn open_blob(&self, digest: &Digest) -> Result<File, CacheError> {
        let path = self.blob_path(digest);
        let read = |path| {
            let mut file = kiln_file::open(path)?;
            let (found, _) = Digest::of_reader(&mut file)?;
            file.rewind()?;
            Ok((file, found))
        };
        let (file, found) = read(&path).map_err(|error| CacheError::reading(&path, error))?;
        if found == *digest {
            return Ok(file);
        }
        self.discard(&path);
        Err(CacheError::Damaged { path, found })
    }

    /// Starts a blob whose bytes are available; for downloads that can be resumed see
    /// [`Cache::claim`].
    ///
    /// # Errors
    /// [`CacheError`] when the cache cannot be written.
    pub fn blob_writer(&self) -> Result<BlobWriter, CacheError> {
        Ok(BlobWriter { cache: self.clone(), file: self.temporary()?, hasher: Sha256::new(), size: 0 })
    }
}

/// Hashes a blob while it is written to a temporary file, which is removed unless it is finished.
///
/// Several writers of the same blob do not interfere with each other.
#[derive(Debug)]
pub struct BlobWriter {
    cache: Cache,
    file: tempfile::NamedTempFile,
    hasher: Sha256,
    size: u64,
}

impl BlobWriter {
    /// Stores the blob under the digest of its bytes.
    ///
    /// # Errors
    /// [`CacheError`] when the file cannot be completed.
    pub fn finish(self) -> Result<Stored, CacheError> {
        let digest = Digest::finish(self.hasher.clone());
        let path = self.cache.blob_path(&digest);
        // A blob is hashed only when it is read, so it must be complete after a power loss.
        self.file.as_file().sync_data().map_err(|error| CacheError::writing(self.file.path(), error))?;
        land(self.file.into_temp_path(), &path)?;
        Ok(Stored { digest, size: self.size, path })
    }

    /// Adds bytes.
    ///
    /// # Errors
    /// [`CacheError`] when the cache cannot be written.
    pub fn append(&mut self, bytes: &[u8]) -> Result<(), CacheError> {
        self.file.as_file_mut().write_all(bytes).map_err(|error| CacheError::writing(self.file.path(), error))?;
        self.hasher.update(bytes);
        self.size += bytes.len() as u64;
        Ok(())
    }

    /// Copies all of `source` and distinguishes a read error from a write error.
    ///
    /// # Errors
    /// Outer: the cache cannot be written. Inner: `source` could not be read.
    pub fn copy_from(&mut self, source: &mut impl Read) -> Result<io::Result<()>, CacheError> {
        let mut buffer = vec![0; 128 * 1024];
        loop {
            match source.read(&mut buffer) {
                Ok(0) => return Ok(Ok(())),
                Ok(count) => self.append(&buffer[..count])?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Ok(Err(error)),
            }
        }
    }
}

/// Compares the found digest and size with the expected ones.
pub(super) fn check(
    expected: &Digest,
    expected_size: Option<u64>,
    found: Digest,
    found_size: u64,
) -> Result<(), CacheError> {
    if found == *expected && expected_size.is_none_or(|size| size == found_size) {
        return Ok(());
    }
    Err(CacheError::Mismatch { expected: *expected, expected_size, found, found_size })
}
