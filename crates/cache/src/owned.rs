//! Whether a directory is a cache of kiln, which its files may be removed from and believed in.

use super::{CacheError, TMP};
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The file that marks a cache.
const TAG: &str = "CACHEDIR.TAG";
/// Its contents; the first line is fixed by <https://bford.info/cachedir/>.
const TAG_TEXT: &[u8] = b"Signature: 8a477f597d28d172789f06886806bc55\n# Created by kiln.\n";
/// The file that is locked.
pub(super) const LOCK: &str = "lock";
/// The directories of a cache.
pub(super) const DIRECTORIES: [&str; 4] = ["blobs", "partial", "derived", TMP];

/// What a directory is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// It does not exist, is empty, or is a cache whose creation was interrupted.
    New,
    /// It is a cache.
    Cache,
}

/// Returns what `root` is, without changing anything.
///
/// # Errors
/// [`CacheError::Foreign`] when it has files and no tag of kiln's; [`CacheError::Shared`] when
/// others can write it; [`CacheError::Unusable`] when it cannot be read.
pub(super) fn inspect(root: &Path) -> Result<State, CacheError> {
    let unusable = |source| CacheError::Unusable { path: root.to_owned(), source };
    let names: BTreeSet<OsString> = match fs::read_dir(root) {
        Ok(entries) => entries.map(|entry| Ok(entry?.file_name())).collect::<io::Result<_>>().map_err(unusable)?,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(State::New),
        Err(error) => return Err(unusable(error)),
    };
    let foreign = |why| CacheError::Foreign { path: root.to_owned(), why };
    let state = match tag(root).map_err(unusable)? {
        Some(tag) if tag.starts_with(TAG_TEXT) => State::Cache,
        // kiln creates the tag first, so only names of its own can stand beside a tag that a power
        // loss cut off.
        Some(tag) if TAG_TEXT.starts_with(&tag) && names.iter().all(is_own_name) => State::New,
        Some(_) => return Err(foreign("its CACHEDIR.TAG is not kiln's".to_owned())),
        None if names.is_empty() => State::New,
        None => {
            let first = names.first().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            return Err(foreign(format!("it has no CACHEDIR.TAG, but other files ({first:?})")));
        }
    };
    for path in DIRECTORIES.iter().map(|name| root.join(name)).chain([root.join(LOCK)]) {
        match fs::symlink_metadata(&path) {
            Ok(found) if found.is_symlink() => {
                return Err(foreign(format!("{:?} is a symbolic link", path.file_name().unwrap_or_default())));
            }
            Ok(found) => only_ours(&path, &found)?,
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(unusable(error)),
        }
    }
    only_ours(root, &fs::metadata(root).map_err(unusable)?)?;
    Ok(state)
}

/// Marks `root` as a cache, if it is not marked yet.
///
/// # Errors
/// When the tag cannot be written.
pub(super) fn mark(root: &Path) -> io::Result<()> {
    if tag(root)?.is_some_and(|tag| tag.starts_with(TAG_TEXT)) {
        return Ok(());
    }
    // Several processes may do so at once: all write the same bytes to the same file.
    let mut file = kiln_file::create_unlinked(&root.join(TAG), 0o644)?;
    io::Write::write_all(&mut file, TAG_TEXT)
}

/// The beginning of the tag, as long as kiln's; `None` when there is none.
fn tag(root: &Path) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    match kiln_file::open(&root.join(TAG)) {
        Ok(file) => io::Read::read_to_end(&mut io::Read::take(file, TAG_TEXT.len() as u64), &mut bytes)?,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    Ok(Some(bytes))
}

fn is_own_name(name: &OsString) -> bool {
    [TAG, LOCK].iter().chain(&DIRECTORIES).any(|own| name == own)
}

/// Rejects what another user than this one or root can write: derived data is used without its
/// input, so whoever can write it decides what is in an image.
fn only_ours(path: &Path, found: &Metadata) -> Result<(), CacheError> {
    let user = rustix::process::geteuid().as_raw();
    let why = if found.uid() != user && found.uid() != 0 {
        format!("it belongs to the user with the number {}", found.uid())
    } else if found.mode() & 0o022 != 0 {
        format!("its mode {:04o} lets other users write it", found.mode() & 0o7777)
    } else {
        return Ok(());
    };
    Err(CacheError::Shared { path: path.to_owned(), why })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::Permissions;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn rejected(root: &Path) -> String {
        let before = names(root);
        let error = inspect(root).expect_err("rejected").to_string();
        assert_eq!(names(root), before, "nothing is changed");
        error
    }

    fn names(root: &Path) -> Vec<OsString> {
        fs::read_dir(root).expect("listed").map(|entry| entry.expect("an entry").file_name()).collect()
    }

    #[test]
    fn only_an_empty_directory_becomes_a_cache() {
        let directory = tempfile::tempdir().expect("a directory");
        let root = directory.path();
        assert_eq!(inspect(&root.join("none")).expect("new"), State::New);
        assert_eq!(inspect(root).expect("new"), State::New);
        // An OCI layout has blobs/, too.
        fs::create_dir(root.join("blobs")).expect("made");
        assert!(rejected(root).contains("no CACHEDIR.TAG, but other files (\"blobs\")"));
        // Another program's cache.
        fs::write(root.join(TAG), [TAG_TEXT.split(|byte| *byte == b'#').next().expect("a line"), b"# cargo"].concat())
            .expect("written");
        assert!(rejected(root).contains("not kiln's"));
        // A tag that a power loss emptied.
        for kept in 0..TAG_TEXT.len() {
            fs::write(root.join(TAG), &TAG_TEXT[..kept]).expect("written");
            assert_eq!(inspect(root).expect("interrupted"), State::New);
        }
        fs::write(root.join("index.json"), "{}").expect("written");
        assert!(rejected(root).contains("not kiln's"));
        fs::remove_file(root.join("index.json")).expect("removed");
        mark(root).expect("marked");
        assert_eq!(inspect(root).expect("a cache"), State::Cache);
        // A user's file in a cache is left alone.
        fs::write(root.join("notes"), "mine").expect("written");
        assert_eq!(inspect(root).expect("a cache"), State::Cache);
    }

    #[test]
    fn links_and_what_others_can_write_are_rejected() {
        let directory = tempfile::tempdir().expect("a directory");
        let root = directory.path();
        mark(root).expect("marked");
        let elsewhere = tempfile::tempdir().expect("a directory");
        for name in DIRECTORIES.iter().chain([&LOCK]) {
            symlink(elsewhere.path(), root.join(name)).expect("a link");
            assert!(rejected(root).contains("is a symbolic link"), "{name}");
            fs::remove_file(root.join(name)).expect("removed");
        }
        fs::create_dir(root.join("derived")).expect("made");
        for path in [root.to_owned(), root.join("derived")] {
            for mode in [0o777, 0o775, 0o1777, 0o702] {
                fs::set_permissions(&path, Permissions::from_mode(mode)).expect("set");
                let why = rejected(root);
                assert!(why.contains(&format!("{}: its mode {mode:04o}", path.display())), "{why}");
            }
            fs::set_permissions(&path, Permissions::from_mode(0o755)).expect("set");
            inspect(root).expect("readable by others");
        }
    }
}
