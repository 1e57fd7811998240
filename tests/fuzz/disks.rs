//! What `kiln verify`, `diff` and `inspect` read of disks: tables, volumes, file systems and encodings that may have been damaged since.

use kiln_image::blocks::{Blocks, bytes};
use kiln_image::disk::Disk;
use kiln_image::ext4::Ext4Root;
use kiln_image::fat::Fat;
use kiln_image::gpt::Table;
use kiln_image::listing::Listing;
use kiln_image::tarball::Tarball;
use kiln_image::verity::Superblock;
use kiln_image::{open_disk, uki};
use kiln_testing::fuzz::Fuzz;
use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

/// An image in memory, with zeros up to a size.
#[derive(Debug)]
struct Memory(Vec<u8>, u64);

impl Blocks for Memory {
    fn size(&self) -> u64 {
        self.1
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        if offset.checked_add(buffer.len() as u64).is_none_or(|end| end > self.1) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let start = usize::try_from(offset).map_err(io::Error::other)?.min(self.0.len());
        let there = buffer.len().min(self.0.len() - start);
        buffer[..there].copy_from_slice(&self.0[start..start + there]);
        buffer[there..].fill(0);
        Ok(())
    }
}

fn memory(bytes: &[u8]) -> Arc<dyn Blocks> {
    Arc::new(Memory(bytes.to_vec(), bytes.len() as u64))
}

fn repair_nothing(_: &mut Vec<u8>) {}

/// Runs a program of a Debian package that must succeed.
fn run(program: &str, package: &str, arguments: &[&str]) {
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    let output = Command::new(program).args(arguments).env("PATH", path).output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}: install the Debian package {package}"));
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// What `make` puts into a file.
fn sample(make: impl Fn(&Path)) -> Vec<u8> {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("sample");
    make(&path);
    let bytes = fs::read(&path).expect("made");
    assert!(bytes.len() <= 1 << 20, "{} bytes are more than are mutated", bytes.len());
    bytes
}

/// Both headers' and tables' checksums.
#[expect(clippy::ptr_arg, reason = "repairs of other formats lengthen what they repair")]
fn repair_gpt(disk: &mut Vec<u8>) {
    let last = (disk.len() / 512).saturating_sub(1) * 512;
    for (header, entries) in [(512, 1024), (last, last.saturating_sub(128 * 128))] {
        if header == 0 || disk.len() < header + 512 || disk.len() < entries + 128 * 128 {
            continue;
        }
        let sum = crc32fast::hash(&disk[entries..entries + 128 * 128]);
        disk[header + 88..header + 92].copy_from_slice(&sum.to_le_bytes());
        disk[header + 16..header + 20].fill(0);
        let sum = crc32fast::hash(&disk[header..header + 92]);
        disk[header + 16..header + 20].copy_from_slice(&sum.to_le_bytes());
    }
}

#[test]
fn partition_tables() {
    let disk = sample(|path| {
        fs::write(path, vec![0; 200 << 10]).expect("written");
        let path = path.to_str().expect("UTF-8");
        run("sgdisk", "gdisk", &["-a1", "-n1:40:60", "-t1:ef00", "-n2:61:80", "-t2:8304", path]);
    });
    let words: [&[u8]; 3] = [b"EFI PART", &[0xff; 8], &[0; 8]];
    Fuzz { name: "gpt", samples: vec![disk], words: &words, repair: repair_gpt }.run(|bytes| {
        let disk = memory(bytes);
        let _ = Table::backup(&*disk);
        Disk::open(disk).is_ok_and(|disk| disk.esp().and_then(|_| disk.root()).is_ok())
    });
}

/// Bytes of the smallest volume that is FAT32, or a little more.
const VOLUME: u64 = 36 << 20;

