//! The cache's size, and how it is reduced.

use super::{Cache, CacheError, TMP, owned, sweep};
use kiln_tree::Digest;
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, ErrorKind};
use std::ops::AddAssign;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// A number of files and their size.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Files.
    pub files: u64,
    /// The sum of their lengths in bytes.
    pub bytes: u64,
}

impl AddAssign<u64> for Usage {
    /// Adds one file of this many bytes.
    fn add_assign(&mut self, bytes: u64) {
        self.files += 1;
        self.bytes += bytes;
    }
}

/// What [`Cache::trim`] keeps. Without limits, only unfinished temporary files are removed.
#[derive(Debug, Clone, Copy, Default)]
pub struct TrimPolicy {
    /// Remove the least recently used files until at most this many bytes are left.
    pub max_bytes: Option<u64>,
    /// Remove files last used before this time (use is recorded once a day).
    pub unused_since: Option<SystemTime>,
}

/// The result of [`Cache::trim`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Trimmed {
    /// Removed files.
    pub removed: Usage,
    /// Files that are still there.
    pub kept: Usage,
}

struct Found {
    used: SystemTime,
    path: PathBuf,
    kind: String,
    bytes: u64,
}

impl Cache {
    /// What the cache holds, by kind: `blobs`, `partial`, and `derived/KIND`.
    ///
    /// # Errors
    /// [`CacheError::Io`] when it cannot be listed.
    pub fn usage(&self) -> Result<BTreeMap<String, Usage>, CacheError> {
        let mut usage = BTreeMap::<String, Usage>::new();
        for file in list(&self.root)? {
            *usage.entry(file.kind).or_default() += file.bytes;
        }
        Ok(usage)
    }

    /// Removes files from the cache at `root`, least recently used first.
    ///
    /// Fails while any [`Cache`] on it is open, also in this process: a running build may be about
    /// to read any of its files. A cache that does not exist is empty.
    ///
    /// # Errors
    /// [`CacheError::InUse`]; [`CacheError::Foreign`] and [`CacheError::Shared`] as from
    /// [`Cache::open`]; others when a file cannot be removed.
    pub fn trim(root: &Path, policy: &TrimPolicy) -> Result<Trimmed, CacheError> {
        if owned::inspect(root)? == owned::State::New {
            return Ok(Trimmed::default());
        }
        let lock_path = root.join(owned::LOCK);
        let lock =
            kiln_file::create_unlinked(&lock_path, 0o644).map_err(|error| CacheError::writing(&lock_path, error))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => return Err(CacheError::InUse { path: root.to_owned() }),
            Err(fs::TryLockError::Error(error)) => return Err(CacheError::writing(&lock_path, error)),
        }
        sweep(&root.join(TMP));
        let mut files = list(root)?;
        // Equal times are ordered by name, so that trimming is deterministic.
        files.sort_by(|a, b| (a.used, &a.path).cmp(&(b.used, &b.path)));
        remove_oldest(files, policy)
    }
}

fn remove_oldest(files: Vec<Found>, policy: &TrimPolicy) -> Result<Trimmed, CacheError> {
    let mut left: u64 = files.iter().map(|file| file.bytes).sum();
    let mut trimmed = Trimmed::default();
    for file in files {
        let too_old = policy.unused_since.is_some_and(|since| file.used < since);
        let too_much = policy.max_bytes.is_some_and(|max| left > max);
        if too_old || too_much {
            fs::remove_file(&file.path).map_err(|error| CacheError::writing(&file.path, error))?;
            left -= file.bytes;
            trimmed.removed += file.bytes;
        } else {
            trimmed.kept += file.bytes;
        }
    }
    Ok(trimmed)
}

fn list(root: &Path) -> Result<Vec<Found>, CacheError> {
    let mut found = Vec::new();
    collect(&root.join("blobs"), "blobs", 1, &mut found)?;
    collect(&root.join("partial"), "partial", 0, &mut found)?;
    for (name, path) in entries(&root.join("derived"))? {
        if !fs::symlink_metadata(&path).is_ok_and(|found| found.is_dir()) {
            continue;
        }
        collect(&path, &format!("derived/{name}"), 1, &mut found)?;
    }
    Ok(found)
}

/// Lists the files `depth` directories below `dir` that are named by a digest; other files do not
/// belong to the cache.
fn collect(dir: &Path, kind: &str, depth: u32, found: &mut Vec<Found>) -> Result<(), CacheError> {
    for (name, path) in entries(dir)? {
        let metadata = match fs::symlink_metadata(&path) {
            Ok(metadata) => metadata,
            // A running build stored or removed it since the directory was read.
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => return Err(CacheError::reading(&path, error)),
        };
        if depth > 0 && metadata.is_dir() {
            collect(&path, kind, depth - 1, found)?;
        } else if depth == 0 && metadata.is_file() && name.parse::<Digest>().is_ok() {
            let used = metadata.modified().map_err(|error| CacheError::reading(&path, error))?;
            found.push(Found { used, bytes: metadata.len(), path, kind: kind.to_owned() });
        }
    }
    Ok(())
}

fn entries(dir: &Path) -> Result<Vec<(String, PathBuf)>, CacheError> {
    let read = || -> io::Result<_> {
        let entry = |entry: io::Result<fs::DirEntry>| {
            entry.map(|entry| (entry.file_name().to_string_lossy().into_owned(), entry.path()))
        };
        fs::read_dir(dir)?.map(entry).collect()
    };
    match read() {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        result => result.map_err(|error| CacheError::reading(dir, error)),
    }
}
