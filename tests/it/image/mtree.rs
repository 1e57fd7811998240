//! An archive's listing by bsdtar, in mtree(5)'s format: every header field and each file's digest.

use crate::image::tools::{tool, unzstd};
use std::collections::BTreeMap;
use std::path::Path;

/// Keywords of one path.
pub(crate) type Keywords = BTreeMap<String, String>;

/// The entries that libarchive finds in the zstd-compressed cpio `archive`, by path.
pub(crate) fn list(archive: &Path) -> BTreeMap<String, Keywords> {
    let mut bsdtar = tool("bsdtar", "libarchive-tools");
    bsdtar.args(["-cf", "-", "--format=mtree", "--options=!all,type,mode,uid,gid,size,time,link,device,sha256", "@-"]);
    let listing = String::from_utf8(unzstd(archive, &mut bsdtar).stdout).expect("ASCII");
    let mut paths = BTreeMap::new();
    for line in listing.lines().filter(|line| !line.starts_with('#')) {
        let mut words = line.split(' ');
        let path = decode(words.next().expect("a path"));
        let keywords: Keywords =
            words.filter_map(|word| word.split_once('=')).map(|(key, value)| (key.to_owned(), decode(value))).collect();
        let path = path.strip_prefix("./").unwrap_or(&path).to_owned();
        assert!(paths.insert(path.clone(), keywords).is_none(), "{path} is there twice");
    }
    paths
}

/// Undoes strvis(3)'s octal escapes.
fn decode(word: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = word.as_bytes();
    while let [first, tail @ ..] = rest {
        match (first, tail.get(..3).and_then(|digits| std::str::from_utf8(digits).ok())) {
            (b'\\', Some(digits)) => {
                bytes.push(u8::from_str_radix(digits, 8).expect("octal digits"));
                rest = &tail[3..];
            }
            _ => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8(bytes).expect("UTF-8")
}
