//! Tests of qcow2 with qemu-img: every cluster is referenced once, and the bytes are those of the
//! disk.

use crate::formats::disks::{Disk, REAL, assert_same, assert_same_by_7z, qemu_img};
use crate::formats::tools::{run, tool};
use kiln_profile::Output;
use std::fs;
use std::path::Path;

/// Checks that `path` is consistent, has the given size and compression, and equals `disk`.
pub(super) fn judge(disk: &Disk, path: &Path, compression: &str) {
    let check = qemu_img(&["check", "-f", "qcow2"], path);
    for fault in ["corruptions", "leaks", "check-errors"] {
        // Absent when there are none, except for check-errors.
        assert_eq!(check[fault].as_u64().unwrap_or(0), 0, "{check}");
    }
    assert_eq!(check["image-end-offset"], fs::metadata(path).expect("there").len(), "{check}");
    let info = qemu_img(&["info", "-f", "qcow2"], path);
    assert_eq!(info["virtual-size"], disk.size, "{info}");
    assert_eq!(info["format-specific"]["data"]["compat"], "1.1", "{info}");
    assert_eq!(info["format-specific"]["data"]["compression-type"], compression, "{info}");
    assert_same(&disk.raw(), path, "qcow2");
}

#[test]
fn qemu_reads_what_zstd_compressed() {
    let encoded = REAL.encode(Output::Qcow2, "zstd", 4);
    judge(&REAL, &encoded.path(".qcow2"), "zstd");
}

#[test]
fn qemu_reads_what_zlib_compressed() {
    let encoded = REAL.encode(Output::Qcow2Zlib, "zlib", 4);
    judge(&REAL, &encoded.path(".qcow2"), "zlib");
    assert_same_by_7z(&REAL.raw(), &encoded.path(".qcow2"), "qcow");
}

#[test]
fn the_file_is_not_larger_than_that_of_qemu() {
    let encoded = REAL.encode(Output::Qcow2, "size", 4);
    let qemus = REAL.directory.join("qemu.qcow2");
    let mut convert = tool("qemu-img", "qemu-utils");
    convert.args(["convert", "-c", "-f", "raw", "-O", "qcow2", "-o", "compression_type=zstd"]);
    run(convert.arg(REAL.raw()).arg(&qemus));
    let qemus = fs::metadata(qemus).expect("there").len();
    assert!(encoded.files[0].size <= qemus, "{} bytes, and {qemus} by qemu-img", encoded.files[0].size);
}

#[test]
fn qemu_writes_to_it() {
    // Refcounts and COPIED flags are correct only if writing works and leaves no leaks.
    let encoded = REAL.encode(Output::Qcow2, "written", 2);
    let path = encoded.path(".qcow2");
    let copy = REAL.directory.join("written.raw");
    fs::copy(REAL.raw(), &copy).expect("copied");
    for (format, path) in [("qcow2", &path), ("raw", &copy)] {
        let mut io = tool("qemu-io", "qemu-utils");
        io.args(["-f", format, "-c", "write -P 7 299M 3M", "-c", "write -P 8 650M 512", "-c", "write -z 45M 10M"]);
        run(io.arg(path));
    }
    let check = qemu_img(&["check", "-f", "qcow2"], &path);
    assert!(check.get("corruptions").is_none() && check.get("leaks").is_none(), "{check}");
    assert_same(&copy, &path, "qcow2");
}
