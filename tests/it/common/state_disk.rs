//! A disk for the state of nodes that boot from the network.

use std::fs::File;
use std::path::Path;

/// What names its partition on the kernel's command line.
pub(crate) const NAMED: &str = "kiln.state=PARTUUID=6b696c6e-5354-4154-8531-000000000001";

/// Makes a disk of 1 GiB at `path` whose only partition is the one in [`NAMED`]; `run` runs a program
/// of a package.
pub(crate) fn make(path: &Path, run: impl Fn(&str, &str, &[&str])) {
    File::create(path).and_then(|file| file.set_len(1 << 30)).expect("a file");
    let path = path.to_string_lossy();
    let typed = "1:4d21b016-b534-45c2-a9fb-5c16e091fd2d";
    let unique = NAMED.replace("kiln.state=PARTUUID=", "1:");
    run("sgdisk", "gdisk", &["-n", "1:2048:0", "-t", typed, "-c", "1:kiln-state", "-u", &unique, &path]);
    run("mke2fs", "e2fsprogs", &["-q", "-t", "ext4", "-E", "offset=1048576", &path, "1000M"]);
}
