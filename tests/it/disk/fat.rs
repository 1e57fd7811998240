//! Checks FAT32 volumes with many sizes and file names with fsck.vfat and mtools.

use crate::disk::tools::{run, text, tool};
use kiln_format::fat::{Plan, Volume};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Makes a volume of `size` bytes in `directory` with `files`, whose contents are derived from
/// their names.
fn volume(directory: &Path, size: u64, files: &[(&str, usize)]) -> std::path::PathBuf {
    let mut volume = Volume::new(size, 0x1234_abcd, "KILN-TEST", 1_700_000_001).expect("a volume");
    for (path, size) in files {
        volume.add(path, *size as u64).expect("added");
    }
    let Plan { metadata, files: places } = volume.plan().expect("a plan");
    let path = directory.join("volume");
    let file = File::create(&path).expect("a file");
    file.set_len(size).expect("its size");
    for (offset, bytes) in metadata {
        file.write_all_at(&bytes, offset).expect("written");
    }
    for (name, size) in files {
        file.write_all_at(&content(name, *size), places[*name].start).expect("written");
    }
    path
}

fn content(name: &str, size: usize) -> Vec<u8> {
    name.bytes().cycle().take(size).collect()
}

#[test]
fn volumes_of_every_cluster_size_are_clean_and_contain_their_files() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut many: Vec<String> =
        (0..90).map(|number| format!("many/A file with a long name, number {number}.txt")).collect();
    many.push("many/deep/er/and/deeper/Ünïcödé — name.efi".into());
    let mut files: Vec<(&str, usize)> = many.iter().map(|path| (path.as_str(), path.len() * 37)).collect();
    files.extend([
        ("EFI/BOOT/BOOTX64.EFI", 140_891),
        ("empty", 0),
        ("cluster", 4096),
        ("B.TXT", 1),
        ("thirteen_unit", 513),
    ]);
    for megabytes in [34, 100, 256, 300, 2048] {
        let volume = volume(directory.path(), megabytes << 20, &files);
        let verdict = text(tool("fsck.vfat", "dosfstools").args(["-n", "-v"]).arg(&volume));
        assert!(
            verdict.contains("32 bit entries") && verdict.contains(&format!("{} files", files.len() + 8)),
            "{verdict}"
        );
        for (path, size) in &files {
            let read = run(tool("mtype", "mtools").arg("-i").arg(&volume).arg(format!("::{path}"))).stdout;
            assert!(read == content(path, *size), "{path} of {megabytes} MiB");
        }
        let info = text(tool("minfo", "mtools").arg("-i").arg(&volume).arg("::"));
        assert!(info.contains("disk label=\"KILN-TEST  \""), "{info}");
        assert!(info.contains("serial number: 1234ABCD"), "{info}");
    }
}
