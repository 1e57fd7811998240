//! The same disk, whatever else is made of it and by how many threads; and what is made of it is
//! it.

use crate::disk::shared::{Built, built};
use crate::disk::tools::{run, text, tool};
use std::fs;
use std::path::Path;

/// The digests of a build's files, but for what names them all.
fn sums(out: &Path) -> Vec<String> {
    let sums = fs::read_to_string(out.join("SHA256SUMS")).expect("SHA256SUMS");
    sums.lines().filter(|line| !line.ends_with("manifest.json")).map(str::to_owned).collect()
}

/// Builds `outputs` once more in a place of its own, and says what it got.
fn again(built: &Built, name: &str, arguments: &[&str]) -> Vec<String> {
    let directory = built.out().with_file_name(name);
    run(built.again(&directory).args(arguments));
    let sums = sums(&directory.join("out"));
    fs::remove_dir_all(&directory).expect("removed");
    sums
}

#[test]
fn neither_threads_nor_order_nor_company_change_a_byte() {
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
fn a_qcow2_alone_holds_the_same_disk_and_leaves_no_raw_one() {
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
