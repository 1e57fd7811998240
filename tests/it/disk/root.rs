//! The root file system and its hash tree, on the disk and as separate files.

use crate::disk::shared::built;
use crate::disk::tools::{run, text, tool};
use std::fs;

#[test]
fn veritysetup_accepts_the_root_and_rejects_a_changed_one() {
    let built = built();
    let (root, verity) = (built.partition(1), built.partition(2));
    let verify = |hash: &str| {
        let mut command = tool("veritysetup", "cryptsetup-bin");
        command.arg("verify").arg(root).arg(verity).arg(hash);
        command
    };
    run(&mut verify(&built.disk.root_hash));
    let dump = text(tool("veritysetup", "cryptsetup-bin").arg("dump").arg(verity));
    for fact in
        ["Hash type:       \t1", "Data block size: \t4096", "Hash block size: \t4096", "Hash algorithm:  \tsha256"]
    {
        assert!(dump.contains(fact), "{fact}: {dump}");
    }
    let other = built.disk.root_hash.replace(['0', '1'], "2");
    assert!(!verify(&other).output().expect("veritysetup").status.success(), "another root hash is accepted");
}

#[test]
fn e2fsck_finds_no_fault() {
    let root = built().partition(1);
    run(tool("e2fsck", "e2fsprogs").args(["-f", "-n"]).arg(root));
    let header = text(tool("dumpe2fs", "e2fsprogs").arg("-h").arg(root));
    assert!(header.contains("kiln-root") && header.contains("clean"), "{header}");
}

#[test]
fn a_separate_root_is_the_same() {
    let built = built();
    for (name, partition) in [("root.ext4", 1), ("root.verity", 2)] {
        let alone = built.out().join(name);
        let size = fs::metadata(&alone).expect(name).len();
        assert!(size > 1 << 20 && size <= built.disk.disk.partitions[partition].size, "{name}: {size}");
        let mut cmp = tool("cmp", "diffutils");
        run(cmp.arg(format!("--bytes={size}")).arg(&alone).arg(built.partition(partition)));
    }
    let mut verify = tool("veritysetup", "cryptsetup-bin");
    verify.arg("verify").arg(built.out().join("root.ext4")).arg(built.out().join("root.verity"));
    run(verify.arg(&built.disk.root_hash));
    let said = fs::read_to_string(built.out().join("root.roothash")).expect("root.roothash");
    assert_eq!(said.strip_suffix('\n'), Some(built.disk.root_hash.as_str()));
}

#[test]
fn all_slots_except_the_first_are_empty() {
    let built = built();
    for number in [3, 4] {
        let partition = fs::read(built.partition(number)).expect("a partition");
        assert!(partition.iter().all(|byte| *byte == 0), "partition {number} is not empty");
    }
}
