//! Reads ext4 made by mke2fs and debugfs.

use crate::readers::raw;
use crate::readers::tools::{run, text, tool};
use kiln_image::ext4::Ext4Root;
use kiln_image::listing::Listing;
use kiln_image::{Kind, extract};
use kiln_tree::Digest;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

/// A capability, and a value that does not fit into an inode.
const CAPABILITY: &str = "0100000200200000000000000000000000000000";

fn debugfs(image: &Path, command: &str) {
    let output = run(tool("debugfs", "e2fsprogs").args(["-w", "-R", command]).arg(image));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.lines().count() <= 1, "{command}: {said}");
}

#[test]
fn contents_written_by_mke2fs_are_read_back() {
    let dir = tempfile::tempdir().expect("a directory");
    let tree = dir.path().join("tree");
    fs::create_dir_all(tree.join("deep/er/many")).expect("directories");
    // Enough for a hash tree of a directory, and for a file of several extents.
    for number in 0..3000 {
        fs::write(tree.join(format!("deep/er/many/a-rather-long-name-{number:05}")), number.to_string())
            .expect("written");
    }
    let content = crate::readers::noise(5 << 20, 1);
    fs::write(tree.join("file"), &content).expect("written");
    fs::set_permissions(tree.join("file"), fs::Permissions::from_mode(0o4751)).expect("permissions");
    fs::hard_link(tree.join("file"), tree.join("name")).expect("linked");
    fs::write(tree.join("empty"), "").expect("written");
    symlink("file", tree.join("short")).expect("linked");
    symlink("/long/".repeat(30), tree.join("long")).expect("linked");
    let image = dir.path().join("image");
    run(tool("mke2fs", "e2fsprogs")
        .args(["-q", "-t", "ext4", "-b", "4096", "-L", "a label", "-d"])
        .arg(&tree)
        .arg(&image)
        .arg("64M"));
    for command in ["mknod console c 5 1", "mknod disk b 259 300", "mknod pipe p"] {
        debugfs(&image, command);
    }
    fs::write(dir.path().join("value"), "v".repeat(3000)).expect("written");
    fs::write(dir.path().join("capability"), bytes(CAPABILITY)).expect("written");
    let at = |name: &str| dir.path().join(name).display().to_string();
    debugfs(&image, &format!("ea_set -f {} file security.capability", at("capability")));
    debugfs(&image, &format!("ea_set -f {} empty user.large", at("value")));
    debugfs(&image, "ea_set empty user.small x");
    debugfs(&image, "set_inode_field empty uid 70000");
    debugfs(&image, "set_inode_field empty mtime @1700000000");

    let root = Ext4Root::new(raw(&image));
    assert_eq!(root.label().expect("a label"), "a label");
    let listing = Listing::read(&root, &mut |_, _| {}).expect("read");
    assert_eq!(listing.oddities, [""; 0]);
    let kind = |path: &str| listing.paths[path].node.kind.clone();
    let many = listing.paths.keys().filter(|path| path.starts_with("deep/er/many/")).count();
    assert_eq!((many, listing.paths.len()), (3000, 3000 + 3 + 8 + 1));
    assert_eq!(kind("file"), Kind::File { size: content.len() as u64, link: None });
    assert_eq!(kind("name"), Kind::File { size: content.len() as u64, link: Some("file".into()) });
    assert_eq!(listing.paths["name"].sha256, Some(Digest::of(&content)));
    assert_eq!(listing.paths["file"].node.mode, 0o4751);
    assert_eq!(kind("short"), Kind::Symlink("file".into()));
    assert_eq!(kind("long"), Kind::Symlink("/long/".repeat(30)));
    assert_eq!(kind("console"), Kind::Char { major: 5, minor: 1 });
    assert_eq!(kind("disk"), Kind::Block { major: 259, minor: 300 });
    assert_eq!(kind("pipe"), Kind::Fifo);
    let empty = &listing.paths["empty"];
    assert_eq!((empty.node.uid, empty.node.mtime), (70000, 1_700_000_000));
    assert_eq!(empty.xattrs["user.small"], b"x");
    assert_eq!(empty.xattrs["user.large"], "v".repeat(3000).as_bytes());
    assert_eq!(listing.paths["file"].xattrs_in_hex()["security.capability"], CAPABILITY);
    let mut found = Vec::new();
    extract(&root, "deep/er/many/a-rather-long-name-02999", &mut found).expect("extracted");
    assert_eq!(found, b"2999");
}

#[test]
fn directories_cannot_share_a_block() {
    let dir = tempfile::tempdir().expect("a directory");
    for name in ["tree/a", "tree/b"] {
        fs::create_dir_all(dir.path().join(name)).expect("a directory");
    }
    let image = dir.path().join("image");
    let mut mke2fs = tool("mke2fs", "e2fsprogs");
    mke2fs.args(["-q", "-t", "ext4", "-O", "^metadata_csum", "-d"]).arg(dir.path().join("tree")).arg(&image).arg("4M");
    run(&mut mke2fs);
    let read = || Listing::read(&Ext4Root::new(raw(&image)), &mut |_, _| {});
    assert_eq!(read().expect("read").paths.len(), 3, "a, b and lost+found");
    let block = text(tool("debugfs", "e2fsprogs").args(["-R", "blocks a"]).arg(&image));
    // The low half of the physical block of the first extent, ee_start_lo.
    debugfs(&image, &format!("set_inode_field b block[5] {}", block.trim()));
    let error = read().expect_err("refused").to_string();
    assert!(error.contains(&format!("block {} belongs to two directories", block.trim())), "{error}");
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len() / 2).map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).expect("hexadecimal")).collect()
}
