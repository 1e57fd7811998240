//! The content-addressed cache: verified inputs, downloads in progress, and data derived from
//! inputs.
//!
//! ```text
//! CACHEDIR.TAG             marks the directory as kiln's; tells backup programs to skip it
//! lock                     shared flock while a Cache is open, exclusive while one is trimmed
//! blobs/ab/abcd…           inputs, named by the SHA-256 they were checked against
//! partial/abcd…            downloads in progress or cut off; locked by their writer
//! derived/KIND/ab/abcd…    results worth keeping, each with its own checksum
//! tmp/kiln-…               unfinished files; swept when no other process has the cache open
//! ```
//!
//! Files are written, removed and believed only in a directory that is kiln's own (see
//! `owned`): an empty one becomes a cache, and any other without the tag is rejected, because a
//! wrong `--cache` must not cost a user's files.
//!
//! A file gets its final name by rename, so a process that is killed at any moment leaves at most a
//! partial or a temporary file. A cache on read-only storage can be read.

mod blob;
mod derived;
mod error;
mod owned;
mod partial;
mod trim;

pub use blob::{BlobWriter, Stored};
pub use derived::{DerivedFile, DerivedReader, DerivedWriter};
pub use error::CacheError;
pub use partial::{Claim, Partial};
pub use trim::{TrimPolicy, Trimmed, Usage};

use kiln_tree::Digest;
use std::fs::{self, DirBuilder, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, SystemTime};

/// The beginning of the names in `tmp/`.
const TEMPORARY: &str = "kiln-";
/// The directory of unfinished files.
const TMP: &str = "tmp";

/// The longest time for which the use of a file is not recorded.
const TOUCH_EVERY: Duration = Duration::from_secs(24 * 60 * 60);

/// An open cache; clones share it. Nothing is trimmed while it is open.
#[derive(Debug, Clone)]
pub struct Cache {
    root: Arc<Path>,
    now: SystemTime,
    read_only: bool,
    damage: Damage,
    /// Holds the shared lock; `None` when a read-only cache has no lock file.
    _lock: Option<Arc<File>>,
}

impl Cache {
    /// Opens the cache at `root` and creates it (mode 0700) when it is missing or an empty
    /// directory. `now` is recorded as the time of use.
    ///
    /// Waits while another process trims the cache.
    ///
    /// # Errors
    /// [`CacheError::Foreign`] when `root` has files and is not a cache of kiln,
    /// [`CacheError::Shared`] when other users can write it, other [`CacheError`] when it can be
    /// neither written nor, if it exists, read.
    pub fn open(root: &Path, now: SystemTime) -> Result<Self, CacheError> {
        let damage = Damage::default();
        let unusable = |source| CacheError::Unusable { path: root.to_owned(), source };
        let opened = owned::inspect(root)?;
        let open = |lock, read_only| Self { root: root.into(), now, read_only, damage, _lock: lock };
        match Self::open_writable(root) {
            Ok(lock) => Ok(open(Some(Arc::new(lock)), false)),
            Err(error) if is_read_only(&error) && opened == owned::State::Cache => {
                Ok(open(Self::lock_read_only(root).map_err(unusable)?, true))
            }
            Err(source) => Err(unusable(source)),
        }
    }

    fn open_writable(root: &Path) -> io::Result<File> {
        create_private_dir(root)?;
        owned::mark(root)?;
        for dir in owned::DIRECTORIES {
            create_private_dir(&root.join(dir))?;
        }
        let lock = kiln_file::create_unlinked(&root.join(owned::LOCK), 0o644)?;
        if lock.try_lock().is_ok() {
            // No other process has the cache open, so the processes that wrote these files have
            // exited.
            sweep(&root.join(TMP));
            lock.unlock()?;
        }
        lock.lock_shared()?;
        Ok(lock)
    }

    /// Takes the shared lock of a cache on read-only storage, if it has a lock file.
    fn lock_read_only(root: &Path) -> io::Result<Option<Arc<File>>> {
        match kiln_file::open(&root.join(owned::LOCK)) {
            Ok(lock) => lock.lock_shared().map(|()| Some(Arc::new(lock))),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The directory of this cache.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Whether the cache is read-only: its contents can be used, but nothing can be added.
    pub fn is_read_only(&self) -> bool {
        self.read_only
    }

    /// The number of damaged files that were found and removed since the cache was opened.
    ///
    /// An operation that fails while this number grows may succeed on the next attempt: inputs are
    /// fetched again and derived data is computed again.
    pub fn damage_found(&self) -> usize {
        self.damage.0.load(Relaxed)
    }

    /// Removes a cache file that a caller found damaged.
    pub fn discard(&self, path: &Path) {
        self.damage.remove(path);
    }

    /// The path of the blob with this digest, whether it exists or not.
    fn blob_path(&self, digest: &Digest) -> PathBuf {
        fan_out(&self.root.join("blobs"), digest)
    }

    fn writable(&self) -> Result<(), CacheError> {
        if self.read_only { Err(CacheError::ReadOnly { path: self.root.to_path_buf() }) } else { Ok(()) }
    }

    /// A new temporary file that is removed unless it is renamed.
    fn temporary(&self) -> Result<tempfile::NamedTempFile, CacheError> {
        self.writable()?;
        let tmp = self.root.join(TMP);
        tempfile::Builder::new().prefix(TEMPORARY).tempfile_in(&tmp).map_err(|error| CacheError::writing(&tmp, error))
    }

    /// Records that `file` was used, at most once a day; failing to record it is not an error.
    fn touch(&self, file: &File, modified: SystemTime) {
        let due = self.now.duration_since(modified).is_ok_and(|age| age >= TOUCH_EVERY);
        if due && !self.read_only {
            // A cache owned by another user can still be read.
            let _ = file.set_modified(self.now);
        }
    }
}

/// Counts the damaged files that users of the cache found; clones share the count.
#[derive(Debug, Clone, Default)]
struct Damage(Arc<AtomicUsize>);

impl Damage {
    fn remove(&self, path: &Path) {
        // In a read-only cache the damaged file stays and counts as absent.
        let _ = fs::remove_file(path);
        self.0.fetch_add(1, Relaxed);
    }
}

/// `base/ab/abcdef…`: a directory then holds hundreds of entries, not tens of thousands.
fn fan_out(base: &Path, digest: &Digest) -> PathBuf {
    let hex = digest.to_string();
    base.join(&hex[..2]).join(hex)
}

fn create_private_dir(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Renames a finished temporary file to its final path and replaces what is there.
fn land(temporary: tempfile::TempPath, target: &Path) -> Result<(), CacheError> {
    if let Some(parent) = target.parent() {
        create_private_dir(parent).map_err(|error| CacheError::writing(parent, error))?;
    }
    temporary.persist(target).map_err(|error| CacheError::writing(target, error.error))
}

/// Removes the temporary files in `dir`; one that cannot be removed now is removed by a later
/// sweep.
fn sweep(dir: &Path) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    for entry in entries.flatten() {
        let is_ours = entry.file_name().as_encoded_bytes().starts_with(TEMPORARY.as_bytes());
        if is_ours && entry.file_type().is_ok_and(|kind| kind.is_file()) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

fn is_read_only(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem)
}

#[cfg(test)]
mod tests;
