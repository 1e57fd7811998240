//! What `kiln inspect` reads back: a manifest and an initramfs that may have been damaged since.

use kiln_format::cpio::{self, FileType, Header};
use kiln_image::extract;
use kiln_image::initramfs::Initramfs;
use kiln_manifest::Manifest;
use kiln_testing::fuzz::Fuzz;
use std::fs;
use std::io;

fn repair_nothing(_: &mut Vec<u8>) {}

fn member(out: &mut Vec<u8>, name: &str, data: &[u8], ino: u32, nlink: u32) {
    let file_type = FileType::Regular(u32::try_from(data.len()).expect("small"));
    let header = Header { name, file_type, mode: 0o644, uid: 0, gid: 0, mtime: 0, ino, nlink };
    cpio::write_header(out, &header).expect("written");
    out.extend_from_slice(data);
    cpio::pad(out, data.len() as u64).expect("padded");
}

fn image() -> Vec<u8> {
    let mut out = Vec::new();
    member(&mut out, "etc/first", b"first", 1, 2);
    member(&mut out, "etc/x", b"x", 0, 1);
    member(&mut out, "etc/wanted", b"", 1, 2);
    cpio::write_trailer(&mut out).expect("written");
    out
}

/// One frame a member would be: raw blocks, so that mutations reach the cpio inside.
fn frames(cpio: &[u8]) -> Vec<u8> {
    zstd::encode_all(cpio, 1).expect("compressed")
}

#[test]
fn initramfs_cpio() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("initramfs.cpio.zst");
    let words: [&[u8]; 4] = [b"070701", b"TRAILER!!!\0", b"FFFFFFFF", b"00000000"];
    Fuzz { name: "cpio", samples: vec![image()], words: &words, repair: repair_nothing }.run(|bytes| {
        fs::write(&path, frames(bytes)).expect("written");
        extract(&Initramfs::new(&path), "etc/wanted", &mut io::sink()).is_ok()
    });
}

#[test]
fn initramfs_frames() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("initramfs.cpio.zst");
    Fuzz { name: "frames", samples: vec![frames(&image())], words: &[b"\x28\xb5\x2f\xfd"], repair: repair_nothing }
        .run(|bytes| {
            fs::write(&path, bytes).expect("written");
            extract(&Initramfs::new(&path), "etc/wanted", &mut io::sink()).is_ok()
        });
}

#[test]
fn manifest() {
    let text = r#"{"version": 1, "kiln": "0.1.0", "role": "worker", "image": {"id":"kiln-worker","version":"1"}, "arch": "amd64", "suite": "sid",
        "release": "test", "kernel": "1", "cmdline": "quiet", "epoch": 7, "inputs": [], "pruned": {"man":{"files":1,"bytes":2}},
        "files": [{"path":"etc/x","type":"file","mode":"0644","uid":0,"gid":0,"mtime":7,"size":1,"origin":{"package":"base=1"}}], "outputs": []}"#;
    let words: [&[u8]; 6] = [b"{", b"}", b"[", b"]", b"\"", b"../"];
    Fuzz { name: "manifest", samples: vec![text.into()], words: &words, repair: repair_nothing }
        .run(|bytes| serde_json::from_slice::<Manifest>(bytes).is_ok_and(|manifest| !manifest.to_text().is_empty()));
}
