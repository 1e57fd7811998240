//! Writes files that users name on the command line.

use anyhow::{Context as _, bail};
use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

/// Writes a file with `mode` (reduced by umask(2)) atomically, by way of a temporary file beside
/// it; follows a symbolic link, unless another user may have planted it. A device or a pipe, such as `/dev/stdout`, is written to and not
/// replaced, unless `mode` grants access to the owner only: then it is an error.
///
/// # Errors
/// When the file cannot be written, or is a directory.
pub(super) fn write(path: &Path, mode: u32, write: impl FnOnce(&mut File) -> io::Result<()>) -> anyhow::Result<()> {
    let writing = || format!("writing {}", path.display());
    follow_only_trusted(path)?;
    match fs::metadata(path).map(|metadata| metadata.file_type()) {
        Ok(kind) if kind.is_dir() => bail!("writing {}: it is a directory; name a file in it", path.display()),
        Ok(kind) if !kind.is_file() && mode & 0o077 == 0 => {
            bail!("writing {}: it is not a regular file, and other users could read the secret there", path.display())
        }
        Ok(kind) if !kind.is_file() => {
            let mut file = OpenOptions::new().write(true).open(path).with_context(writing)?;
            return write(&mut file).with_context(writing);
        }
        _ => {}
    }
    let real = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let parent = real.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let attempt = || {
        let mut file =
            tempfile::Builder::new().prefix(".kiln.").permissions(Permissions::from_mode(mode)).tempfile_in(parent)?;
        write(file.as_file_mut())?;
        file.as_file().sync_all()?;
        file.persist(&real).map_err(|error| error.error)
    };
    attempt().with_context(writing)?;
    Ok(())
}

/// Rejects a symbolic link that another user made in a directory where anyone can, such as `/tmp`.
fn follow_only_trusted(path: &Path) -> anyhow::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if let (Ok(link), Ok(directory)) = (fs::symlink_metadata(path), fs::metadata(parent))
        && link.is_symlink()
        && !is_trusted_link(link.uid(), directory.uid(), directory.mode(), rustix::process::geteuid().as_raw())
    {
        bail!(
            "writing {}: it is a symbolic link of another user in a directory that anyone can write; name another file",
            path.display()
        );
    }
    Ok(())
}

/// The kernel's rule for `fs.protected_symlinks` (Documentation/admin-guide/sysctl/fs.rst), which
/// need not be on, and does not apply to links that a program reads itself.
fn is_trusted_link(link_owner: u32, directory_owner: u32, directory_mode: u32, user: u32) -> bool {
    let anyone_can_write = directory_mode & 0o1002 == 0o1002;
    !anyone_can_write || link_owner == user || link_owner == directory_owner
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;
    use std::os::unix::fs::FileTypeExt as _;
    use std::process::Command;

    #[test]
    fn a_pipe_is_written_to_and_not_replaced() {
        let directory = tempfile::tempdir().expect("a directory");
        let pipe = directory.path().join("pipe");
        assert!(Command::new("mkfifo").arg(&pipe).status().expect("mkfifo starts").success());
        let reader = std::thread::spawn({
            let pipe = pipe.clone();
            move || fs::read_to_string(pipe).expect("read")
        });
        write(&pipe, 0o644, |file| file.write_all(b"text")).expect("written");
        assert_eq!(reader.join().expect("joined"), "text");
        assert!(fs::metadata(&pipe).expect("there").file_type().is_fifo());
        let secret = write(&pipe, 0o600, |file| file.write_all(b"secret")).expect_err("refused").to_string();
        assert!(secret.contains("not a regular file"), "{secret}");
    }

    #[test]
    fn links_are_followed_unless_another_user_may_have_planted_them() {
        // Link's owner, directory's owner and mode, this user.
        for trusted in [(1000, 0, 0o1777, 1000), (0, 0, 0o1777, 1000), (7, 1000, 0o755, 1000), (7, 0, 0o777, 1000)] {
            assert!(is_trusted_link(trusted.0, trusted.1, trusted.2, trusted.3), "{trusted:?}");
        }
        for planted in [(7, 0, 0o1777, 1000), (7, 0, 0o1777, 0), (7, 1000, 0o1777, 1000)] {
            assert!(!is_trusted_link(planted.0, planted.1, planted.2, planted.3), "{planted:?}");
        }
    }

    #[test]
    fn a_file_is_written_atomically_and_a_link_is_followed() {
        let directory = tempfile::tempdir().expect("a directory");
        let (file, link) = (directory.path().join("file"), directory.path().join("link"));
        std::os::unix::fs::symlink("file", &link).expect("a link");
        write(&file, 0o600, |file| file.write_all(b"old")).expect("written");
        assert_eq!(fs::metadata(&file).expect("there").permissions().mode() & 0o777, 0o600);
        let failed = |file: &mut File| file.write_all(b"ne").and_then(|()| Err(io::Error::other("full")));
        assert!(write(&file, 0o644, failed).is_err());
        assert_eq!(fs::read(&file).expect("read"), b"old");
        write(&link, 0o644, |file| file.write_all(b"new")).expect("written");
        assert_eq!(fs::read(&file).expect("read"), b"new");
        assert!(link.is_symlink());
        assert!(write(directory.path(), 0o644, |_| Ok(())).is_err());
        assert_eq!(fs::read_dir(directory.path()).expect("a directory").count(), 2);
    }
}
