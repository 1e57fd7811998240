//! Downloads that can be resumed after an interruption or after the process was killed.

use super::blob::check;
use super::{Cache, CacheError, create_private_dir};
use kiln_tree::{Digest, hash_into};
use sha2::{Digest as _, Sha256};
use std::fs::{self, File};
use std::io::{self, Seek, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// What [`Cache::claim`] found.
#[derive(Debug)]
pub enum Claim {
    /// The blob is present: it was in the cache, or another process has just fetched it.
    Present(PathBuf),
    /// The caller has the exclusive right to fetch it.
    Partial(Partial),
}

impl Cache {
    /// Claims the right to download a blob, starting from what an earlier attempt left.
    ///
    /// Waits while another process or thread is downloading the same blob; `on_wait` is called once
    /// before it waits.
    ///
    /// # Errors
    /// [`CacheError`] when the cache cannot be written.
    pub fn claim(&self, digest: &Digest, size: Option<u64>, on_wait: impl FnOnce()) -> Result<Claim, CacheError> {
        if let Some(path) = self.blob(digest, size) {
            return Ok(Claim::Present(path));
        }
        self.writable()?;
        let path = self.root.join("partial").join(digest.to_string());
        let failed = |error| CacheError::writing(&path, error);
        let mut on_wait = Some(on_wait);
        loop {
            let file = kiln_file::create_unlinked(&path, 0o600).map_err(failed)?;
            if file.try_lock().is_err() {
                if let Some(on_wait) = on_wait.take() {
                    on_wait();
                }
                file.lock().map_err(failed)?;
            }
            // The process that held the lock has either stored the file as the blob or removed it.
            if !is_still(&file, &path) {
                if let Some(path) = self.blob(digest, size) {
                    return Ok(Claim::Present(path));
                }
                continue;
            }
            if let Some(blob) = self.blob(digest, size) {
                let _ = fs::remove_file(&path);
                return Ok(Claim::Present(blob));
            }
            let target = self.blob_path(digest);
            return Partial::resume(file, path.clone(), target, *digest, size).map(Claim::Partial).map_err(failed);
        }
    }
}

/// Whether `path` is still the path of the open `file`.
fn is_still(file: &File, path: &Path) -> bool {
    match (file.metadata(), fs::symlink_metadata(path)) {
        (Ok(open), Ok(named)) => open.dev() == named.dev() && open.ino() == named.ino(),
        _ => false,
    }
}

/// The beginning of a blob, locked. Its file outlives this value unless it is empty, stored or
/// discarded.
#[derive(Debug)]
pub struct Partial {
    /// The lock is released when this file is closed, which is after `drop` has removed an empty
    /// file.
    file: File,
    path: PathBuf,
    target: PathBuf,
    digest: Digest,
    size: Option<u64>,
    hasher: Sha256,
    len: u64,
}

impl Partial {
    fn resume(
        mut file: File,
        path: PathBuf,
        target: PathBuf,
        digest: Digest,
        size: Option<u64>,
    ) -> io::Result<Partial> {
        let mut hasher = Sha256::new();
        let len = hash_into(&mut file, &mut hasher)?;
        let mut partial = Partial { file, path, target, digest, size, hasher, len };
        if size.is_some_and(|size| partial.len > size) {
            partial.clear()?;
        }
        Ok(partial)
    }

    /// The number of bytes received so far.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether no bytes were received.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether all bytes of the blob's known size were received.
    pub fn is_complete(&self) -> bool {
        self.size == Some(self.len)
    }

    /// The digest of the bytes received so far.
    pub fn found(&self) -> Digest {
        Digest::finish(self.hasher.clone())
    }

    /// Adds bytes. On failure the partial file is emptied, to free the space on a full disk.
    ///
    /// # Errors
    /// [`CacheError::Full`] or [`CacheError::Io`].
    pub fn append(&mut self, bytes: &[u8]) -> Result<(), CacheError> {
        if let Err(error) = self.file.write_all(bytes) {
            let _ = self.clear();
            return Err(CacheError::writing(&self.path, error));
        }
        self.hasher.update(bytes);
        self.len += bytes.len() as u64;
        Ok(())
    }

    /// Discards all bytes.
    ///
    /// # Errors
    /// [`CacheError::Io`] when the file cannot be truncated.
    pub fn restart(&mut self) -> Result<(), CacheError> {
        self.clear().map_err(|error| CacheError::writing(&self.path, error))
    }

    fn clear(&mut self) -> io::Result<()> {
        self.len = 0;
        self.hasher = Sha256::new();
        self.file.set_len(0)?;
        self.file.rewind()
    }

    /// Stores the partial file as the blob if its digest and size are correct.
    ///
    /// # Errors
    /// [`CacheError::Mismatch`] when they are not (the bytes stay until [`Partial::restart`]),
    /// other errors when the file cannot be completed.
    pub fn land(&mut self) -> Result<PathBuf, CacheError> {
        check(&self.digest, self.size, self.found(), self.len)?;
        let failed = |error| CacheError::writing(&self.target, error);
        if let Some(parent) = self.target.parent() {
            create_private_dir(parent).map_err(failed)?;
        }
        // A blob is hashed only when it is read, so it must be complete after a power loss.
        if let Err(error) = self.file.sync_data() {
            // Some file systems report only now that they are full.
            let _ = self.clear();
            return Err(CacheError::writing(&self.target, error));
        }
        fs::rename(&self.path, &self.target).map_err(failed)?;
        Ok(self.target.clone())
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        // Not after `land`: then `path` is gone or is another process's new partial file.
        if self.len == 0 && is_still(&self.file, &self.path) {
            let _ = fs::remove_file(&self.path);
        }
    }
}
