//! Tests of the file system with e2fsck, debugfs and `ext4-view`.

use crate::root::specimen::{self, EPOCH, OPTIONS, Written, noise, origin, path};
use crate::root::tools::{run, text, tool};
use ext4_view::{Ext4, FileType};
use kiln_artifact::root::{Place, RootImage, RootOptions};
use kiln_pack::Store;
use kiln_tree::{DeviceKind, Entry, FileTree, Kind, LinkGroup, Metadata, Origin, TreePath};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::ops::Range;
use std::sync::Mutex;

/// Checks that e2fsck finds nothing to repair.
fn e2fsck(written: &Written) {
    let output = tool("e2fsck", "e2fsprogs").args(["-f", "-n"]).arg(written.ext4()).output().expect("e2fsck");
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}\n{said}", output.status);
    // It asks about each change and answers itself, but may still exit with success.
    assert!(!said.contains('?') && !said.contains("IGNORED"), "{said}");
}

/// Checks that `ext4-view` reads exactly `tree`.
fn is_read_back(written: &Written, tree: &FileTree) {
    let file_system = Ext4::load_from_path(written.ext4()).expect("a file system");
    assert_eq!(file_system.label().to_str(), Ok("kiln-root"));
    let mut found = BTreeSet::new();
    let mut todo = vec![String::from("/")];
    while let Some(directory) = todo.pop() {
        for entry in file_system.read_dir(directory.as_str()).expect("a directory") {
            let entry = entry.expect("an entry");
            let name = entry.file_name().as_str().expect("UTF-8").to_owned();
            if name == "." || name == ".." {
                continue;
            }
            let path = format!("{}/{name}", directory.trim_end_matches('/'));
            let metadata = file_system.symlink_metadata(path.as_str()).expect("metadata");
            assert_eq!(entry.file_type().expect("a type"), metadata.file_type(), "{path}");
            if metadata.is_dir() {
                todo.push(path.clone());
            }
            let entry = tree.get(path.trim_start_matches('/')).unwrap_or_else(|| panic!("{path} was not in the tree"));
            let meta = &entry.meta;
            let wanted = (meta.mode, meta.uid, meta.gid, i64::from(meta.time(EPOCH)));
            let modified = metadata.modified();
            assert_eq!(
                (metadata.mode() & 0o7777, metadata.uid(), metadata.gid(), modified.seconds()),
                wanted,
                "{path}"
            );
            let wanted = match &entry.kind {
                Kind::Directory => FileType::Directory,
                Kind::File { content, .. } => {
                    assert_eq!(metadata.len(), content.size, "{path}");
                    let bytes = file_system.read(path.as_str()).expect("read");
                    assert!(Some(bytes.as_slice()) == entry.inline(), "{path}");
                    FileType::Regular
                }
                Kind::Symlink(target) => {
                    let read = file_system.read_link(path.as_str()).expect("read");
                    assert_eq!(read.to_str(), Ok(target.as_str()), "{path}");
                    FileType::Symlink
                }
                Kind::Device { kind: DeviceKind::Char, .. } => FileType::CharacterDevice,
                Kind::Device { kind: DeviceKind::Block, .. } => FileType::BlockDevice,
                Kind::Fifo => FileType::Fifo,
            };
            assert_eq!(metadata.file_type(), wanted, "{path}");
            assert!(found.insert(path.clone()), "{path} exists twice");
        }
    }
    assert_eq!(found.len(), tree.len());
}

/// The answers of debugfs to `requests`, by request.
fn debugfs(written: &Written, requests: &[String]) -> BTreeMap<String, String> {
    let list = written.directory.path().join("requests");
    fs::write(&list, requests.join("\n")).expect("written");
    let said = text(tool("debugfs", "e2fsprogs").arg("-f").arg(list).arg(written.ext4()));
    let answers = said.split("debugfs: ").skip(1);
    let answers: BTreeMap<String, String> =
        answers.filter_map(|answer| answer.split_once('\n')).map(|(a, b)| (a.to_owned(), b.to_owned())).collect();
    assert_eq!(answers.len(), requests.len(), "{said}");
    answers
}

#[test]
fn every_type_of_entry_is_read_back() {
    let tree = specimen::everything();
    let written = specimen::write(&tree, &OPTIONS).expect("written");
    e2fsck(&written);
    is_read_back(&written, &tree);
}

#[test]
fn debugfs_sees_links_devices_and_times() {
    let written = specimen::write(&specimen::everything(), &OPTIONS).expect("written");
    for (path, said) in [
        ("/", "Links: 12"),
        ("/many", "Links: 2 "),
        ("/subdirectories", "Links: 202 "),
        ("/hard/first", "Links: 3 "),
        ("/a-third-name", "Links: 3 "),
        ("/sizes/4097", "Blockcount: 16"),
        ("/xattrs/in-block", "Blockcount: 16"),
        ("/dev/null", "(hex 01:03)"),
        ("/dev/block", "(hex 103:01)"),
        ("/dev/highest", "(hex fff:fffff)"),
        ("/links/59", "Fast link dest"),
        ("/links/60", "Blockcount: 8"),
        ("/new", "ctime: 0x6553f100:00000000"),
        ("/owned", "Group: -294967296"),
    ] {
        let request = format!("stat {path}");
        let answer = &debugfs(&written, std::slice::from_ref(&request))[&request];
        assert!(answer.contains(said), "{path}: {said:?} is not in:\n{answer}");
    }
}

