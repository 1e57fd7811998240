//! The output directory: replaced as a whole or left unchanged.

use kiln_artifact::remedy;
use kiln_bake::lock::Locked;
use kiln_cache::Cache;
use kiln_manifest::Manifest;
use kiln_pack::layer::Overlay;
use kiln_tree::Digest;
use sha2::{Digest as _, Sha256};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The prefix of temporary directories beside the output.
const PREFIX: &str = ".kiln-";

/// An output directory that cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// It exists and was not made by kiln.
    #[error(
        "{0} exists and is not an output of kiln (it has no manifest.json); choose another with --out, or remove it"
    )]
    Foreign(PathBuf),
    /// Another build is writing it.
    #[error("another build is writing {0}; wait for it, or choose another directory with --out")]
    Busy(PathBuf),
    /// A write fails.
    #[error("writing the output {path}: {source}{}", remedy(source))]
    Write {
        /// The file or directory.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
}

/// A new, unfinished output beside the old one.
#[derive(Debug)]
pub struct OutputDirectory {
    target: PathBuf,
    temporary: tempfile::TempDir,
    /// Held until the end, so that two builds cannot write the same output.
    lock: Lock,
}

/// A locked file beside the output, removed when the build ends.
#[derive(Debug)]
struct Lock {
    path: PathBuf,
    /// Closing it releases the lock, after `drop` has removed the file.
    _file: File,
}

impl OutputDirectory {
    /// Starts a new output for `target`, or for the directory that it links to; removes what killed
    /// builds left beside it.
    ///
    /// # Errors
    /// [`DirectoryError`].
    pub fn create(target: &Path) -> Result<Self, DirectoryError> {
        let failed = |path: &Path, source| DirectoryError::Write { path: path.to_owned(), source };
        if target.symlink_metadata().is_ok() && !is_ours(target) {
            return Err(DirectoryError::Foreign(target.to_owned()));
        }
        // The resolved path: neither a link to the directory nor "." can be renamed in its place.
        let real = fs::canonicalize(target).unwrap_or_else(|_| target.to_owned());
        let parent = match real.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        fs::create_dir_all(parent).map_err(|error| failed(parent, error))?;
        let name = real.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let lock_path = parent.join(format!("{PREFIX}{name}.lock"));
        let lock = match Lock::acquire(&lock_path) {
            Ok(Some(lock)) => lock,
            Ok(None) => return Err(DirectoryError::Busy(target.to_owned())),
            Err(error) => return Err(failed(&lock_path, error)),
        };
        let prefix = format!("{PREFIX}{name}.");
        sweep(parent, &prefix);
        let temporary = tempfile::Builder::new()
            .prefix(&prefix)
            .suffix(".tmp")
            .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .tempdir_in(parent)
            .map_err(|error| failed(parent, error))?;
        Ok(Self { target: real, temporary, lock })
    }

    /// What to remove when the build is interrupted: the temporary directory and the lock.
    pub fn unfinished(&self) -> [PathBuf; 2] {
        [self.temporary.path().to_owned(), self.lock.path.clone()]
    }

    /// The directory to write to; [`OutputDirectory::commit`] makes it the output, otherwise it is
    /// removed on drop.
    pub fn temporary(&self) -> &Path {
        self.temporary.path()
    }

    /// Replaces the old output with the new one.
    ///
    /// # Errors
    /// [`DirectoryError::Write`]; the old output then still exists.
    pub fn commit(self) -> Result<(), DirectoryError> {
        let failed = |source| DirectoryError::Write { path: self.target.clone(), source };
        let new = self.temporary.path();
        if self.target.exists() {
            exchange(new, &self.target).map_err(failed)?;
        } else {
            fs::rename(new, &self.target).map_err(failed)?;
        }
        // The temporary name now belongs to the old output, or to nothing.
        Ok(())
    }
}

/// Exchanges two directories with one system call, so that a complete output exists at every
/// moment; with three renames where the file system does not support that (NFS and some others,
/// renameat2(2)).
fn exchange(new: &Path, old: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    use rustix::io::Errno;
    match renameat_with(CWD, new, CWD, old, RenameFlags::EXCHANGE) {
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {}
        result => return result.map_err(io::Error::from),
    }
    let aside = new.with_extension("old.tmp");
    fs::rename(old, &aside)?;
    if let Err(error) = fs::rename(new, old) {
        fs::rename(&aside, old)?;
        return Err(error);
    }
    fs::rename(&aside, new)
}

