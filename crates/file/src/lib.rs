//! Files of this machine that a user, a profile, a lock or a cache names: opened only if they are
//! regular files, and read up to a limit.
//!
//! Opening a FIFO waits for a writer, and a device such as `/dev/zero` has no end; neither is what a
//! name in a profile or a directory that others can write may make kiln do.

use rustix::fs::OFlags;
use rustix::io::Errno;
use std::fs::{self, File, FileType, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

/// Opens a regular file for reading; follows links.
///
/// # Errors
/// [`ErrorKind::IsADirectory`] for a directory, [`ErrorKind::InvalidInput`] for a FIFO, a device or a
/// socket, which is not opened; otherwise those of open(2).
pub fn open(path: &Path) -> io::Result<File> {
    // Opening a device can have effects, such as rewinding a tape, so look before.
    must_be_regular(fs::metadata(path)?.file_type())?;
    // It may have been replaced since: O_NONBLOCK prevents waiting, and has no effect on a regular
    // file.
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path)?;
    must_be_regular(file.metadata()?.file_type())?;
    Ok(file)
}

/// Opens a file for reading and writing, and creates it with `mode` (reduced by umask(2)) when it is missing.
/// Does not follow a link in the last component: in a directory that others can write, such as
/// `/tmp`, it would decide which file is written.
///
/// # Errors
/// Those of open(2); [`ErrorKind::InvalidInput`] for a link; those of [`open`] if it is not a regular
/// file.
pub fn create_unlinked(path: &Path, mode: u32) -> io::Result<File> {
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::NOFOLLOW;
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).read(true).write(true).mode(mode).custom_flags(flags.bits().cast_signed());
    let file = options.open(path).map_err(|error| match error.raw_os_error() {
        Some(code) if code == Errno::LOOP.raw_os_error() => {
            io::Error::new(ErrorKind::InvalidInput, "it is a symbolic link, which is not followed here")
        }
        _ => error,
    })?;
    must_be_regular(file.metadata()?.file_type())?;
    Ok(file)
}

/// Reads a regular file of at most `limit` bytes.
///
/// # Errors
/// Those of [`open`] and of reading; [`ErrorKind::FileTooLarge`] when it has more bytes.
pub fn read(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(io::Error::new(ErrorKind::FileTooLarge, format!("it has more than {limit} bytes")));
    }
    Ok(bytes)
}

/// Like [`read`], for a file that must be UTF-8.
///
/// # Errors
/// Those of [`read`]; [`ErrorKind::InvalidData`] with the offset of the first byte that is not UTF-8.
pub fn read_text(path: &Path, limit: u64) -> io::Result<String> {
    String::from_utf8(read(path, limit)?).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        io::Error::new(ErrorKind::InvalidData, format!("it is not UTF-8 at byte {at}"))
    })
}

fn must_be_regular(found: FileType) -> io::Result<()> {
    let (kind, what) = match found {
        found if found.is_file() => return Ok(()),
        found if found.is_dir() => (ErrorKind::IsADirectory, "a directory"),
        found if found.is_fifo() => (ErrorKind::InvalidInput, "a named pipe"),
        found if found.is_socket() => (ErrorKind::InvalidInput, "a socket"),
        _ => (ErrorKind::InvalidInput, "a device"),
    };
    Err(io::Error::new(kind, format!("it is {what}, not a regular file")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn only_regular_files_are_opened_and_nothing_waits() {
        let directory = tempfile::tempdir().expect("a directory");
        let at = |name: &str| directory.path().join(name);
        fs::write(at("file"), "text").expect("written");
        symlink("file", at("link")).expect("a link");
        rustix::fs::mkfifoat(rustix::fs::CWD, at("fifo"), 0o600.into()).expect("a fifo");
        std::os::unix::net::UnixListener::bind(at("socket")).expect("a socket");
        assert_eq!(read_text(&at("link"), 4).expect("read"), "text");
        for (path, why) in [
            (at("fifo"), "a named pipe"),
            (at("socket"), "a socket"),
            (at(""), "a directory"),
            ("/dev/zero".into(), "a device"),
        ] {
            let error = read(&path, 4).expect_err("refused").to_string();
            assert_eq!(error, format!("it is {why}, not a regular file"));
        }
        assert_eq!(open(&at("none")).expect_err("missing").kind(), ErrorKind::NotFound);
    }

    #[test]
    fn limits_are_exact() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("file");
        fs::write(&path, b"ab\xff").expect("written");
        assert_eq!(read(&path, 3).expect("read"), b"ab\xff");
        assert_eq!(read(&path, 2).expect_err("too large").kind(), ErrorKind::FileTooLarge);
        assert_eq!(read_text(&path, 3).expect_err("not text").to_string(), "it is not UTF-8 at byte 2");
        assert!(read(&path, u64::MAX).is_ok());
    }

    #[test]
    fn a_link_is_not_created_through() {
        let directory = tempfile::tempdir().expect("a directory");
        let (link, target) = (directory.path().join("link"), directory.path().join("target"));
        symlink(&target, &link).expect("a link");
        assert_eq!(create_unlinked(&link, 0o600).expect_err("refused").kind(), ErrorKind::InvalidInput);
        assert!(!target.exists());
        create_unlinked(&target, 0o600).expect("created");
        create_unlinked(&target, 0o644).expect("opened");
        assert_eq!(fs::metadata(&target).expect("there").permissions().mode() & 0o777, 0o600);
        rustix::fs::mkfifoat(rustix::fs::CWD, directory.path().join("fifo"), 0o600.into()).expect("a fifo");
        assert!(create_unlinked(&directory.path().join("fifo"), 0o600).is_err());
    }
}
