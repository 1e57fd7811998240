//! Tests of what no node's tree has but the format allows: files of many gigabytes and names that
//! are not UTF-8.

use crate::root::tools::{text, tool};
use ext4_view::Ext4;
use kiln_format::block::BlockSink;
use kiln_format::ext4::{BLOCK_SIZE, Ext4Error, Layout, Options};
use kiln_format::filesystem::{FileSystem, WriteError};
use kiln_format::guid::Guid;
use kiln_format::inodes::{Attributes, Inodes, Kind, ROOT};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use tempfile::NamedTempFile;

const OPTIONS: Options<'static> = Options {
    uuid: Guid::from_u128(1),
    hash_seed: Guid::from_u128(2),
    label: "limits",
    time: 1_700_000_000,
    size: None,
};

/// A file in which zeros become holes.
struct Sparse(File);

impl BlockSink for Sparse {
    fn write_at(&self, blocks: &[u8], offset: u64) -> io::Result<()> {
        for (block, offset) in blocks.chunks(BLOCK_SIZE).zip((offset..).step_by(BLOCK_SIZE)) {
            if block != [0; BLOCK_SIZE] {
                self.0.write_all_at(block, offset)?;
            }
        }
        Ok(())
    }
}

fn attributes(xattrs: &BTreeMap<String, Vec<u8>>) -> Attributes<'_> {
    Attributes { mode: 0o755, uid: 0, gid: 0, mtime: 2_000_000_000, xattrs }
}

/// Writes a file system whose contents are zeros, except for their last byte.
fn write(inodes: Inodes<'_, u64>) -> Result<NamedTempFile, WriteError<io::Error>> {
    let layout = Layout::new(inodes, OPTIONS).expect("a layout");
    let file = tempfile::Builder::new().prefix("kiln-test-").tempfile_in("/var/tmp").expect("a file");
    file.as_file().set_len(layout.size()).expect("extended");
    let zeros = vec![0; 1 << 20];
    let copy = |size: &u64, out: &mut dyn Write| {
        let mut left = size - 1;
        while left > 0 {
            let now = usize::try_from(left).map_or(zeros.len(), |left| left.min(zeros.len()));
            out.write_all(&zeros[..now])?;
            left -= now as u64;
        }
        out.write_all(b"!")
    };
    layout.write(&Sparse(file.reopen().expect("opened")), &copy)?;
    Ok(file)
}

fn e2fsck(file: &NamedTempFile) {
    let said = text(tool("e2fsck", "e2fsprogs").args(["-f", "-n"]).arg(file.path()));
    assert!(!said.contains('?'), "{said}");
}

fn regular(size: u64) -> Kind<'static, u64> {
    Kind::Regular { size, content: size, late: false }
}

#[test]
fn a_file_of_more_than_four_gigabytes() {
    let none = BTreeMap::new();
    let size = (4 << 30) + 5;
    let mut inodes = Inodes::new(attributes(&none));
    inodes.add(ROOT, b"large", regular(size), attributes(&none));
    inodes.add(ROOT, b"five-extents", regular((512 << 20) + 1), attributes(&none));
    inodes.add(ROOT, b"small", regular(1), attributes(&none));
    let file = write(inodes).expect("written");
    e2fsck(&file);
    let file_system = Ext4::load_from_path(file.path()).expect("a file system");
    for (path, size) in [("/large", size), ("/five-extents", (512 << 20) + 1), ("/small", 1)] {
        let mut found = file_system.open(path).expect("opened");
        assert_eq!(found.metadata().len(), size);
        assert_eq!(found.metadata().modified().seconds(), 2_000_000_000);
        found.seek_to(size - 1).expect("sought");
        let mut bytes = [0; 2];
        assert_eq!(found.read_bytes(&mut bytes).expect("read"), 1);
        assert_eq!(bytes[0], b'!', "{path}");
    }
}

