//! Trees for tests, and the roots made from them.

use kiln_artifact::root::{Place, RootError, RootImage, RootOptions};
use kiln_pack::Store;
use kiln_profile::RootFileSystem;
use kiln_tree::{Content, DeviceKind, Digest, Entry, FileTree, Kind, LinkGroup, Metadata, Origin, TreePath};
use std::fs::{self, File};
use std::path::PathBuf;
use tempfile::TempDir;

/// The image's time.
pub(super) const EPOCH: u32 = 1_700_000_000;
pub(super) const OPTIONS: RootOptions<'static> =
    RootOptions { file_system: RootFileSystem::Ext4, image: ("specimen", "1"), epoch: EPOCH, size: None };

/// A root written to separate files.
pub(super) struct Written {
    pub directory: TempDir,
    /// The root hash.
    pub hash: Digest,
    /// Bytes of the file system.
    pub size: u64,
}

impl Written {
    pub(super) fn ext4(&self) -> PathBuf {
        self.directory.path().join("root.ext4")
    }

    pub(super) fn verity(&self) -> PathBuf {
        self.directory.path().join("root.verity")
    }
}

pub(super) fn write(tree: &FileTree, options: &RootOptions<'_>) -> Result<Written, RootError> {
    let directory = tempfile::Builder::new().prefix("kiln-test-").tempdir_in("/var/tmp").expect("a directory");
    let plan = RootImage::plan(tree, options)?;
    let tree = plan.hash_tree(&Store::default())?;
    fs::write(directory.path().join("root.verity"), &tree.bytes).expect("written");
    let path = directory.path().join("root.ext4");
    let file = File::create_new(&path).expect("created");
    file.set_len(plan.size()).expect("extended");
    plan.write(&Store::default(), Place { file: &file, path: &path, offset: 0 }, &|_| {})?;
    Ok(Written { directory, hash: tree.root.into(), size: plan.size() })
}

pub(super) fn path(text: &str) -> TreePath {
    TreePath::new(text).expect("a path")
}

pub(super) fn origin() -> Origin {
    Origin::Package("specimen=1".into())
}

/// Bytes that do not repeat.
pub(super) fn noise(size: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2).wrapping_add(0x9e37_79b9_7f4a_7c15);
    let words = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    words.flatten().take(size).collect()
}

/// A tree with every type of entry.
pub(super) fn everything() -> FileTree {
    let mut tree = FileTree::new();
    let mut put = |name: &str, entry: Entry| {
        tree.insert(path(name), entry).expect("inserted");
    };
    let file = |bytes: Vec<u8>| Entry::file(bytes, 0o644, origin());
    for size in [0, 1, 4095, 4096, 4097, 300_000] {
        put(&format!("sizes/{size}"), file(noise(size, size as u64)));
    }
    put("sizes/rendered", Entry::file(noise(9000, 7), 0o600, Origin::Rendered("specimen".into())));
    for length in [1, 59, 60, 61, 255, 4095] {
        put(&format!("links/{length}"), Entry::symlink("x/".repeat(length)[..length].to_owned(), origin()));
    }
    put("names/with space", file(b"1".to_vec()));
    put("names/ünïcode", file(b"2".to_vec()));
    put(&format!("names/{}", "n".repeat(255)), file(b"3".to_vec()));
    put(&format!("deep/{}", "directory/".repeat(60)), Entry::directory(0o700, origin()));
    for number in 0..3000 {
        put(&format!("many/file with a rather long name, number {number:05}"), file(format!("{number}").into_bytes()));
    }
    for number in 0..200 {
        put(&format!("subdirectories/{number}"), Entry::directory(0o755, origin()));
    }
    put("setuid", Entry { meta: Metadata::new(0o6755, origin()), ..file(noise(10, 1)) });
    put("tmp", Entry::directory(0o1777, origin()));
    put("owned", file(b"owned".to_vec()).owned(70_000, 4_000_000_000));
    let mut old = file(b"old".to_vec());
    old.meta.mtime = 86_400;
    put("old", old);
    let mut new = file(b"new".to_vec());
    new.meta.mtime = EPOCH + 1;
    put("new", new);
    for (name, kind, major, minor) in [
        ("null", DeviceKind::Char, 1, 3),
        ("block", DeviceKind::Block, 259, 1),
        ("highest", DeviceKind::Char, 4095, 1_048_575),
    ] {
        let kind = Kind::Device { kind, major, minor };
        put(&format!("dev/{name}"), Entry { kind, meta: Metadata::new(0o620, origin()) });
    }
    put("dev/fifo", Entry { kind: Kind::Fifo, meta: Metadata::new(0o600, origin()) });
    for name in ["hard/first", "hard/second", "a-third-name"] {
        let link = Some(LinkGroup("specimen".into()));
        let kind = Kind::File { content: Content::inline(noise(5000, 3)), link };
        put(name, Entry { kind, meta: Metadata::new(0o640, origin()) });
    }
    let capability = vec![1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let xattrs =
        |pairs: &[(&str, Vec<u8>)]| pairs.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    for (name, pairs) in [
        ("capability", vec![("security.capability", capability.clone())]),
        ("empty", vec![("user.empty", vec![])]),
        (
            "in-block",
            vec![("security.capability", capability), ("user.long", noise(3000, 9)), ("trusted.x", b"yz".to_vec())],
        ),
        ("in-inode", vec![("user.a", b"1".to_vec()), ("user.bb", b"22".to_vec()), ("trusted.c", b"333".to_vec())]),
    ] {
        let mut entry = file(noise(100, 5));
        entry.meta.xattrs = xattrs(&pairs);
        put(&format!("xattrs/{name}"), entry);
    }
    let mut directory = Entry::directory(0o755, origin());
    directory.meta.xattrs = xattrs(&[("user.directory", noise(200, 6))]);
    put("xattrs/directory", directory);
    tree
}
