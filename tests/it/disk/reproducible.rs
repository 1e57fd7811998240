//! The disk does not depend on the number of threads or on the other outputs, and its encodings
//! contain the same disk.

use crate::disk::shared::{Built, built};
use crate::disk::tools::{run, text, tool};
use std::fs;
use std::path::Path;

/// The digests of a build's files, except those of the files that list all outputs.
fn sums(out: &Path) -> Vec<String> {
    let sums = fs::read_to_string(out.join("SHA256SUMS")).expect("SHA256SUMS");
    sums.lines().filter(|line| !line.ends_with("manifest.json")).map(str::to_owned).collect()
}

/// Builds `outputs` again in a separate directory, and returns the digests.
fn again(built: &Built, name: &str, arguments: &[&str]) -> Vec<String> {
    let directory = built.out().with_file_name(name);
    run(built.again(&directory).args(arguments));
    let sums = sums(&directory.join("out"));
    fs::remove_dir_all(&directory).expect("removed");
    sums
}

#[test]
fn the_disk_does_not_depend_on_threads_order_or_other_outputs() {
    let built = built();
    let expected = sums(&built.out());
    let checked = text(tool("sha256sum", "coreutils").args(["--check", "SHA256SUMS"]).current_dir(built.out()));
    for name in ["disk.raw", "root.ext4", "root.tar.zst", "root.verity"] {
        assert!(checked.contains(&format!("{name}: OK")), "{checked}");
    }
    assert_eq!(again(built, "one", &["-j", "1", "--output", "tar,ext4", "--output", "disk"]), expected);
    let disk: Vec<String> = expected.iter().filter(|line| line.ends_with("disk.raw")).cloned().collect();
    assert_eq!(again(built, "disk-only", &["-j", "7", "--output", "disk"]), disk);
    let root: Vec<String> = expected.iter().filter(|line| !line.ends_with("disk.raw")).cloned().collect();
    assert_eq!(again(built, "no-disk", &["--output", "ext4,tar"]), root);
}

#[test]
fn a_qcow2_alone_contains_the_same_disk_and_leaves_no_raw_file() {
    let built = built();
    let directory = built.out().with_file_name("qcow2");
    run(built.again(&directory).args(["--output", "qcow2"]));
    let out = directory.join("out");
    let found: Vec<String> = text(tool("ls", "coreutils").arg(&out)).lines().map(str::to_owned).collect();
    assert_eq!(found, ["SHA256SUMS", "disk.qcow2", "manifest.json"]);
    let mut compare = tool("qemu-img", "qemu-utils");
    run(compare.args(["compare", "-f", "qcow2", "-F", "raw"]).arg(out.join("disk.qcow2")).arg(built.raw()));
    fs::remove_dir_all(&directory).expect("removed");
}
