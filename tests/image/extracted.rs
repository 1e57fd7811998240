//! The image extracted by GNU cpio.

use crate::manifest::Record;
use crate::shared::{Built, DISK, built, scratch};
use crate::tools::{sha256sums, tool, unzstd};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::sync::OnceLock;
use tempfile::TempDir;

/// The trixie image's initramfs as GNU cpio unpacks it. Devices, which only root can make, are left out; owners are judged by the
/// listing.
pub fn extracted() -> (&'static Built, &'static Path) {
    static ROOT: OnceLock<TempDir> = OnceLock::new();
    let built = built("trixie");
    let root = ROOT.get_or_init(|| {
        let root = scratch(Path::new(DISK));
        let mut cpio = tool("cpio", "cpio");
        cpio.args(["-idm", "--quiet", "--no-absolute-filenames", "--no-preserve-owner", "-f", "dev/console", "dev/null"]);
        let output = unzstd(&built.initramfs(), cpio.current_dir(root.path()));
        assert!(output.stderr.is_empty(), "cpio: {}", String::from_utf8_lossy(&output.stderr));
        root
    });
    (built, root.path())
}

#[test]
fn cpio_extracts_what_the_manifest_lists() {
    let (built, root) = extracted();
    let records: Vec<&Record> = built.manifest.in_initramfs().collect();
    let mut files = Vec::new();
    for record in &records {
        let path = root.join(&record.path);
        let metadata = path.symlink_metadata().unwrap_or_else(|error| panic!("/{}: {error}", record.path));
        let kind = metadata.file_type();
        match record.kind.as_str() {
            "symlink" => {
                let target = fs::read_link(&path).expect("a link");
                assert_eq!(target.to_str(), record.target.as_deref(), "/{}", record.path);
                continue;
            }
            "directory" => assert!(kind.is_dir(), "/{}", record.path),
            "file" => {
                assert!(kind.is_file(), "/{}", record.path);
                assert_eq!(Some(metadata.len()), record.size, "/{}", record.path);
                files.push(*record);
            }
            _ => {}
        }
        let mode = metadata.permissions().mode() & 0o7777;
        assert_eq!(format!("{mode:04o}"), record.mode, "/{}", record.path);
        if record.kind == "file" {
            assert_eq!(u64::try_from(metadata.mtime()).ok(), Some(record.mtime), "/{}", record.path);
        }
    }
    let paths: Vec<&str> = files.iter().map(|record| record.path.as_str()).collect();
    for (record, sum) in files.iter().zip(sha256sums(root, &paths)) {
        assert_eq!(Some(sum), record.sha256, "/{}", record.path);
    }
    assert!(files.len() > 1000, "{} files", files.len());
}

/// Hard links of the packages are hard links of the image.
#[test]
fn hard_links_stay_hard_links() {
    let (built, root) = extracted();
    let unpacked = built.unpacked();
    let mut linked = 0;
    for record in built.manifest.in_initramfs().filter(|record| record.kind == "file" && record.package().is_some()) {
        let Ok(original) = unpacked.join(&record.path).symlink_metadata() else { continue };
        let copy = root.join(&record.path).metadata().expect("extracted");
        if original.nlink() > 1 {
            linked += 1;
        }
        // Fewer where pruning took one of the names.
        assert!(copy.nlink() <= original.nlink(), "/{}: {} names, not {}", record.path, copy.nlink(), original.nlink());
        if original.nlink() == 1 {
            assert_eq!(copy.nlink(), 1, "/{}", record.path);
        }
    }
    println!("{linked} hard-linked names");
}
