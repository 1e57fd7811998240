//! Checks the EFI system partition with fsck.vfat and mtools.

use crate::disk::shared::built;
use crate::disk::tools::{run, text, tool};

#[test]
fn fsck_finds_no_fault() {
    let verdict = text(tool("fsck.vfat", "dosfstools").args(["-n", "-v"]).arg(built().esp()));
    assert!(verdict.contains("32 bit entries") && !verdict.contains("differences"), "{verdict}");
    assert!(verdict.contains("10 files"), "{verdict}");
}

#[test]
fn firmware_starts_debians_boot_loader() {
    let built = built();
    let loader = built.in_root("usr/lib/systemd/boot/efi/systemd-bootx64.efi");
    assert!(loader.starts_with(b"MZ"));
    for path in ["/EFI/BOOT/BOOTX64.EFI", "/EFI/systemd/systemd-bootx64.efi"] {
        assert!(built.on_esp(path) == loader, "{path}");
    }
    assert_eq!(built.on_esp("/loader/loader.conf"), b"timeout 0\neditor no\n");
}

#[test]
fn the_image_is_named_for_boot_counting_and_dated_by_the_archive() {
    let built = built();
    let listing = text(tool("mdir", "mtools").arg("-i").arg(built.esp()).arg("::/EFI/Linux"));
    assert!(listing.contains("kiln-worker_1.20.2+3-0.efi"), "{listing}");
    let date =
        text(tool("date", "coreutils").args(["-u", "+%Y-%m-%d", "-d"]).arg(format!("@{}", built.manifest.epoch)));
    let dated = listing.lines().filter(|line| line.contains(date.trim())).count();
    assert_eq!(dated, 3, "the image and the directories are of {date}{listing}");
}

#[test]
fn mtools_can_fill_the_rest() {
    let built = built();
    let copy = built.esp().with_extension("filled");
    run(tool("cp", "coreutils").arg("--sparse=always").arg(built.esp()).arg(&copy));
    let source = copy.with_extension("more");
    std::fs::write(&source, vec![7; 50 << 20]).expect("written");
    run(tool("mcopy", "mtools").arg("-i").arg(&copy).arg(&source).arg("::/EFI/Linux/kiln-worker_1.20.3+3-0.efi"));
    run(tool("fsck.vfat", "dosfstools").arg("-n").arg(&copy));
    for path in [copy, source] {
        std::fs::remove_file(path).expect("removed");
    }
}
