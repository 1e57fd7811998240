//! Tests of Compute Engine's archive with gzip, GNU tar and libarchive.

use crate::formats::disks::{Disk, REAL, assert_same};
use crate::formats::tools::{run, text, tool};
use kiln_profile::Output;
use std::fs;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

/// Checks that GNU tar unpacks `path` to `disk`, padded to whole gibibytes.
pub(super) fn judge(disk: &Disk, path: &Path) {
    let size = disk.size.next_multiple_of(1 << 30);
    run(tool("gzip", "gzip").arg("-t").arg(path));
    let list = text(tool("tar", "tar").arg("-tvzf").arg(path));
    let fields: Vec<&str> = list.split_whitespace().collect();
    let expected = ["-rw-r--r--", "root/root", &size.to_string(), "2021-01-13", "13:00", "disk.raw"];
    assert_eq!(fields, expected);
    let directory = tempfile::tempdir_in(&disk.directory).expect("a directory");
    run(tool("tar", "tar").arg("-xzf").arg(path).arg("-C").arg(directory.path()));
    let unpacked = directory.path().join("disk.raw");
    let metadata = fs::metadata(&unpacked).expect("unpacked");
    assert_eq!(metadata.len(), size);
    assert!(metadata.blocks() * 512 <= disk.data + (1 << 20), "the holes are holes");
    assert_same(&disk.raw(), &unpacked, "raw");
}

#[test]
fn gnu_tar_and_libarchive_unpack_it() {
    let encoded = REAL.encode(Output::Gce, "gce", 4);
    let path = encoded.path(".tar.gz");
    judge(&REAL, &path);
    let directory = tempfile::tempdir_in(&REAL.directory).expect("a directory");
    run(tool("bsdtar", "libarchive-tools").arg("-xSf").arg(&path).arg("-C").arg(directory.path()));
    assert_same(&REAL.raw(), &directory.path().join("disk.raw"), "raw");
}

#[test]
fn the_archive_equals_that_of_gnu_tar() {
    // As many ranges as fit in the header, in the header and one more, and in neither.
    for ranges in [0, 1, 3, 4, 24, 25, 46, 100] {
        let disk = Disk::new(1 << 30, |file, _| {
            for number in 0..ranges {
                file.write_all_at(&vec![7; 5000], number * (10 << 20) + 70_000).expect("written");
            }
        });
        let encoded = disk.encode(Output::Gce, "own", 4);
        let archive = disk.directory.join("own.tar");
        let mut tar = tool("tar", "tar");
        tar.args(["--format=oldgnu", "--owner=root:0", "--group=root:0", "--mode=0644"]);
        tar.args(["--mtime=2021-01-13T13:00:00Z", "-Scf"]).arg(&archive);
        run(tar.arg("-C").arg(&disk.directory).arg("disk.raw"));
        let gunzipped = run(tool("gzip", "gzip").arg("-dc").arg(encoded.path(".tar.gz"))).stdout;
        assert!(gunzipped == fs::read(&archive).expect("read"), "{ranges} ranges");
    }
}

#[test]
fn the_gzip_file_has_one_member() {
    let encoded = REAL.encode(Output::Gce, "member", 4);
    let bytes = fs::read(encoded.path(".tar.gz")).expect("read");
    // Reads the first member only.
    let mut decoder = flate2::bufread::GzDecoder::new(bytes.as_slice());
    std::io::copy(&mut decoder, &mut std::io::sink()).expect("decoded");
    assert!(decoder.into_inner().is_empty());
}