impl Lock {
    /// Locks the file at `path`; `None` when another process holds the lock.
    fn acquire(path: &Path) -> io::Result<Option<Self>> {
        loop {
            let file = File::options().create(true).truncate(false).write(true).open(path)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(fs::TryLockError::WouldBlock) => return Ok(None),
                Err(fs::TryLockError::Error(error)) => return Err(error),
            }
            // The previous holder may have removed the file meanwhile; then other processes will
            // lock a new file.
            let open = file.metadata()?;
            if fs::metadata(path).is_ok_and(|named| named.dev() == open.dev() && named.ino() == open.ino()) {
                return Ok(Some(Self { path: path.to_owned(), _file: file }));
            }
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // A remaining file does no harm: it is not locked.
        let _ = fs::remove_file(&self.path);
    }
}

fn is_ours(target: &Path) -> bool {
    let empty = || fs::read_dir(target).is_ok_and(|mut entries| entries.next().is_none());
    target.join(kiln_manifest::FILE).is_file() || empty()
}

fn sweep(parent: &Path, prefix: &str) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(prefix) && name.ends_with(".tmp") {
            // Left by a build that was killed: this process holds the lock.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// Detects an output that a build would only reproduce, by the digest of all inputs and the files'
/// inode data, as make and git do. The files' contents are not compared; `kiln verify` does that.
#[derive(Debug)]
pub(super) struct Unchanged {
    directory: PathBuf,
    key: Digest,
}

impl Unchanged {
    /// Computes a key from everything that determines the contents of `directory`.
    pub(super) fn new(locked: &Locked, overlays: &[Overlay], directory: &Path) -> Self {
        let mut hasher = Sha256::new();
        // The running kiln is identified by inode data: hashing it would take longer than the rest.
        hasher.update(stamp(Path::new("/proc/self/exe")).unwrap_or_default());
        // Serializing plain data cannot fail.
        hasher.update(serde_json::to_vec(locked.profile()).unwrap_or_default());
        hasher.update(locked.lock().to_text());
        for overlay in overlays {
            hasher.update(overlay.digest().as_bytes());
        }
        let directory = std::path::absolute(directory).unwrap_or_else(|_| directory.to_owned());
        hasher.update(directory.as_os_str().as_encoded_bytes());
        Self { directory, key: Digest::finish(hasher) }
    }

    /// Returns the manifest of the output if nothing has changed since [`Unchanged::remember`].
    pub(super) fn find(&self, cache: &Cache) -> Option<Manifest> {
        let remembered = cache.derived("output", &self.key)?;
        let manifest: Manifest =
            serde_json::from_slice(&fs::read(self.directory.join(kiln_manifest::FILE)).ok()?).ok()?;
        (remembered == self.stamps(&manifest)?.as_bytes()).then_some(manifest)
    }

    /// Records that the output is up to date.
    pub(super) fn remember(&self, cache: &Cache, manifest: &Manifest) {
        if let Some(stamps) = self.stamps(manifest) {
            // If this fails, the next build only repeats the work.
            let _ = cache.put_derived("output", &self.key, stamps.as_bytes());
        }
    }

    fn stamps(&self, manifest: &Manifest) -> Option<String> {
        let names = manifest
            .outputs
            .iter()
            .map(|output| output.path.as_str())
            .chain([kiln_manifest::FILE, kiln_manifest::SUMS]);
        names.map(|name| stamp(&self.directory.join(name)).ok()).collect()
    }
}

/// Inode, size and times of a file, one of which changes whenever the file does.
fn stamp(path: &Path) -> io::Result<String> {
    let found = fs::metadata(path)?;
    Ok(format!(
        "{} {} {} {}.{:09} {}.{:09}\n",
        found.dev(),
        found.ino(),
        found.size(),
        found.mtime(),
        found.mtime_nsec(),
        found.ctime(),
        found.ctime_nsec()
    ))
}
