//! Reads partition tables of sgdisk, volumes of mtools and hash trees of veritysetup.

use crate::readers::tools::{run, text, tool};
use crate::readers::{noise, raw};
use kiln_image::disk::Disk;
use kiln_image::fat::Fat;
use kiln_image::gpt::Table;
use kiln_image::verity::Superblock;
use kiln_tree::Digest;
use kiln_verify::verity::recompute;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;

#[test]
fn tables_of_sgdisk() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("disk");
    File::create(&path).and_then(|file| file.set_len(64 << 20)).expect("a file");
    let guid = "01234567-89ab-cdef-0123-456789abcdef";
    run(tool("sgdisk", "gdisk")
        .args(["-n1:2048:+8M", "-t1:ef00", "-c1:the esp", &format!("-u1:{guid}"), "-n2:0:0", "-t2:8304", "-A2:set:63"])
        .arg(&path));
    let check = || {
        let disk = Disk::open(raw(&path)).expect("a disk");
        let [esp, root] = disk.table.partitions.as_slice() else { panic!("{:?}", disk.table) };
        assert_eq!((esp.start, esp.size, esp.name.as_str()), (1 << 20, 8 << 20, "the esp"));
        assert_eq!((esp.unique_guid.to_string().as_str(), root.attributes), (guid, 1 << 63));
        assert_eq!(root.type_guid.to_string(), "4f68bce3-e8cd-4db1-96e7-fbcaf984b709");
        assert!(disk.root().is_err(), "a reserved partition is not a root");
    };
    check();
    assert_eq!(Table::primary(&*raw(&path)).expect("read"), Table::backup(&*raw(&path)).expect("read"));
    // The backup is used when the primary is damaged.
    File::options().write(true).open(&path).and_then(|file| file.write_all_at(&[0; 512], 512)).expect("written");
    assert!(Table::primary(&*raw(&path)).is_err());
    check();
}

#[test]
fn volumes_of_mtools() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("volume");
    File::create(&path).and_then(|file| file.set_len(48 << 20)).expect("a file");
    let content = noise(3_000_000, 2);
    let source = dir.path().join("source");
    fs::write(&source, &content).expect("written");
    let mtools = |program: &str| {
        let mut command = tool(program, "mtools");
        command.arg("-i").arg(&path);
        command
    };
    run(mtools("mformat").args(["-F", "::"]));
    run(mtools("mmd").args(["::EFI", "::EFI/Linux"]));
    let names = ["EFI/Linux/kiln-worker_1.36.4+3-0.efi", "EFI/SHORT.EFI", "lower.txt", "Ünïcode and spaces"];
    for name in names {
        run(mtools("mcopy").arg(&source).arg(format!("::{name}")));
    }
    let blocks = raw(&path);
    let fat = Fat::open(&*blocks).expect("a volume");
    let mut expected = names.to_vec();
    expected.sort_unstable();
    assert_eq!(fat.files.keys().map(String::as_str).collect::<Vec<_>>(), expected);
    for file in fat.files.values() {
        assert!(fat.read(file).expect("read") == content);
    }
    assert!(fat.copies_agree);
}

#[test]
fn hash_trees_of_veritysetup() {
    let dir = tempfile::tempdir().expect("a directory");
    let (data, hashes) = (dir.path().join("data"), dir.path().join("hashes"));
    // No tree, one level, one full level, two levels.
    for (blocks, salt) in [(1, "-"), (100, "00ff"), (128, "aa"), (1300, "0102030405060708")] {
        fs::write(&data, noise(blocks * 4096, 3)).expect("written");
        let _ = fs::remove_file(&hashes);
        let said = text(
            tool("veritysetup", "cryptsetup-bin").arg("format").arg(&data).arg(&hashes).arg(format!("--salt={salt}")),
        );
        let wanted = said.lines().find_map(|line| line.strip_prefix("Root hash:")).expect("a root hash").trim();
        let superblock = Superblock::read(&*raw(&hashes)).expect("a superblock");
        assert_eq!(superblock.data_blocks, blocks as u64);
        let found = recompute(&*raw(&data), &*raw(&hashes), &superblock).expect("computed");
        assert_eq!(
            (Digest::from(found.root_hash).to_string().as_str(), found.wrong),
            (wanted, vec![]),
            "{blocks} blocks"
        );
    }
}