#[test]
fn debugfs_reads_every_extended_attribute() {
    let tree = specimen::everything();
    let written = specimen::write(&tree, &OPTIONS).expect("written");
    let value = written.directory.path().join("value");
    for (path, entry) in tree.iter().filter(|(_, entry)| !entry.meta.xattrs.is_empty()) {
        let listed = &debugfs(&written, &[format!("ea_list /{path}")])[&format!("ea_list /{path}")];
        assert_eq!(
            listed.lines().filter(|line| line.starts_with("  ")).count(),
            entry.meta.xattrs.len(),
            "/{path}: {listed}"
        );
        for (name, wanted) in &entry.meta.xattrs {
            let request = format!("ea_get -f {} /{path} {name}", value.display());
            run(tool("debugfs", "e2fsprogs").arg("-R").arg(request).arg(written.ext4()));
            assert!(&fs::read(&value).expect("read") == wanted, "/{path}: {name}");
        }
    }
}

#[test]
fn debugfs_dumps_every_file() {
    let tree = specimen::everything();
    let written = specimen::write(&tree, &OPTIONS).expect("written");
    let dump = written.directory.path().join("dump");
    fs::create_dir(&dump).expect("a directory");
    // debugfs cannot create devices as an ordinary user and reports that; it can create files and
    // links.
    let request = format!("rdump /sizes /many /names /hard /links {}", dump.display());
    run(tool("debugfs", "e2fsprogs").arg("-R").arg(request).arg(written.ext4()));
    let mut compared = 0;
    for directory in ["sizes", "many", "names", "hard", "links"] {
        for (path, entry) in tree.below(directory) {
            let dumped = dump.join(path.as_str());
            match &entry.kind {
                // debugfs passes 4095 bytes to symlink(2), which is too long.
                Kind::Symlink(target) if target.len() < 4000 => {
                    assert_eq!(fs::read_link(&dumped).expect("a link").to_str(), Some(target.as_str()));
                }
                Kind::File { .. } => {
                    assert!(Some(fs::read(&dumped).expect("read").as_slice()) == entry.inline(), "/{path}");
                    compared += 1;
                }
                _ => {}
            }
        }
    }
    assert!(compared > 3000);
}

#[test]
fn the_bytes_do_not_depend_on_the_number_of_threads() {
    let tree = specimen::everything();
    let bytes = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
        let written = pool.install(|| specimen::write(&tree, &OPTIONS).expect("written"));
        let read = |path| fs::read(path).expect("read");
        (read(written.ext4()), read(written.verity()), written.hash)
    };
    let one = bytes(1);
    assert!(one == bytes(2) && one == bytes(16));
    let other = RootOptions { image: ("specimen", "2"), ..OPTIONS };
    assert_ne!(specimen::write(&tree, &other).expect("written").hash, one.2);
}

#[test]
fn bytes_are_written_in_ascending_order() {
    let tree = specimen::everything();
    let plan = RootImage::plan(&tree, &OPTIONS).expect("a plan");
    let file = tempfile::NamedTempFile::new().expect("a file");
    let place = Place { file: file.as_file(), path: file.path(), offset: 0 };
    let ranges = Mutex::new(Vec::new());
    plan.write(&Store::default(), place, &|range| ranges.lock().expect("alone").push(range)).expect("written");
    let ranges = ranges.into_inner().expect("alone");
    assert!(ranges.len() > 10 && ranges.is_sorted_by(|one, next| one.end <= next.start), "{ranges:?}");
    // All data is written exactly once.
    let blocks =
        |ranges: &[Range<u64>]| ranges.iter().flat_map(|range| range.clone().step_by(4096)).collect::<Vec<_>>();
    assert!(blocks(&ranges) == blocks(&plan.data()));
}

#[test]
fn a_given_size_is_kept_or_rejected() {
    let tree = specimen::everything();
    let fitted = RootImage::plan(&tree, &OPTIONS).expect("a plan").size();
    let size = fitted + (300 << 20);
    let written = specimen::write(&tree, &RootOptions { size: Some(size), ..OPTIONS }).expect("written");
    assert_eq!(fs::metadata(written.ext4()).expect("metadata").len(), size);
    e2fsck(&written);
    is_read_back(&written, &tree);
    let small = fitted - 4096;
    let refused =
        RootImage::plan(&tree, &RootOptions { size: Some(small), ..OPTIONS }).err().expect("refused").to_string();
    assert!(refused.contains(&fitted.to_string()) && refused.contains(&small.to_string()), "{refused}");
}

