//! Checks the partition table with sfdisk and sgdisk.

use crate::disk::shared::{Partition, built};
use crate::disk::tools::{run, text, tool};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::MetadataExt;

/// Partition types of the Discoverable Partitions Specification.
const ESP: &str = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b";
const ROOT_X86_64: &str = "4f68bce3-e8cd-4db1-96e7-fbcaf984b709";
const ROOT_VERITY_X86_64: &str = "2c7357ed-ebd2-46d9-aec1-23d437ec2bf5";

#[test]
fn sfdisk_and_sgdisk_find_no_fault() {
    let raw = built().raw();
    let verdict = run(tool("sfdisk", "fdisk").arg("--verify").arg(&raw));
    let said = String::from_utf8_lossy(&verdict.stdout).into_owned() + &String::from_utf8_lossy(&verdict.stderr);
    assert!(said.contains("No errors detected"), "{said}");
    let verdict = text(tool("sgdisk", "gdisk").arg("-v").arg(&raw));
    assert!(verdict.contains("No problems found") && !verdict.contains("Caution"), "{verdict}");
}

#[test]
fn partitions_are_those_of_the_manifest_and_of_the_specification() {
    let built = built();
    let table: Value =
        serde_json::from_str(&text(tool("sfdisk", "fdisk").arg("--json").arg(built.raw()))).expect("JSON");
    let table = &table["partitiontable"];
    assert_eq!(lower(&table["id"]), built.disk.disk.uuid);
    let found = table["partitions"].as_array().expect("partitions");
    assert_eq!(found.len(), 5);
    let mut end = 1 << 20;
    for (found, Partition { label, kind, uuid, start, size, read_only }) in
        found.iter().zip(&built.disk.disk.partitions)
    {
        assert_eq!(found["name"], label.as_str());
        assert_eq!((lower(&found["type"]), lower(&found["uuid"])), (kind.clone(), uuid.clone()));
        assert_eq!((found["start"].as_u64(), found["size"].as_u64()), (Some(start / 512), Some(size / 512)));
        assert_eq!(found["attrs"].as_str().unwrap_or_default().contains("GUID:60"), *read_only);
        assert_eq!(*start, end, "{label} does not follow the previous partition");
        assert_eq!(start % (1 << 20) + size % (1 << 20), 0, "{label} is not aligned");
        end = start + size;
    }
    let kinds: Vec<&str> = built.disk.disk.partitions.iter().map(|partition| partition.kind.as_str()).collect();
    assert_eq!(kinds, [ESP, ROOT_X86_64, ROOT_VERITY_X86_64, ROOT_X86_64, ROOT_VERITY_X86_64]);
    let [_, a, a_verity, b, b_verity] = &built.disk.disk.partitions[..] else { panic!("five partitions") };
    assert_eq!((a.size, a_verity.size), (b.size, b_verity.size), "an update needs the same room");
    assert_eq!(
        (b.label.as_str(), b_verity.label.as_str()),
        ("_empty", "_empty"),
        "sysupdate.d(5)'s name of a free slot"
    );
    let halves = a.uuid.replace('-', "") + &a_verity.uuid.replace('-', "");
    assert_eq!(halves, built.disk.root_hash, "the root is found by its hash");
}

fn lower(value: &Value) -> String {
    value.as_str().expect("a string").to_lowercase()
}

#[test]
fn the_disk_is_sparse() {
    let built = built();
    let metadata = fs::metadata(built.raw()).expect("the disk");
    assert_eq!(metadata.len(), built.disk.disk.size);
    let bytes = built.manifest.bytes();
    let allocated = metadata.blocks() * 512;
    // Kernel and initrd are not in the tree.
    assert!(allocated < bytes + bytes / 5 + (64 << 20), "{allocated} bytes for a tree of {bytes}");
}

#[test]
fn inspect_shows_the_disk() {
    let built = built();
    let listing = text(std::process::Command::new(env!("CARGO_BIN_EXE_kiln")).arg("inspect").arg(built.out()));
    assert!(listing.contains(&built.disk.root_hash), "{}", &listing[..2000]);
    for Partition { label, uuid, .. } in &built.disk.disk.partitions {
        assert!(listing.lines().any(|line| line.contains(label) && line.contains(uuid)), "{label}");
    }
}
