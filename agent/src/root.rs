//! Files below a root directory, written so that a power loss at any moment leaves either the old
//! or the new file.

use crate::paths::UNFINISHED;
use rustix::fs::{CWD, Mode, OFlags};
use std::fs::{self, File, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// The largest file that is read, in bytes.
const MAX_FILE: u64 = 4 << 20;

/// `TMPFS_MAGIC` and `RAMFS_MAGIC` (linux/magic.h).
const IN_MEMORY: [u64; 2] = [0x0102_1994, 0x8584_58f6];

/// A file cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[error("{doing} {path}: {source}")]
pub struct FileError {
    doing: &'static str,
    path: PathBuf,
    source: io::Error,
}

impl FileError {
    /// Whether trying again cannot help: what is in the way stays there.
    pub fn is_lasting(&self) -> bool {
        use io::ErrorKind::{
            AlreadyExists, InvalidFilename, InvalidInput, IsADirectory, NotADirectory, PermissionDenied,
            ReadOnlyFilesystem,
        };
        matches!(
            self.source.kind(),
            AlreadyExists
                | InvalidFilename
                | InvalidInput
                | IsADirectory
                | NotADirectory
                | PermissionDenied
                | ReadOnlyFilesystem
        )
    }
}

/// The directory used as `/`.
#[derive(Debug, Clone)]
pub struct RootDir(PathBuf);

/// Owner and permissions of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Access {
    /// Permissions.
    pub mode: u32,
    /// Owner and group; `None` means the user that runs the agent.
    pub owner: Option<(u32, u32)>,
}

impl Access {
    /// The agent's own user, and `mode`.
    pub fn mode(mode: u32) -> Self {
        Self { mode, owner: None }
    }
}

impl RootDir {
    /// Below `directory`.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self(directory.into())
    }

    /// Whether this is the machine itself, not a directory used in its place.
    pub fn is_machine(&self) -> bool {
        self.0 == Path::new("/")
    }

    /// Whether written files survive a power loss: `/var` is not in memory (statfs(2)).
    pub fn is_kept(&self) -> bool {
        let in_memory =
            |found: rustix::fs::StatFs| IN_MEMORY.contains(&u64::try_from(found.f_type).unwrap_or_default());
        !rustix::fs::statfs(self.at("/var")).is_ok_and(in_memory)
    }

    /// The directory.
    pub fn directory(&self) -> &Path {
        &self.0
    }

    /// The location of an absolute path.
    pub fn at(&self, path: &str) -> PathBuf {
        self.0.join(path.trim_start_matches('/'))
    }

    /// Reads the text of a file; `None` if it does not exist.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn read(&self, path: &str) -> Result<Option<Zeroizing<String>>, FileError> {
        read(&self.at(path))
    }

    /// Writes `content` to the file at `path`, and creates missing parent directories (0755).
    /// Nothing is written if the file is already equal.
    ///
    /// # Errors
    /// [`FileError`]; the existing file is then unchanged.
    pub fn write(&self, path: &str, content: &[u8], access: Access) -> Result<(), FileError> {
        let target = self.at(path);
        if is_already(&target, content, access) {
            return Ok(());
        }
        let directory = target.parent().unwrap_or(&self.0);
        make_directories(directory).map_err(failed("making the directory", directory))?;
        // One agent runs at a time, so one temporary name is enough; a leftover of a power loss is
        // replaced.
        let mut name = target.file_name().unwrap_or_default().to_owned();
        name.push(UNFINISHED);
        let temporary = directory.join(name);
        let result = write_new(&temporary, content, access).and_then(|()| fs::rename(&temporary, &target));
        if result.is_err() {
            fs::remove_file(&temporary).ok();
        }
        result.and_then(|()| sync(directory)).map_err(failed("writing", &target))
    }

    /// Makes `path` a symbolic link to `target`, through `temporary` beside it.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn link(&self, path: &str, target: &str, temporary: &str) -> Result<(), FileError> {
        let (link, temporary) = (self.at(path), self.at(temporary));
        let directory = link.parent().unwrap_or(&self.0);
        let make = || {
            match fs::remove_file(&temporary) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            std::os::unix::fs::symlink(target, &temporary)?;
            fs::rename(&temporary, &link)?;
            sync(directory)
        };
        make().map_err(failed("linking", &link))
    }

    /// Removes the file at `path` if it exists; returns whether it existed.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn remove(&self, path: &str) -> Result<bool, FileError> {
        let target = self.at(path);
        match fs::remove_file(&target) {
            Ok(()) => sync(target.parent().unwrap_or(&self.0)).map(|()| true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
        .map_err(failed("removing", &target))
    }
}

/// Reads the text of `path`; `None` if it does not exist.
///
/// # Errors
/// [`FileError`].
pub fn read(path: &Path) -> Result<Option<Zeroizing<String>>, FileError> {
    let file = match File::open(path) {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        result => result.map_err(failed("reading", path))?,
    };
    let size = file.metadata().map_or(0, |metadata| metadata.len());
    // Allocated at its full size, so that growing leaves no copies of a secret behind.
    let mut text = Zeroizing::new(String::with_capacity(usize::try_from(size.min(MAX_FILE)).unwrap_or_default() + 1));
    let length = file.take(MAX_FILE + 1).read_to_string(&mut text).map_err(failed("reading", path))?;
    if length as u64 > MAX_FILE {
        return Err(failed("reading", path)(io::Error::other(format!("it has more than {MAX_FILE} bytes"))));
    }
    Ok(Some(text))
}