#[test]
fn entries_that_ext4_cannot_hold_are_rejected_by_name() {
    let refused = |entry: Entry| {
        let mut tree = FileTree::new();
        tree.insert(path("etc/odd"), entry).expect("inserted");
        let error = RootImage::plan(&tree, &OPTIONS).err().expect("refused").to_string();
        assert!(error.contains("/etc/odd"), "{error}");
        error
    };
    let xattr = |name: &str, size| {
        let mut entry = Entry::file(b"x", 0o644, origin());
        entry.meta.xattrs.insert(name.to_owned(), vec![1; size]);
        entry
    };
    assert!(refused(Entry::symlink("x".repeat(4096), origin())).contains("4096"));
    assert!(refused(xattr("user.large", 4096)).contains("user.large"));
    assert!(refused(xattr("system.posix_acl_access", 4)).contains("system.posix_acl_access"));
    let kind = Kind::Device { kind: DeviceKind::Char, major: 4096, minor: 0 };
    assert!(refused(Entry { kind, meta: Metadata::new(0o600, origin()) }).contains("4096:0"));
}

#[test]
fn files_that_change_often_come_last() {
    let tree = |rendered: &[u8]| {
        let mut tree = FileTree::new();
        tree.insert(path("a"), Entry::file(rendered.to_vec(), 0o644, Origin::Rendered("r".into()))).expect("inserted");
        for name in ["b", "c"] {
            tree.insert(path(name), Entry::file(noise(100_000, 1), 0o644, origin())).expect("inserted");
        }
        fs::read(specimen::write(&tree, &OPTIONS).expect("written").ext4()).expect("read")
    };
    let (before, after) = (tree(b"before"), tree(b"after!"));
    let changed: Vec<usize> = (0..before.len() / 4096)
        .filter(|block| before[block * 4096..][..4096] != after[block * 4096..][..4096])
        .collect();
    assert_eq!(changed, [before.len() / 4096 - 1]);
}

/// More inodes than a group of full size has blocks for.
#[test]
fn very_many_empty_files() {
    let mut tree = FileTree::new();
    for number in 0..40_000 {
        let name = format!("{:03}/{number}", number % 300);
        tree.insert(path(&name), Entry::file(b"", 0o644, origin())).expect("inserted");
    }
    let written = specimen::write(&tree, &OPTIONS).expect("written");
    e2fsck(&written);
    is_read_back(&written, &tree);
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![8 => "[a-d]{1,2}", 1 => "[a-zA-Z0-9._ -]{1,40}x", 1 => "[é-ü]{1,120}", 1 => Just("y".repeat(255))]
}

fn entry() -> impl Strategy<Value = Entry> {
    let content = (0..20_000_usize, any::<u64>()).prop_map(|(size, seed)| noise(size, seed));
    let origins = prop_oneof![Just(origin()), Just(Origin::Overlay("o".into()))];
    let kind = prop_oneof![
        2 => Just(Kind::Directory),
        6 => (content, proptest::option::weighted(0.2, "[ab]")).prop_map(|(bytes, link)| {
            // All names of one inode have the same bytes.
            let bytes = link.as_ref().map_or(bytes, |link: &String| link.as_bytes().to_vec());
            Kind::File { content: kiln_tree::Content::inline(bytes), link: link.map(|link| LinkGroup(link.into())) }
        }),
        2 => "[a-z/.]{1,130}".prop_map(Kind::Symlink),
        1 => (any::<bool>(), 0..4096_u32, 0..1_048_576_u32).prop_map(|(char, major, minor)| {
            Kind::Device { kind: if char { DeviceKind::Char } else { DeviceKind::Block }, major, minor }
        }),
        1 => Just(Kind::Fifo),
    ];
    let xattrs = proptest::collection::btree_map(
        "(user|trusted|security)\\.[a-z]{1,20}",
        proptest::collection::vec(any::<u8>(), 0..200),
        0..4,
    );
    (kind, 0..0o10000_u16, any::<u32>(), any::<u32>(), any::<u32>(), xattrs, origins).prop_map(
        |(kind, mode, uid, gid, mtime, xattrs, origin)| {
            let meta = Metadata { mode, uid, gid, mtime, xattrs, origin };
            // Names of one inode have the same metadata.
            let meta =
                if matches!(kind, Kind::File { link: Some(_), .. }) { Metadata::new(0o600, meta.origin) } else { meta };
            Entry { kind, meta }
        },
    )
}

fn tree() -> impl Strategy<Value = FileTree> {
    let path = proptest::collection::vec(name(), 1..6).prop_map(|names| names.join("/"));
    proptest::collection::vec((path, entry()), 0..80).prop_map(|entries| {
        let mut tree = FileTree::new();
        for (path, entry) in entries {
            // Entries that conflict with existing ones are left out.
            let _ = tree.insert(TreePath::new(&path).expect("a path"), entry);
        }
        tree
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn any_tree_is_consistent_and_read_back(tree in tree(), spare in 0_u64..3) {
        let fitted = RootImage::plan(&tree, &OPTIONS).expect("a plan").size();
        let size = (spare > 0).then_some(fitted + spare * 4096 * 20_000);
        let written = specimen::write(&tree, &RootOptions { size, ..OPTIONS }).expect("written");
        e2fsck(&written);
        is_read_back(&written, &tree);
    }
}
