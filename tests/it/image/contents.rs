//! The initramfs, as read by other programs, matches the manifest.

use crate::image::manifest::{Manifest, Record};
use crate::image::mtree;
use crate::image::shared::{SUITES, built};
use crate::image::tools::{run, text, tool, unzstd};
use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

/// Paths that are only in the initramfs: they boot the tree and are not part of it.
const BOOT_ENTRIES: [&str; 4] = ["dev/console", "dev/null", "init", "usr/lib/kiln/modules"];

#[test]
fn bsdtar_finds_exactly_what_the_manifest_lists() {
    for suite in SUITES {
        let built = built(suite);
        let mut found = mtree::list(&built.initramfs());
        let listed: Vec<&Record> = built.manifest.in_initramfs().collect();
        assert!(listed.len() > 2000, "{} paths", listed.len());
        for record in listed {
            let keywords = found.remove(&record.path).unwrap_or_else(|| panic!("/{} is not in {suite}'s", record.path));
            assert_eq!(keywords, record.mtree(), "/{} of {suite}", record.path);
        }
        let mut rest: Vec<&str> = found.keys().map(String::as_str).collect();
        rest.retain(|path| *path != "usr/lib/kiln" && !path.starts_with(".kiln") && !path.contains("xattrs"));
        assert_eq!(rest, BOOT_ENTRIES, "{suite}");
    }
}

#[test]
fn every_frame_and_every_digest_is_right() {
    for suite in SUITES {
        let built = built(suite);
        run(tool("zstd", "zstd").args(["-tq", "--memory=128MB"]).arg(built.initramfs()));
        let listing = text(tool("sha256sum", "coreutils").args(["--check", "SHA256SUMS"]).current_dir(built.out()));
        for name in
            ["manifest.json", "pxe/initramfs.cpio.zst", "pxe/vmlinuz", "pxe/cmdline", "pxe/boot.ipxe", "disk.raw"]
        {
            assert!(listing.contains(&format!("{name}: OK")), "{listing}");
        }
        let files = text(tool("find", "findutils").arg(built.out()).args(["-type", "f", "-printf", "%P\n"]));
        assert_eq!(files.lines().count(), listing.lines().count() + 1, "a file without a digest: {files}");
    }
}

/// `kiln inspect` prints what cpio extracts.
#[test]
fn inspect_prints_files_as_they_are() {
    let built = built("trixie");
    let mut kiln = Command::new(env!("CARGO_BIN_EXE_kiln"));
    let listing = text(kiln.arg("inspect").arg(built.out()));
    let records = &built.manifest.files;
    // The lines above list the outputs.
    let (_, files) = listing.split_once("\n\n").expect("two parts");
    assert_eq!(files.lines().count(), records.len());
    for record in records {
        // A backslash is doubled, so that it differs from that of an escaped character.
        let shown = record.path.replace('\\', "\\\\");
        assert!(listing.contains(&format!(" /{shown}")), "{}", record.path);
    }
    let mut inspected = 0;
    for record in records.iter().filter(|record| record.kind == "file").step_by(records.len() / 12) {
        let printed = run(Command::new(env!("CARGO_BIN_EXE_kiln")).arg("inspect").arg(built.out()).arg(&record.path));
        let file = if record.path.starts_with("boot/") {
            fs::read(built.out().join("pxe/vmlinuz")).expect("vmlinuz")
        } else {
            let mut bsdtar = tool("bsdtar", "libarchive-tools");
            unzstd(&built.initramfs(), bsdtar.args(["-xOf", "-"]).arg(&record.path)).stdout
        };
        assert!(printed.stdout == file, "/{}", record.path);
        inspected += 1;
    }
    assert!(inspected >= 6, "{inspected} files inspected");
}

/// The inputs of the manifest are those of the lock, and every origin is an input.
#[test]
fn inputs_are_the_locked_ones() {
    for suite in SUITES {
        let built = built(suite);
        let Manifest { inputs, files, .. } = &built.manifest;
        let packages: BTreeMap<&str, &str> = inputs
            .iter()
            .filter(|input| input.kind == "package")
            .map(|input| (input.name.as_str(), input.version.as_str()))
            .collect();
        for (name, path) in built.debs() {
            let fields = text(tool("dpkg-deb", "dpkg").arg("--field").arg(&path).args(["Package", "Version"]));
            assert_eq!(fields, format!("Package: {name}\nVersion: {}\n", packages[name.as_str()]), "{suite}");
        }
        for record in files {
            let Some(origin) = record.package() else { continue };
            assert!(packages.contains_key(origin), "/{} is from {origin}, which is not an input", record.path);
        }
    }
}
