//! Disks that cannot be made: the error names both sizes or the file, and there is no output.

use crate::disk::shared::{OUTPUTS, built};
use std::fs;

/// The lines added to the worker's profile, and the parts of the error. `AT` stands for the place of
/// the added key.
const BAD: &[(&str, &[&str])] = &[
    ("disk: {espSize: 16MiB}", &["AT", "disk.espSize", "16 MiB", "is too small; the smallest has 34"]),
    ("disk: {rootSize: 64MiB}", &["AT", "root file system needs", "its partition has 64 MiB", "disk.rootSize"]),
    ("disk: {size: 512MiB}", &["AT", "the partitions need", "the disk has 512 MiB", "disk.size"]),
    (
        "image: {version: 1.2.3-a-version-longer-than-a-label}",
        &["AT", "partition label", "is longer than 36", "shorter version"],
    ),
    (
        "prune: {stub: {reason: a test, paths: ['usr/lib/systemd/boot/efi/*.stub']}}",
        &["yaml:", "the tree has no file /usr/lib/systemd/boot/efi/linuxx64.efi.stub", "add systemd-boot-efi"],
    ),
    (
        "files: {/usr/lib/systemd/boot/efi/linuxx64.efi.stub: {content: MZ, replace: true}}",
        &["making the unified kernel image from /usr/lib/systemd/boot/efi/linuxx64.efi.stub", "it is damaged"],
    ),
];

#[test]
fn disks_that_are_too_small_are_rejected_and_leave_no_output() {
    let built = built();
    let directory = built.out().with_file_name("bad");
    for (number, (lines, expected)) in BAD.iter().enumerate() {
        let directory = directory.join(number.to_string());
        let mut build = built.again(&directory);
        let profile = directory.join("profiles/worker.yaml");
        let text = fs::read_to_string(&profile).expect("the profile") + "\n" + lines + "\n";
        let column = lines.rfind(": ").expect("a mapping") + 3;
        let place = format!("{}:{}:{column}: ", profile.display(), text.lines().count());
        fs::write(&profile, text).expect("written");
        let output = build.args(["--output", OUTPUTS]).output().expect("kiln starts");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{lines}: {said}");
        let last = said.lines().last().unwrap_or_default();
        for part in expected.iter().map(|part| if *part == "AT" { place.as_str() } else { part }) {
            assert!(last.starts_with("kiln: ") && last.contains(part), "{lines}: {part:?} is not in: {said}");
        }
        assert!(!directory.join("out").exists(), "{lines}: a partial output is left");
        fs::remove_dir_all(&directory).expect("removed");
    }
}
