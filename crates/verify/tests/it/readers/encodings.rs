//! Reads disks encoded by qemu-img and tar.

use crate::readers::tools::{run, tool};
use crate::readers::{noise, raw};
use kiln_image::blocks::{Blocks, bytes};
use kiln_image::open_disk;
use std::fs;
use std::path::Path;

/// A little more than 5 MiB, with the signature of a partition table in sector 1.
fn disk(path: &Path) -> Vec<u8> {
    let mut disk = noise((5 << 20) + 512, 4);
    disk[512..520].copy_from_slice(b"EFI PART");
    disk.resize(40 << 20, 0);
    disk.extend(noise(1 << 20, 5));
    fs::write(path, &disk).expect("written");
    disk
}

/// Compares every byte, in pieces that begin and end anywhere.
fn compare(found: &dyn Blocks, wanted: &[u8], what: &str) {
    assert!(found.size() >= wanted.len() as u64, "{what}: {} bytes", found.size());
    let mut at = 0;
    for step in [1_usize, 511, 4096, 65_537, 1_000_003].into_iter().cycle() {
        let step = step.min(wanted.len() - at);
        if step == 0 {
            break;
        }
        let piece = bytes(found, at as u64, step as u64).unwrap_or_else(|error| panic!("{what} at {at}: {error}"));
        assert!(piece == wanted[at..at + step], "{what} differs at {at}");
        at += step;
    }
    assert!(bytes(found, found.size(), 1).is_err(), "{what} is read past its end");
}

#[test]
fn what_qemu_img_converts_is_read_back() {
    let dir = tempfile::tempdir().expect("a directory");
    let source = dir.path().join("disk.raw");
    let wanted = disk(&source);
    compare(&*open_disk(&source).expect("a raw disk"), &wanted, "raw");
    let formats: [(&str, &[&str]); 7] = [
        ("qcow2", &["-O", "qcow2"]),
        ("qcow2 zlib", &["-O", "qcow2", "-c"]),
        ("qcow2 zstd", &["-O", "qcow2", "-c", "-o", "compression_type=zstd"]),
        ("qcow2 small", &["-O", "qcow2", "-c", "-o", "cluster_size=4096"]),
        ("qcow2 0.10", &["-O", "qcow2", "-o", "compat=0.10"]),
        ("vmdk", &["-O", "vmdk", "-o", "subformat=streamOptimized"]),
        ("vhd", &["-O", "vpc", "-o", "subformat=fixed,force_size=on"]),
    ];
    for (name, options) in formats {
        let target = dir.path().join("target");
        run(tool("qemu-img", "qemu-utils").args(["convert", "-f", "raw"]).args(options).arg(&source).arg(&target));
        compare(&*open_disk(&target).unwrap_or_else(|error| panic!("{name}: {error}")), &wanted, name);
    }
}

#[test]
fn an_archive_made_by_googles_instructions_is_read_back() {
    let dir = tempfile::tempdir().expect("a directory");
    let wanted = disk(&dir.path().join("disk.raw"));
    let archive = dir.path().join("disk.tar.gz");
    run(tool("tar", "tar").args(["--format=oldgnu", "-Sczf"]).arg(&archive).arg("-C").arg(dir.path()).arg("disk.raw"));
    compare(&*open_disk(&archive).expect("a disk"), &wanted, "gce");
    // Archives in another form are rejected.
    run(tool("tar", "tar")
        .arg("-czf")
        .arg(&archive)
        .arg("-C")
        .arg(dir.path())
        .args(["--transform=s/disk/other/", "disk.raw"]));
    let error = open_disk(&archive).expect_err("refused").to_string();
    assert!(error.starts_with("it is not an archive of disk.raw"), "{error}");
}

#[test]
fn a_file_that_is_not_a_disk_is_rejected() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("file");
    for content in [&b""[..], b"short", &[0; 4096]] {
        fs::write(&path, content).expect("written");
        assert!(open_disk(&path).is_err(), "{} bytes", raw(&path).size());
    }
}
