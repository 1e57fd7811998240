//! Outputs that were tampered with, read by `verify`, `inspect` and `diff`.

use super::{Answer, Attacks, damaged};
use crate::bad_input::site::{Keys, Site};
use std::fs;

#[test]
fn every_file_of_an_output() {
    let keys = Keys::new();
    let site = Site::new(&keys, &[]);
    site.builds(&[]);
    let mut attacks = Attacks::of("outputs");
    for (name, count) in [
        ("manifest.json", 40),
        ("SHA256SUMS", 20),
        ("pxe/initramfs.cpio.zst", 30),
        ("pxe/vmlinuz", 10),
        ("pxe/cmdline", 10),
        ("pxe/boot.ipxe", 10),
    ] {
        let path = site.path("out/worker").join(name);
        let good = fs::read(&path).expect("read");
        for (what, bytes) in damaged(&good, count) {
            // Hexadecimal digits mean the same in upper case.
            if !attacks.next() || bytes.eq_ignore_ascii_case(&good) {
                continue;
            }
            fs::write(&path, bytes).expect("written");
            let what = format!("{name}: {what}");
            let (answer, _) = attacks.run(&what, &mut site.kiln(&["verify", "out/worker"]));
            assert_eq!(answer, Answer::Rejected, "verify accepts {what}");
            attacks.run(&what, &mut site.kiln(&["inspect", "out/worker"]));
            attacks.run(&what, &mut site.kiln(&["diff", "out/worker", "out/worker"]));
        }
        fs::write(&path, good).expect("written");
    }
    attacks.end(110);
}