#[test]
fn fat_volumes() {
    let volume = sample(|target| {
        let volume = target.with_extension("whole");
        fs::File::create(&volume).and_then(|file| file.set_len(VOLUME)).expect("a file");
        let path = volume.to_str().expect("UTF-8");
        run("mformat", "mtools", &["-F", "-c", "1", "-i", path, "::"]);
        run("mmd", "mtools", &["-i", path, "::EFI", "::EFI/Linux"]);
        run("mcopy", "mtools", &["-i", path, "/proc/self/status", "::EFI/Linux/a longer name.efi"]);
        run("mcopy", "mtools", &["-i", path, "/proc/self/status", "::short.txt"]);
        // All tables, and the few clusters that are in use.
        fs::write(target, &fs::read(&volume).expect("read")[..700 << 10]).expect("written");
    });
    let words: [&[u8]; 4] = [b"EFI        \x10", b".          \x10", &[0xff; 4], &[2, 0, 0, 0]];
    Fuzz { name: "fat", samples: vec![volume], words: &words, repair: repair_nothing }.run(|bytes| {
        let volume = Memory(bytes.to_vec(), VOLUME);
        let Ok(fat) = Fat::open(&volume) else { return false };
        fat.files.values().all(|file| fat.read(file).is_ok())
    });
}

#[test]
fn ext4_file_systems() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    fs::create_dir_all(dir.path().join("a/b")).expect("directories");
    for number in 0..100 {
        fs::write(dir.path().join(format!("a/b/a-long-name-{number}")), "x").expect("written");
    }
    fs::write(dir.path().join("file"), vec![7; 40_000]).expect("written");
    std::os::unix::fs::symlink("file", dir.path().join("link")).expect("linked");
    let tree = dir.path().to_str().expect("UTF-8").to_owned();
    // With checksums and without: behind those, only what recomputes them would get.
    let samples = ["^has_journal,^metadata_csum", "^has_journal,metadata_csum"].map(|features| {
        sample(|path| {
            let path = path.to_str().expect("UTF-8");
            run(
                "mke2fs",
                "e2fsprogs",
                &["-q", "-t", "ext4", "-b", "1024", "-N", "256", "-O", features, "-d", &tree, path, "900k"],
            );
            run("debugfs", "e2fsprogs", &["-w", "-R", "ea_set file user.a b", path]);
        })
    });
    let words: [&[u8]; 4] = [&[0x0a, 0xf3], &[0, 0, 2, 0xea], &[0xff; 4], &[2, 0, 0, 0]];
    Fuzz { name: "ext4", samples: samples.to_vec(), words: &words, repair: repair_nothing }
        .run(|bytes| Listing::read(&Ext4Root::new(memory(bytes)), &mut |_, _| {}).is_ok());
}

#[test]
fn encodings() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let raw = dir.path().join("raw");
    let mut disk = vec![0; 300 << 10];
    disk[512..520].copy_from_slice(b"EFI PART");
    disk[70_000..170_000].fill(9);
    fs::write(&raw, &disk).expect("written");
    let raw = raw.to_str().expect("UTF-8");
    let formats: [&[&str]; 5] = [
        &["qcow2", "-c"],
        &["qcow2", "-c", "-o", "compression_type=zstd"],
        &["qcow2", "-o", "cluster_size=4096"],
        &["vmdk", "-o", "subformat=streamOptimized"],
        &["vpc", "-o", "subformat=fixed,force_size=on"],
    ];
    let mut samples: Vec<Vec<u8>> = formats
        .iter()
        .map(|format| {
            let mut arguments = vec!["convert", "-f", "raw", "-O"];
            arguments.extend_from_slice(format);
            sample(|path| {
                run("qemu-img", "qemu-utils", &[&arguments[..], &[raw, path.to_str().expect("UTF-8")]].concat())
            })
        })
        .collect();
    let archive = |path: &Path| {
        let (path, dir) = (path.to_str().expect("UTF-8"), dir.path().to_str().expect("UTF-8"));
        run("tar", "tar", &["--format=oldgnu", "-Sczf", path, "-C", dir, "--transform=s/raw/disk.raw/", "raw"]);
    };
    samples.push(sample(archive));
    let path = dir.path().join("image");
    let words: [&[u8]; 6] = [b"QFI\xfb", b"KDMV", b"conectix", b"\x1f\x8b\x08", &[0xff; 8], &[0; 8]];
    Fuzz { name: "encodings", samples, words: &words, repair: repair_nothing }.run(|image| {
        fs::write(&path, image).expect("written");
        let Ok(disk) = open_disk(&path) else { return false };
        // As far as a disk of this size has bytes; a damaged header may promise terabytes.
        let ends = [0, disk.size() / 2, disk.size().saturating_sub(4096)];
        ends.iter().all(|at| bytes(&*disk, *at, disk.size().saturating_sub(*at).min(400 << 10)).is_ok())
    });
}

