//! The output directory: replaced as a whole or left unchanged.

use super::earlier::Earlier;
use kiln_artifact::remedy;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The prefix of temporary directories beside the output.
const PREFIX: &str = ".kiln-";
/// The suffix of temporary directories.
const SUFFIX: &str = ".tmp";
/// The suffix of an old output that has no other name at the moment.
const ASIDE: &str = ".old.tmp";

/// An output directory that cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// It exists and was not made by kiln.
    #[error("{path} exists and is not an output of kiln ({why}); choose another with --out, or remove it")]
    Foreign {
        /// The directory.
        path: PathBuf,
        /// How that was recognized.
        why: String,
    },
    /// It is an output of kiln, and has other files that would be deleted with it.
    #[error(
        "{path} has files that its {} does not list: {}; move them away, choose another directory with --out, or delete them with --force",
        kiln_manifest::FILE,
        listed(files)
    )]
    Unlisted {
        /// The directory.
        path: PathBuf,
        /// The files, relative to it.
        files: Vec<PathBuf>,
    },
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

/// The first of `files`, and how many there are besides.
pub(super) fn listed(files: &[PathBuf]) -> String {
    const SHOWN: usize = 5;
    let mut text: Vec<String> = files.iter().take(SHOWN).map(|file| format!("{file:?}")).collect();
    if files.len() > SHOWN {
        text.push(format!("and {} more", files.len() - SHOWN));
    }
    text.join(", ")
}

/// A new, unfinished output beside the old one.
#[derive(Debug)]
pub struct OutputDirectory {
    target: PathBuf,
    earlier: Earlier,
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

/// The names beside an output directory.
struct Names {
    /// The output: the resolved path, because neither a link to the directory nor "." can be renamed.
    real: PathBuf,
    parent: PathBuf,
    lock: PathBuf,
    /// The beginning of the names of temporary directories.
    prefix: String,
}

impl Names {
    fn of(target: &Path) -> Self {
        let real = fs::canonicalize(target).unwrap_or_else(|_| target.to_owned());
        let parent = match real.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
            _ => PathBuf::from("."),
        };
        let name = real.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let lock = parent.join(format!("{PREFIX}{name}.lock"));
        Self { real, parent, lock, prefix: format!("{PREFIX}{name}.") }
    }

    /// The temporary directories that exist.
    fn temporary(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(&self.parent).into_iter().flatten().flatten();
        let is_ours = |entry: &fs::DirEntry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            name.starts_with(&self.prefix)
                && name.ends_with(SUFFIX)
                && entry.file_type().is_ok_and(|kind| kind.is_dir())
        };
        entries.filter(is_ours).map(|entry| entry.path()).collect()
    }

    /// Removes what killed builds left; the caller holds the lock.
    fn sweep(&self) {
        for path in self.temporary() {
            let is_old = path.to_string_lossy().ends_with(ASIDE);
            // Killed between two renames: it is the only complete output.
            if !(is_old && !self.real.exists() && fs::rename(&path, &self.real).is_ok()) {
                let _ = fs::remove_dir_all(&path);
            }
        }
    }
}

/// Removes what killed builds left beside `target`, unless another build is writing it.
pub(super) fn sweep(target: &Path) {
    let names = Names::of(target);
    if !names.temporary().is_empty()
        && let Ok(Some(_lock)) = Lock::acquire(&names.lock)
    {
        names.sweep();
    }
}

impl OutputDirectory {
    /// Starts a new output for `target`, or for the directory that it links to; removes what killed
    /// builds left beside it. With `force`, files in the old output that its manifest does not list
    /// will be deleted with it; see [`OutputDirectory::doomed`].
    ///
    /// # Errors
    /// [`DirectoryError`].
    pub fn create(target: &Path, force: bool) -> Result<Self, DirectoryError> {
        let failed = |path: &Path, source| DirectoryError::Write { path: path.to_owned(), source };
        // Before anything is created beside it.
        Earlier::read(target, force)?;
        let names = Names::of(target);
        fs::create_dir_all(&names.parent).map_err(|error| failed(&names.parent, error))?;
        let lock = match Lock::acquire(&names.lock) {
            Ok(Some(lock)) => lock,
            Ok(None) => return Err(DirectoryError::Busy(target.to_owned())),
            Err(error) => return Err(failed(&names.lock, error)),
        };
        names.sweep();
        let earlier = Earlier::read(target, force)?;
        let temporary = tempfile::Builder::new()
            .prefix(&names.prefix)
            .suffix(SUFFIX)
            .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .tempdir_in(&names.parent)
            .map_err(|error| failed(&names.parent, error))?;
        Ok(Self { target: names.real, earlier, temporary, lock })
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

    /// The files of the old output that its manifest does not list and that are deleted with it.
    pub fn doomed(&self) -> &[PathBuf] {
        self.earlier.unlisted()
    }

    /// Replaces the old output with the new one, and removes what [`OutputDirectory::create`] found
    /// in the old one. Returns the directory with what appeared in it since, if anything did.
    ///
    /// # Errors
    /// [`DirectoryError::Write`]; the old output then still exists.
    pub fn commit(self) -> Result<Option<PathBuf>, DirectoryError> {
        let failed = |source| DirectoryError::Write { path: self.target.clone(), source };
        let new = self.temporary.path();
        if !self.target.exists() {
            fs::rename(new, &self.target).map_err(failed)?;
            let _ = self.temporary.keep();
            return Ok(None);
        }
        // The old output is deleted next, so the new one must survive a power loss by then.
        sync(new).map_err(failed)?;
        exchange(new, &self.target).map_err(failed)?;
        if let Some(parent) = self.target.parent() {
            sync_directory(parent).map_err(failed)?;
        }
        // The temporary name now belongs to the old output.
        let old = self.temporary.keep();
        if self.earlier.remove(&old) {
            return Ok(None);
        }
        // A name that no later build removes.
        let kept = old.with_extension("kept");
        Ok(Some(if fs::rename(&old, &kept).is_ok() { kept } else { old }))
    }
}

/// Writes all files below `directory` to the disk, and the directories themselves.
fn sync(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            sync(&entry.path())?;
        } else {
            kiln_file::open(&entry.path())?.sync_all()?;
        }
    }
    sync_directory(directory)
}

fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
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
    let mut aside = new.as_os_str().to_owned();
    aside.push(ASIDE);
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
            let file = kiln_file::create_unlinked(path, 0o600)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(fs::TryLockError::WouldBlock) => return Ok(None),
                Err(fs::TryLockError::Error(error)) => return Err(error),
            }
            // The previous holder may have removed the file meanwhile; then other processes will
            // lock a new file.
            let open = file.metadata()?;
            if fs::symlink_metadata(path).is_ok_and(|named| named.dev() == open.dev() && named.ino() == open.ino()) {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn write(path: &Path, text: &str) {
        fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        fs::write(path, text).expect("written");
    }

    fn manifest(outputs: &[&str]) -> String {
        let outputs: Vec<_> = outputs.iter().map(|path| serde_json::json!({"path": path})).collect();
        serde_json::json!({"version": 1, "kiln": "0", "outputs": outputs}).to_string()
    }

    fn names(directory: &Path) -> Vec<String> {
        let name =
            |entry: io::Result<fs::DirEntry>| entry.expect("an entry").file_name().to_string_lossy().into_owned();
        let mut names: Vec<String> = fs::read_dir(directory).expect("listed").map(name).collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_that_appears_during_a_build_is_kept() {
        let place = tempfile::tempdir().expect("a directory");
        let out = place.path().join("out");
        write(&out.join("manifest.json"), &manifest(&["pxe/vmlinuz"]));
        write(&out.join("pxe/vmlinuz"), "old");
        let directory = OutputDirectory::create(&out, false).expect("replaceable");
        write(&directory.temporary().join("manifest.json"), &manifest(&[]));
        write(&out.join("pxe/notes"), "mine");
        let kept = directory.commit().expect("replaced").expect("kept");
        assert_eq!(names(&out), ["manifest.json"]);
        assert_eq!(fs::read_to_string(kept.join("pxe/notes")).expect("kept"), "mine");
        assert!(!kept.join("manifest.json").exists());
        sweep(&out);
        drop(OutputDirectory::create(&out, false).expect("replaceable"));
        assert!(kept.exists() && names(place.path()).len() == 2, "{:?}", names(place.path()));
    }

    #[test]
    fn what_killed_builds_left_is_removed_and_an_old_output_is_restored() {
        let place = tempfile::tempdir().expect("a directory");
        let at = |name: &str| place.path().join(name);
        write(&at(".kiln-out.aaa.tmp/disk.raw"), "half");
        write(&at(".kiln-out.bbb.tmp.old.tmp/manifest.json"), "old");
        write(&at(".kiln-other.ccc.tmp/disk.raw"), "another's");
        write(&at(".kiln-out.ddd.tmp"), "a file of the user");
        sweep(&at("out"));
        assert_eq!(names(place.path()), [".kiln-other.ccc.tmp", ".kiln-out.ddd.tmp", "out"]);
        assert_eq!(fs::read_to_string(at("out/manifest.json")).expect("restored"), "old");
    }

    #[test]
    fn a_lock_is_not_taken_through_a_link() {
        let place = tempfile::tempdir().expect("a directory");
        std::os::unix::fs::symlink(place.path().join("victim"), place.path().join(".kiln-out.lock")).expect("a link");
        let error = OutputDirectory::create(&place.path().join("out"), false).expect_err("refused").to_string();
        assert!(error.contains(".kiln-out.lock: it is a symbolic link"), "{error}");
        assert!(!place.path().join("victim").exists());
    }
}