fn is_already(path: &Path, content: &[u8], access: Access) -> bool {
    let Ok(metadata) = fs::symlink_metadata(path) else { return false };
    metadata.is_file()
        && metadata.len() == content.len() as u64
        && metadata.mode() & 0o7777 == access.mode
        && access.owner.is_none_or(|owner| owner == (metadata.uid(), metadata.gid()))
        && fs::read(path).map(Zeroizing::new).is_ok_and(|found| found.as_slice() == content)
}

/// Like [`fs::create_dir_all`], but independent of the umask, because users other than root read
/// the files, such as systemd-timesyncd.
fn make_directories(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    path.parent().map_or(Ok(()), make_directories)?;
    match fs::create_dir(path) {
        // Another program made it meanwhile.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        Err(error) => Err(error),
        Ok(()) => fs::set_permissions(path, Permissions::from_mode(0o755)),
    }
}

fn write_new(path: &Path, content: &[u8], access: Access) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    // Nobody else can read it before it has its owner and mode.
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut file = File::from(rustix::fs::openat(CWD, path, flags, Mode::from_raw_mode(0o600))?);
    file.write_all(content)?;
    if let Some((uid, gid)) = access.owner {
        std::os::unix::fs::fchown(&file, Some(uid), Some(gid))?;
    }
    file.set_permissions(Permissions::from_mode(access.mode))?;
    file.sync_all()
}

fn sync(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> FileError {
    let path = path.to_owned();
    move |source| FileError { doing, path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_replaced_atomically() {
        let directory = tempfile::tempdir().expect("a directory");
        let root = RootDir::new(directory.path());
        root.write("/a/b", b"one", Access::mode(0o600)).expect("written");
        // Left by a power loss.
        fs::write(root.at("/a/b.kiln-new"), "half").expect("written");
        let before = fs::metadata(root.at("/a/b")).expect("metadata").ino();
        root.write("/a/b", b"one", Access::mode(0o600)).expect("nothing to do");
        assert_eq!(fs::metadata(root.at("/a/b")).expect("metadata").ino(), before, "written again");
        root.write("/a/b", b"two", Access::mode(0o644)).expect("written");
        assert_eq!(root.read("/a/b").expect("read").as_deref().map(String::as_str), Some("two"));
        let names: Vec<_> = fs::read_dir(root.at("/a"))
            .expect("a directory")
            .map(|entry| entry.expect("an entry").file_name())
            .collect();
        assert_eq!(names, ["b"], "nothing else is left");
        assert_eq!(fs::metadata(root.at("/a/b")).expect("metadata").mode() & 0o7777, 0o644);
    }

    #[test]
    fn links_are_replaced() {
        let directory = tempfile::tempdir().expect("a directory");
        let root = RootDir::new(directory.path());
        fs::write(root.at("/current"), "a regular file").expect("written");
        root.link("/current", "/target", "/updated").expect("linked");
        assert_eq!(fs::read_link(root.at("/current")).expect("a link"), Path::new("/target"));
        assert!(root.remove("/current").expect("removed"));
        assert!(!root.remove("/current").expect("nothing"));
        assert!(root.read("/current").expect("nothing").is_none());
    }

    #[test]
    fn directories_are_readable_by_everyone() {
        let directory = tempfile::tempdir().expect("a directory");
        let root = RootDir::new(directory.path());
        let mode = |path: &str| fs::metadata(root.at(path)).expect("a directory").permissions().mode() & 0o7777;
        root.write("/x/y/z", b"x", Access::mode(0o600)).expect("written");
        assert_eq!([mode("/x"), mode("/x/y"), mode("/x/y/z")], [0o755, 0o755, 0o600]);
    }

    #[test]
    fn errors_name_the_file_that_cannot_be_written() {
        let directory = tempfile::tempdir().expect("a directory");
        let root = RootDir::new(directory.path());
        fs::create_dir_all(root.at("/a/b")).expect("a directory");
        let error = root.write("/a", b"x", Access::mode(0o600)).expect_err("a directory");
        assert!(error.to_string().starts_with("writing ") && error.to_string().contains("/a: "), "{error}");
        assert!(!root.at("/a.kiln-new").exists());
        assert!(error.is_lasting(), "{error}");
    }

    /// The file keeps its mode: it is not a directory that the agent made.
    #[test]
    fn a_file_in_place_of_a_directory_is_left_alone() {
        let directory = tempfile::tempdir().expect("a directory");
        let root = RootDir::new(directory.path());
        root.write("/a", b"x", Access::mode(0o600)).expect("written");
        let error = root.write("/a/b/c", b"x", Access::mode(0o600)).expect_err("a file");
        assert!(error.is_lasting(), "{error}");
        assert_eq!(fs::metadata(root.at("/a")).expect("a file").mode() & 0o7777, 0o600);
    }
}