#[test]
fn kernel_images_and_hash_trees() {
    let mut image = vec![0; 0x400];
    image[..2].copy_from_slice(b"MZ");
    image[0x3c] = 0x80;
    image[0x80..0x87].copy_from_slice(b"PE\0\0\x64\x86\x02");
    image[0x94] = 240;
    image[0x98..0x9a].copy_from_slice(&0x20b_u16.to_le_bytes());
    for (at, value) in [(32, 4096_u32), (36, 512), (60, 0x400), (108, 16)] {
        image[0x98 + at..0x98 + at + 4].copy_from_slice(&value.to_le_bytes());
    }
    for (number, name) in [b".cmdline", b".osrel\0\0"].into_iter().enumerate() {
        let at = 0x188 + 40 * number;
        image[at..at + 8].copy_from_slice(name);
        for (field, value) in [600_u32, 0x1000, 512, 0x400].into_iter().enumerate() {
            image[at + 8 + 4 * field..at + 12 + 4 * field].copy_from_slice(&value.to_le_bytes());
        }
    }
    image.extend([b'x'; 512]);
    assert_eq!(uki::sections(&image).expect("sections").len(), 2);
    let words: [&[u8]; 3] = [b"PE\0\0", b".cmdline", &[0xff; 4]];
    Fuzz { name: "uki", samples: vec![image], words: &words, repair: repair_nothing }
        .run(|bytes| uki::sections(bytes).is_ok_and(|sections| sections.contains_key(".cmdline")));

    let mut block = b"verity\0\0\x01\0\0\0\x01\0\0\0".to_vec();
    block.resize(32, 7);
    block.extend(b"sha256\0");
    block.resize(64, 0);
    for value in [4096_u32, 4096, 5, 0, 32] {
        block.extend(value.to_le_bytes());
    }
    block.resize(4096, 0);
    Fuzz { name: "verity", samples: vec![block], words: &words, repair: repair_nothing }
        .run(|bytes| Superblock::read(&*memory(bytes)).is_ok());
}

#[test]
fn tar_archives_of_a_root() {
    let mut archive = tar::Builder::new(Vec::new());
    archive.append_pax_extensions([("SCHILY.xattr.user.a", &b"b"[..]), ("mtime", b"1")]).expect("appended");
    let mut header = tar::Header::new_ustar();
    header.set_size(5);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(1);
    archive.append_data(&mut header, "etc/file", &b"hello"[..]).expect("appended");
    header.set_entry_type(tar::EntryType::Link);
    header.set_size(0);
    archive.append_link(&mut header, "etc/link", "etc/file").expect("appended");
    let sample = archive.into_inner().expect("finished");
    let path = tempfile::NamedTempFile::new().expect("a file");
    let words: [&[u8]; 4] = [b"ustar\x0000", b"30 SCHILY.xattr.user.a=b\n", b"99999999999 path=", b"../"];
    Fuzz { name: "tarball", samples: vec![sample], words: &words, repair: repair_nothing }.run(|bytes| {
        fs::write(path.path(), zstd::encode_all(bytes, 1).expect("compressed")).expect("written");
        Listing::read(&Tarball::new(path.path()), &mut |_, _| {}).is_ok()
    });
}
