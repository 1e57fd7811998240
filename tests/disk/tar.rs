//! The archive of the root, as libarchive and GNU tar see it.

use crate::mtree;
use crate::shared::built;
use crate::tools::{text, tool};

#[test]
fn bsdtar_finds_exactly_what_the_manifest_lists() {
    let built = built();
    let mut found = mtree::list(&built.out().join("root.tar.zst"));
    let mut count = 0;
    for record in built.manifest.in_initramfs() {
        let keywords = found.remove(&record.path).unwrap_or_else(|| panic!("/{} is not in the archive", record.path));
        assert_eq!(keywords, record.mtree(), "/{}", record.path);
        count += 1;
    }
    assert!(count > 2000, "{count} paths");
    assert!(found.is_empty(), "{:?}", found.keys());
}

#[test]
fn gnu_tar_finds_the_extended_attributes() {
    let built = built();
    let mut tar = tool("tar", "tar");
    let listing =
        text(tar.args(["-tv", "--xattrs", "--xattrs-include=*", "--zstd", "-f"]).arg(built.out().join("root.tar.zst")));
    let lines: Vec<&str> = listing.lines().collect();
    let of = |path: &str| lines.iter().position(|line| line.ends_with(path)).expect(path);
    let ping = built.manifest.files.iter().find(|record| !record.xattrs.is_empty()).expect("a file with attributes");
    for (name, _) in &ping.xattrs {
        let after = lines[of(&ping.path) + 1..].iter().take(ping.xattrs.len());
        assert!(after.into_iter().any(|line| line.contains(name.as_str())), "{name} of {}: {listing}", ping.path);
    }
}
