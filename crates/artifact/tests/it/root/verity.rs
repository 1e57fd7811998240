//! Compares the hash tree with that of veritysetup.

use crate::root::specimen::{self, OPTIONS, noise};
use crate::root::tools::{run, text, tool};
use kiln_format::block::BlockSink;
use kiln_format::guid::Guid;
use kiln_format::verity::{BLOCK_SIZE, Hasher, Parameters};
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The root hash that veritysetup prints when it makes the tree of `data` in `hashes`.
fn veritysetup_format(data: &Path, hashes: &Path, parameters: &Parameters) -> String {
    let _ = fs::remove_file(hashes);
    let mut command = tool("veritysetup", "cryptsetup-bin");
    command.arg("format").arg(format!("--salt={}", hex(&parameters.salt)));
    command.arg(format!("--uuid={}", parameters.uuid)).arg(data).arg(hashes);
    let said = text(&mut command);
    let line = said.lines().find_map(|line| line.strip_prefix("Root hash:")).unwrap_or_else(|| panic!("{said}"));
    line.trim().to_owned()
}

#[test]
fn trees_of_any_height_equal_those_of_veritysetup() {
    let directory = tempfile::tempdir().expect("a directory");
    let at = |name: &str| directory.path().join(name);
    for data_blocks in [1, 2, 127, 128, 129, 16_384, 16_385, 20_000] {
        let salt = <[u8; 32]>::try_from(noise(32, data_blocks)).expect("32 bytes");
        let parameters = Parameters { uuid: Guid::derived(&salt), salt, data_blocks };
        let data = File::create(at("data")).expect("created");
        data.set_len(data_blocks * BLOCK_SIZE as u64).expect("extended");
        let hasher = Hasher::new(parameters.clone());
        // Not in order, in several threads, and with a hole for every third block.
        for block in (0..data_blocks).rev().filter(|block| block % 3 != 1) {
            let (bytes, offset) = (noise(BLOCK_SIZE, block), block * BLOCK_SIZE as u64);
            hasher.write_at(&bytes, offset).expect("hashed");
            data.write_all_at(&bytes, offset).expect("written");
        }
        let ours = hasher.finish();
        assert_eq!(
            hex(&ours.root),
            veritysetup_format(&at("data"), &at("theirs"), &parameters),
            "{data_blocks} blocks"
        );
        assert_eq!(ours.bytes.len() as u64, parameters.size(), "{data_blocks} blocks");
        assert!(ours.bytes == fs::read(at("theirs")).expect("read"), "{data_blocks} blocks");
    }
}

#[test]
fn veritysetup_verifies_the_root_and_notices_any_damage() {
    let size = Some(64 << 20);
    let written = specimen::write(&specimen::everything(), &kiln_artifact::root::RootOptions { size, ..OPTIONS })
        .expect("written");
    let verify = |hash: &str| {
        let mut command = tool("veritysetup", "cryptsetup-bin");
        command.arg("verify").arg(written.ext4()).arg(written.verity()).arg(hash);
        command
    };
    let hash = written.hash.to_string();
    run(&mut verify(&hash));
    let end = written.size;
    for (path, offset) in [
        (written.ext4(), 0),
        (written.ext4(), end / 8),
        (written.ext4(), end - 1),
        (written.verity(), 0x58),
        (written.verity(), 4096),
        (written.verity(), 16_384),
    ] {
        let file = File::options().read(true).write(true).open(&path).expect("opened");
        let flip = || {
            let mut byte = [0];
            file.read_exact_at(&mut byte, offset).expect("read");
            file.write_all_at(&[byte[0] ^ 1], offset).expect("written");
        };
        flip();
        assert!(!verify(&hash).output().expect("veritysetup").status.success(), "{}: byte {offset}", path.display());
        flip();
    }
    run(&mut verify(&hash));
}
