//! The output directory: replaced whole or left alone.

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

/// Names of temporary directories begin so, beside the output.
const PREFIX: &str = ".kiln-";

/// Why the output cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// It is there and was not made by kiln.
    #[error(
        "{0} exists and is not an output of kiln (it has no manifest.json); choose another with --out, or remove it"
    )]
    Foreign(PathBuf),
    /// Another build writes it now.
    #[error("another build is writing {0}; wait for it, or choose another directory with --out")]
    Busy(PathBuf),
    /// The file system refuses.
    #[error("writing the output {path}: {source}{}", remedy(source))]
    Write {
        /// What was written.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
}

/// A new output under construction, beside the old one.
#[derive(Debug)]
pub struct OutputDirectory {
    target: PathBuf,
    temporary: tempfile::TempDir,
    /// Held until the end: two builds of one output take turns at failing, not at mixing.
    lock: Lock,
}

/// A locked file beside the output, removed when the build ends.
#[derive(Debug)]
struct Lock {
    path: PathBuf,
    /// Unlocked when closed, which is after `drop` has removed the file.
    _file: File,
}

impl OutputDirectory {
    /// Starts a new output for `target`, or for the directory it is a link to; what killed builds left beside it is removed.
    ///
    /// # Errors
    /// [`DirectoryError`].
    pub fn create(target: &Path) -> Result<Self, DirectoryError> {
        let failed = |path: &Path, source| DirectoryError::Write { path: path.to_owned(), source };
        if target.symlink_metadata().is_ok() && !is_ours(target) {
            return Err(DirectoryError::Foreign(target.to_owned()));
        }
        // Where it really is: a link to it, or "." for it, cannot be renamed in its stead.
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

    /// What must vanish when the build is interrupted: the temporary directory and the lock.
    pub fn unfinished(&self) -> [PathBuf; 2] {
        [self.temporary.path().to_owned(), self.lock.path.clone()]
    }

    /// Where to write; it becomes the output by [`OutputDirectory::commit`] and vanishes otherwise.
    pub fn temporary(&self) -> &Path {
        self.temporary.path()
    }

    /// Puts the new output in the old one's place.
    ///
    /// # Errors
    /// [`DirectoryError::Write`]; the old output is then still there.
    pub fn commit(self) -> Result<(), DirectoryError> {
        let failed = |source| DirectoryError::Write { path: self.target.clone(), source };
        let new = self.temporary.path();
        if self.target.exists() {
            exchange(new, &self.target).map_err(failed)?;
        } else {
            fs::rename(new, &self.target).map_err(failed)?;
        }
        // What is under the temporary name now is the old output, or nothing.
        Ok(())
    }
}

/// Makes each of two directories the other: by one system call, so that at no moment there is none or half an output; where the
/// file system cannot (NFS and some others, renameat2(2)), by three.
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
    /// `None`: another process has it.
    fn acquire(path: &Path) -> io::Result<Option<Self>> {
        loop {
            let file = File::options().create(true).truncate(false).write(true).open(path)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(fs::TryLockError::WouldBlock) => return Ok(None),
                Err(fs::TryLockError::Error(error)) => return Err(error),
            }
            // Whoever held it has perhaps removed it meanwhile; then this is not the file that others will lock.
            let open = file.metadata()?;
            if fs::metadata(path).is_ok_and(|named| named.dev() == open.dev() && named.ino() == open.ino()) {
                return Ok(Some(Self { path: path.to_owned(), _file: file }));
            }
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // One that stays does no harm: it is not locked.
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
            // Left by a build that was killed: its lock is free, or we would not be here.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// Tells whether an output is what a build would make again, by the digest of all that goes in and the files' inode data, as
/// make and git do; the bytes themselves are `kiln verify`'s business.
#[derive(Debug)]
pub(super) struct Unchanged {
    directory: PathBuf,
    key: Digest,
}

impl Unchanged {
    /// A key for everything that decides what is in `directory`.
    pub(super) fn new(locked: &Locked, overlays: &[Overlay], directory: &Path) -> Self {
        let mut hasher = Sha256::new();
        // The running kiln counts by inode data: hashing it would take longer than the rest.
        hasher.update(stamp(Path::new("/proc/self/exe")).unwrap_or_default());
        // Plain data always serializes.
        hasher.update(serde_json::to_vec(locked.profile()).unwrap_or_default());
        hasher.update(locked.lock().to_text());
        for overlay in overlays {
            hasher.update(overlay.digest().as_bytes());
        }
        let directory = std::path::absolute(directory).unwrap_or_else(|_| directory.to_owned());
        hasher.update(directory.as_os_str().as_encoded_bytes());
        Self { directory, key: Digest::finish(hasher) }
    }

    /// The manifest of the output, if nothing changed since [`Unchanged::remember`].
    pub(super) fn find(&self, cache: &Cache) -> Option<Manifest> {
        let remembered = cache.derived("output", &self.key)?;
        let manifest: Manifest =
            serde_json::from_slice(&fs::read(self.directory.join(kiln_manifest::FILE)).ok()?).ok()?;
        (remembered == self.stamps(&manifest)?.as_bytes()).then_some(manifest)
    }

    /// Remembers that the output is what it should be.
    pub(super) fn remember(&self, cache: &Cache, manifest: &Manifest) {
        if let Some(stamps) = self.stamps(manifest) {
            // Without it the next build does the work again, no more.
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

/// Size, times and inode of a file: what changes when it does.
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
