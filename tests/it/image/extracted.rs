//! The image extracted by GNU cpio.

use crate::image::manifest::Record;
use crate::image::shared::{Built, built, kept};
use crate::image::tools::{sha256sums, tool, unzstd};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The trixie image's initramfs as GNU cpio unpacks it. Devices, which only root can make, are left
/// out; the listing covers owners.
pub(super) fn extracted() -> (&'static Built, &'static Path) {
    static ROOT: OnceLock<PathBuf> = OnceLock::new();
    let built = built("trixie");
    let root = ROOT.get_or_init(|| {
        let root = kept("extracted");
        extract(&built.initramfs(), &root);
        root
    });
    (built, root)
}

/// Unpacks `initramfs` into `root`, without devices.
pub(super) fn extract(initramfs: &Path, root: &Path) {
    let mut cpio = tool("cpio", "cpio");
    cpio.args(["-idm", "--quiet", "--no-absolute-filenames", "--no-preserve-owner", "-f", "dev/console", "dev/null"]);
    let output = unzstd(initramfs, cpio.current_dir(root));
    assert!(output.stderr.is_empty(), "cpio: {}", String::from_utf8_lossy(&output.stderr));
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
