//! The good case from which the bad ones deviate.

use crate::bad_input::site::{Keys, Site, succeeds};
use crate::bad_input::synthetic::node;
use std::process::Command;

#[test]
fn the_good_case_is_good() {
    let keys = Keys::new();
    let site = Site::new(&keys, &[]);
    for package in node() {
        site.write("package.deb", &package.bytes);
        let output = Command::new("dpkg-deb").args(["--contents"]).arg(site.path("package.deb")).output();
        let output = output.expect("dpkg-deb, of the Debian package dpkg");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let sums = site.builds(&[]);
    assert!(sums.contains("pxe/initramfs.cpio.zst"), "{sums}");
    let listing = succeeds(&mut site.kiln(&["inspect", "out/worker", "/etc/passwd"]));
    assert_eq!(listing, "root:x:0:0:root:/root:/bin/sh\n");
    // The build leaves nothing beside the output.
    let beside: Vec<_> = std::fs::read_dir(site.path("out"))
        .expect("listed")
        .map(|entry| entry.expect("an entry").file_name())
        .collect();
    assert_eq!(beside, ["worker"]);
    assert_eq!(site.builds(&["--locked", "--offline"]), sums);
}
