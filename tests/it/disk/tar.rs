//! Checks the archive of the root with libarchive and GNU tar.

use crate::disk::mtree;
use crate::disk::shared::built;
use crate::disk::tools::{text, tool};

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
    let mut tar = tool("tar", "tar");
    tar.args(["-tvv", "--xattrs", "--xattrs-include=*", "--zstd", "-f"]).arg(built().out().join("root.tar.zst"));
    let listing = text(tar.arg("etc/proof/attributes"));
    for attribute in ["  x: 1 user.other\n", "  x: 2 user.proof\n"] {
        assert!(listing.contains(attribute), "{listing}");
    }
}