/// `ext4-view` treats times with the highest bit set as damage, although they are valid times from
/// 2038 to 2106.
#[test]
fn times_after_2038_are_supported() {
    let none = BTreeMap::new();
    let mut inodes = Inodes::new(attributes(&none));
    inodes.add(ROOT, b"late", regular(1), Attributes { mtime: 4_000_000_000, ..attributes(&none) });
    let file = write(inodes).expect("written");
    e2fsck(&file);
    let said = text(tool("debugfs", "e2fsprogs").args(["-R", "stat /late"]).arg(file.path()));
    for time in ["ctime", "atime", "mtime", "crtime"] {
        let line = said.lines().find(|line| line.trim_start().starts_with(time)).unwrap_or_else(|| panic!("{said}"));
        // Debian 13's debugfs (1.47.2) decodes such a time as one of 2232; the kernel adds the two epoch
        // bits to the signed lower half (Documentation/filesystems/ext4/inodes.rst), which gives
        // Oct 2 07:06:40 2096. So compare the two halves as they are stored.
        assert!(line.contains(" 0xee6b2800:00000001 "), "{said}");
    }
}

#[test]
fn names_are_bytes() {
    let none = BTreeMap::new();
    let mut inodes = Inodes::new(attributes(&none));
    let directory = inodes.add(ROOT, b"\xff\xfe", Kind::Directory(Vec::new()), attributes(&none));
    inodes.add(directory, b"\x80\n\x01", regular(3), attributes(&none));
    let file = write(inodes).expect("written");
    e2fsck(&file);
    let file_system = Ext4::load_from_path(file.path()).expect("a file system");
    assert_eq!(file_system.read(b"/\xff\xfe/\x80\n\x01".as_slice()).expect("read"), b"\0\0!");
}

#[test]
fn names_that_linux_does_not_allow_are_rejected() {
    let none = BTreeMap::new();
    for name in [b"".as_slice(), b".", b"..", b"a/b", b"a\0", &[b'x'; 256]] {
        let mut inodes = Inodes::new(attributes(&none));
        inodes.add(ROOT, name, regular(1), attributes(&none));
        let refused = Layout::new(inodes, OPTIONS).err();
        assert!(matches!(refused, Some(Ext4Error::Name { .. })), "{name:?}: {refused:?}");
    }
}

#[test]
fn more_hard_links_than_ext4_allows_are_rejected() {
    let none = BTreeMap::new();
    let names: Vec<String> = (0..65_001).map(|number| number.to_string()).collect();
    let mut inodes = Inodes::new(attributes(&none));
    let first = inodes.add(ROOT, b"first", regular(1), attributes(&none));
    for name in &names[1..65_000] {
        inodes.link(ROOT, name.as_bytes(), first);
    }
    e2fsck(&write(inodes).expect("65000 names"));
    let mut inodes = Inodes::new(attributes(&none));
    let first = inodes.add(ROOT, b"first", regular(1), attributes(&none));
    for name in &names[1..] {
        inodes.link(ROOT, name.as_bytes(), first);
    }
    let refused = Layout::new(inodes, OPTIONS).err();
    assert_eq!(refused, Some(Ext4Error::Links { path: "/first".into(), links: 65_001 }));
}

#[test]
fn more_subdirectories_than_can_be_counted() {
    let none = BTreeMap::new();
    let names: Vec<String> = (0..65_100).map(|number| number.to_string()).collect();
    let mut inodes: Inodes<'_, u64> = Inodes::new(attributes(&none));
    for name in &names {
        inodes.add(ROOT, name.as_bytes(), Kind::Directory(Vec::new()), attributes(&none));
    }
    e2fsck(&write(inodes).expect("written"));
}

#[test]
fn contents_with_a_wrong_size_are_rejected() {
    let none = BTreeMap::new();
    for (said, comes) in [(10_000, 9_999), (10_000, 10_001), (1, 5_000), (8192, 1)] {
        let mut inodes = Inodes::new(attributes(&none));
        inodes.add(ROOT, b"odd", Kind::Regular { size: said, content: comes, late: false }, attributes(&none));
        let refused = write(inodes).expect_err("refused").to_string();
        assert!(
            refused.contains("/odd") || refused.contains("the content is longer than its size says"),
            "{said}, {comes}: {refused}"
        );
    }
}
