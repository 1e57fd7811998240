//! Disks that were damaged or tampered with: `kiln verify` names the check that fails.

use crate::bad_input::outputs::{failures, sign};
use crate::bad_input::site::{Keys, Site};
use crate::bad_input::synthetic::{Package, file};
use serde_json::Value;
use std::fs::File;
use std::os::unix::fs::FileExt;

/// A minimal UEFI program with one section, in place of Debian's stub (systemd-stub).
fn stub() -> Vec<u8> {
    let mut bytes = vec![0; 0x400];
    let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
    put(0, b"MZ");
    put(0x3c, &0x80_u32.to_le_bytes());
    // Signature, machine, number of sections, size of the optional header.
    put(0x80, b"PE\0\0\x64\x86\x01");
    put(0x94, &240_u16.to_le_bytes());
    // PE32+, alignment of sections and file, size of headers, number of directories.
    put(0x98, &0x20b_u16.to_le_bytes());
    for (at, value) in [(32, 4096_u32), (36, 512), (60, 0x400), (108, 16)] {
        put(0x98 + at, &value.to_le_bytes());
    }
    // .text: size and offset in memory and file.
    put(0x188, b".text");
    for (number, value) in [600_u32, 0x1000, 1024, 0x400].into_iter().enumerate() {
        put(0x190 + 4 * number, &value.to_le_bytes());
    }
    bytes.extend([0xcc; 1024]);
    bytes
}

fn boot() -> Package {
    let directory = "./usr/lib/systemd/boot/efi";
    let members = [
        file(&format!("{directory}/linuxx64.efi.stub"), stub()),
        file(&format!("{directory}/systemd-bootx64.efi"), stub()),
    ];
    Package::new("systemd-boot-efi", "", &members)
}

const DISK: &str = "out/worker/disk.raw";
const MIB: u64 = 1 << 20;

/// A byte of the disk that a case changes.
struct Place {
    name: &'static str,
    at: u64,
    expected: &'static [(&'static str, &'static str)],
}

fn built(outputs: &str) -> Site {
    let site = Site::new(&Keys::new(), &[boot()]);
    site.replace("profiles/worker.yaml", "packages: [base]", "packages: [base, systemd-boot-efi]");
    site.append("profiles/worker.yaml", "disk: {espSize: 40MiB}\n");
    site.builds(&["--output", outputs]);
    site
}

/// The first offset of `text` in the file, from `from` on.
fn find(file: &File, from: u64, text: &[u8]) -> u64 {
    let mut window = vec![0; 64 << 20];
    let got = file.read_at(&mut window, from).expect("read");
    let at = window[..got].windows(text.len()).position(|part| part == text).expect("the text");
    from + u64::try_from(at).expect("64 bits")
}

/// Start and size in bytes of the partitions that the manifest lists.
fn partitions(site: &Site) -> Vec<(u64, u64)> {
    let manifest: Value = serde_json::from_str(&site.read("out/worker/manifest.json")).expect("JSON");
    let partitions = manifest["disk"]["partitions"].as_array().expect("partitions");
    let number = |value: &Value| value.as_u64().expect("a number");
    partitions.iter().map(|partition| (number(&partition["start"]), number(&partition["size"]))).collect()
}

#[test]
fn a_flipped_bit_is_found_although_digests_match() {
    let site = built("disk");
    assert_eq!(failures(&site, &[]), std::collections::BTreeMap::new());
    let manifest = site.read("out/worker/manifest.json");
    let file = File::options().read(true).write(true).open(site.path(DISK)).expect("opened");
    let size = file.metadata().expect("metadata").len();
    let parts = partitions(&site);
    let [(esp, _), (root, _), (verity, _), (next_root, _), (next_verity, next_size)] = parts[..] else {
        panic!("{parts:?}")
    };
    let places = [
        Place { name: "primary header", at: 512 + 24, expected: &[("gpt", "header in sector 1 has a wrong checksum")] },
        Place {
            name: "primary entries",
            at: 1024 + 60,
            expected: &[("gpt", "table of sector 1 has a wrong checksum")],
        },
        Place { name: "backup header", at: size - 512, expected: &[("gpt", "there is no partition table in sector")] },
        Place { name: "backup entries", at: size - 512 - 128 * 128, expected: &[("gpt", "has a wrong checksum")] },
        Place { name: "boot sector", at: esp + 13, expected: &[("esp", "")] },
        Place {
            name: "boot loader",
            at: find(&file, esp, b".text"),
            expected: &[("esp", "is not a boot loader of the tree")],
        },
        Place {
            name: "command line",
            at: find(&file, esp, b"roothash="),
            expected: &[("uki", "its command line is \\\"")],
        },
        Place {
            name: "kernel",
            at: find(&file, esp, &[0x4d; 4096]) + 2000,
            expected: &[("uki", "its section .linux is not /boot/vmlinuz-1")],
        },
        Place { name: "initrd", at: find(&file, esp, b"\x28\xb5\x2f\xfd") + 40, expected: &[("uki", "its initrd: ")] },
        Place {
            name: "root's superblock",
            at: root + 1024 + 0x38,
            expected: &[("root", "damaged"), ("secrets", ""), ("verity", "the root hash is")],
        },
        Place {
            name: "a file",
            at: find(&file, root, b"ID=debian"),
            expected: &[("root", "/usr/lib/os-release: sha256"), ("verity", "the root hash is")],
        },
        Place { name: "salt", at: verity + 88, expected: &[("verity", "does not match the data")] },
        Place {
            name: "hash block",
            at: verity + 4096 + 5,
            expected: &[("verity", "hash block 1 of level 1 does not match the data")],
        },
        Place { name: "next root", at: next_root + MIB, expected: &[("reserved", "is not empty")] },
        Place { name: "next hashes", at: next_verity + next_size - 1, expected: &[("reserved", "is not empty")] },
    ];
    for place in places {
        let mut byte = [0];
        file.read_exact_at(&mut byte, place.at).expect("read");
        file.write_all_at(&[byte[0] ^ 1], place.at).expect("written");
        sign(&site);
        let found = failures(&site, &[]);
        let names: Vec<&str> = found.keys().map(String::as_str).collect();
        assert_eq!(
            names,
            place.expected.iter().map(|(name, _)| *name).collect::<Vec<_>>(),
            "{}: {found:?}",
            place.name
        );
        for (check, finding) in place.expected {
            assert!(found[*check].contains(finding), "{}: {} lacks {finding:?}", place.name, found[*check]);
        }
        file.write_all_at(&byte, place.at).expect("written");
        site.write("out/worker/manifest.json", &manifest);
    }
}

