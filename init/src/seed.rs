//! Copies files of the image to the node's state; they follow the image until the node changes
//! them.
//!
//! A copied file has an extended attribute with the modification time that it got. As long as the
//! file still has that time, nobody has written to it, and the copy is replaced when the image has
//! a new version. Files that the node wrote are never changed.

use rustix::fs::{CWD, Gid, Mode, Uid, XattrFlags, chownat, lgetxattr, lsetxattr};
use rustix::io::Errno;
use std::fs::{self, File, Metadata};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;

/// The extended attribute with the modification time of a copy, `SECONDS.NANOSECONDS`.
const COPIED: &str = "user.kiln.copied";

/// The largest file that is compared and copied, in bytes: larger files belong in `/usr`.
const MAX_FILE: u64 = 64 << 20;

/// Copies what is below `from` to `to` by the rules above. Only directories, files and symbolic
/// links are copied; existing directories and links stay unchanged.
pub(crate) fn copy(from: &str, to: &str) -> Result<(), String> {
    let entries = fs::read_dir(from).map_err(|error| format!("reading {from}: {error}"))?;
    for entry in entries {
        let entry = entry.map_err(|error| format!("reading {from}: {error}"))?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        let (source, target) = (format!("{from}/{name}"), format!("{to}/{name}"));
        let failed = |error: io::Error| format!("copying {source} to {target}: {error}");
        let meta = entry.metadata().map_err(failed)?;
        let there = fs::symlink_metadata(&target).ok();
        if meta.is_dir() {
            if there.is_none() {
                fs::create_dir(&target).and_then(|()| give(&target, &meta)).map_err(failed)?;
            }
            if there.is_none_or(|there| there.is_dir()) {
                copy(&source, &target)?;
            }
        } else if meta.is_symlink() && there.is_none() {
            fs::read_link(&source).and_then(|link| symlink(link, &target)).map_err(failed)?;
        } else if meta.is_file() && there.is_none_or(|there| is_copy(&target, &there)) {
            copy_file(&source, &meta, &target).map_err(failed)?;
        }
    }
    Ok(())
}

/// Whether `path` is an unchanged copy.
fn is_copy(path: &str, meta: &Metadata) -> bool {
    let mut value = [0; 64];
    meta.is_file()
        && lgetxattr(path, COPIED, &mut value).is_ok_and(|length| value[..length] == *modified(meta).as_bytes())
}

fn modified(meta: &Metadata) -> String {
    format!("{}.{:09}", meta.mtime(), meta.mtime_nsec())
}

fn copy_file(source: &str, meta: &Metadata, target: &str) -> io::Result<()> {
    if meta.len() > MAX_FILE {
        return Err(io::Error::other("it is larger than 64 MiB"));
    }
    let bytes = fs::read(source)?;
    if fs::read(target).is_ok_and(|there| there == bytes) {
        return Ok(());
    }
    replace(target, &bytes, |temporary| {
        give(temporary, meta)?;
        let copied = modified(&fs::metadata(temporary)?);
        match lsetxattr(temporary, COPIED, copied.as_bytes(), XattrFlags::empty()) {
            // In memory, where copies do not outlive the image.
            Err(Errno::OPNOTSUPP) => Ok(()),
            result => Ok(result?),
        }
    })
}

/// Writes a file atomically, also at a power loss.
pub(crate) fn write(path: &str, bytes: &[u8], mode: u32) -> io::Result<()> {
    replace(path, bytes, |temporary| fs::set_permissions(temporary, fs::Permissions::from_mode(mode)))
}

fn replace(path: &str, bytes: &[u8], finish: impl FnOnce(&str) -> io::Result<()>) -> io::Result<()> {
    let temporary = format!("{path}.kiln-new");
    let mut file = File::create(&temporary)?;
    file.write_all(bytes)?;
    finish(&temporary)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    File::open(Path::new(path).parent().unwrap_or(Path::new("/")))?.sync_all()
}

/// Sets the owner and mode of `path` to those of `meta`.
fn give(path: &str, meta: &Metadata) -> io::Result<()> {
    let (uid, gid) = (Uid::from_raw(meta.uid()), Gid::from_raw(meta.gid()));
    chownat(CWD, path, Some(uid), Some(gid), rustix::fs::AtFlags::empty())?;
    Ok(rustix::fs::chmod(path, Mode::from_raw_mode(meta.mode() & 0o7777))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The image's directory and the node's, in a new directory on the build's file system.
    fn directories() -> (tempfile::TempDir, String, String) {
        let directory = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).expect("a directory");
        let [image, node] = ["image", "node"].map(|name| format!("{}/{name}", directory.path().display()));
        fs::create_dir_all(format!("{image}/kubelet/pki")).expect("made");
        fs::create_dir(&node).expect("made");
        fs::write(format!("{image}/kubelet/config.yaml"), "a: 1\n").expect("written");
        fs::set_permissions(format!("{image}/kubelet"), fs::Permissions::from_mode(0o700)).expect("set");
        symlink("../mail", format!("{image}/spool")).expect("a link");
        (directory, image, node)
    }

    #[test]
    fn an_empty_directory_gets_everything() {
        let (_directory, image, node) = directories();
        copy(&image, &node).expect("copied");
        assert_eq!(fs::read(format!("{node}/kubelet/config.yaml")).expect("a file"), b"a: 1\n");
        assert_eq!(fs::metadata(format!("{node}/kubelet")).expect("there").mode() & 0o7777, 0o700);
        assert_eq!(fs::read_link(format!("{node}/spool")).expect("a link"), Path::new("../mail"));
        assert!(Path::new(&format!("{node}/kubelet/pki")).is_dir());
    }

    #[test]
    fn files_follow_the_image_until_the_node_writes_them() {
        let (_directory, image, node) = directories();
        let (baked, kept) = (format!("{image}/kubelet/config.yaml"), format!("{node}/kubelet/config.yaml"));
        let text = || fs::read_to_string(&kept).expect("a file");
        copy(&image, &node).expect("copied");
        fs::write(&baked, "a: 2\n").expect("written");
        copy(&image, &node).expect("copied");
        assert_eq!(text(), "a: 2\n");
        fs::write(&kept, "mine\n").expect("written");
        copy(&image, &node).expect("copied");
        assert_eq!(text(), "mine\n", "written in place");
        fs::remove_file(&kept).expect("removed");
        copy(&image, &node).expect("copied");
        assert_eq!(text(), "a: 2\n");
        fs::write(format!("{kept}.new"), "mine\n")
            .and_then(|()| fs::rename(format!("{kept}.new"), &kept))
            .expect("replaced");
        copy(&image, &node).expect("copied");
        assert_eq!(text(), "mine\n", "replaced");
    }

    #[test]
    fn leftovers_of_a_power_loss_are_replaced() {
        let (_directory, image, node) = directories();
        fs::create_dir(format!("{node}/kubelet")).expect("made");
        fs::write(format!("{node}/kubelet/config.yaml.kiln-new"), "a").expect("written");
        copy(&image, &node).expect("copied");
        assert_eq!(fs::read(format!("{node}/kubelet/config.yaml")).expect("a file"), b"a: 1\n");
        assert!(!Path::new(&format!("{node}/kubelet/config.yaml.kiln-new")).exists());
    }
}