#[test]
fn every_encoding_must_hold_the_disk() {
    let site = built("disk,qcow2,qcow2-zlib,vhd,vmdk,gce");
    assert_eq!(failures(&site, &[]), std::collections::BTreeMap::new());
    let names = ["disk.qcow2", "disk.zlib.qcow2", "disk.vhd", "disk.vmdk", "disk.gce.tar.gz"];
    for name in names {
        let path = format!("out/worker/{name}");
        let same = site.kiln(&["diff", "out/worker", &path]).output().expect("kiln runs");
        assert_eq!(same.status.code(), Some(0), "{name}: {same:?}");
    }
    for name in names {
        let file =
            File::options().read(true).write(true).open(site.path(&format!("out/worker/{name}"))).expect("opened");
        let at = file.metadata().expect("metadata").len() / 3;
        let mut byte = [0];
        file.read_exact_at(&mut byte, at).expect("read");
        file.write_all_at(&[byte[0] ^ 0x10], at).expect("written");
    }
    sign(&site);
    let found = failures(&site, &[]);
    assert_eq!(found.keys().collect::<Vec<_>>(), ["disks"], "{found:?}");
    for name in names {
        assert!(found["disks"].contains(name), "{name}: {found:?}");
    }
}

#[test]
fn root_file_systems_are_compared_path_by_path() {
    let site = built("ext4,tar");
    assert_eq!(failures(&site, &[]), std::collections::BTreeMap::new());
    for image in ["out/worker", "out/worker/root.ext4", "out/worker/root.tar.zst"] {
        let same = site.kiln(&["diff", "out/worker", image]).output().expect("kiln runs");
        assert_eq!(same.status.code(), Some(0), "{image}: {same:?}");
        let printed = site.kiln(&["inspect", image, "/usr/lib/os-release"]).output().expect("kiln runs");
        assert!(String::from_utf8_lossy(&printed.stdout).starts_with("ID=debian\n"), "{image}: {printed:?}");
    }
    let file = File::options().read(true).write(true).open(site.path("out/worker/root.ext4")).expect("opened");
    let at = find(&file, 0, b"ID=debian");
    file.write_all_at(b"id", at).expect("written");
    let archive = std::fs::read(site.path("out/worker/root.tar.zst")).expect("read");
    let mut members = zstd::decode_all(archive.as_slice()).expect("unpacked");
    let name = b"usr/lib/os-release\0";
    let at = members.chunks(512).position(|header| header.starts_with(name)).expect("a member") * 512;
    // The header's checksum is the sum of its bytes, so the digits of the mode are swapped.
    members[at + 104..at + 107].copy_from_slice(b"464");
    site.write("out/worker/root.tar.zst", zstd::encode_all(members.as_slice(), 1).expect("packed"));
    sign(&site);
    let found = failures(&site, &[]);
    assert_eq!(found.keys().collect::<Vec<_>>(), ["ext4", "tar"], "{found:?}");
    assert!(found["ext4"].contains("/usr/lib/os-release: sha256"), "{found:?}");
    assert!(found["tar"].contains("/usr/lib/os-release: mode 0464, but should be 0644"), "{found:?}");
    let printed = site.kiln(&["inspect", "out/worker/root.ext4", "/usr/lib/os-release"]).output().expect("kiln runs");
    assert!(String::from_utf8_lossy(&printed.stdout).starts_with("id=debian\n"), "{printed:?}");
}
