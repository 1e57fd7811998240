//! An image is no larger than one packed by hand.

use crate::image::shared::{DISK, SUITES, built, kubelet, scratch};
use crate::image::tools::{text, tool};
use std::fs;
use std::path::Path;

#[test]
fn an_image_is_no_larger_than_its_packages_packed_by_hand() {
    for suite in SUITES {
        let built = built(suite);
        let root = built.unpacked();
        let directory = scratch(Path::new(DISK));
        let packed = directory.path().join("hand.cpio.zst");
        // The kernel is not part of either; the image's kubelet is added to the packages.
        let script = "set -eo pipefail; packed=$1 kubelet=$2 extra=$3; mkdir -p \"$extra/usr/bin\"; cp \"$kubelet\" \"$extra/usr/bin/kubelet\"
            { find . -not -path './boot/*' -print0 | LC_ALL=C sort -z | cpio -0 -o -H newc --quiet
              cd \"$extra\"; find usr -print0 | LC_ALL=C sort -z | cpio -0 -o -H newc --quiet; } | zstd -3 -T0 -q -o \"$packed\"
            find . -type f -printf '%s\\n' | awk '{ n += $1 } END { print n }'";
        tool("cpio", "cpio");
        tool("zstd", "zstd");
        let mut bash = tool("bash", "bash");
        bash.args(["-c", script, "pack"]).arg(&packed).arg(kubelet()).arg(directory.path().join("extra"));
        text(bash.current_dir(root));
        let files = text(tool("find", "findutils").arg(root).args([
            "-type",
            "f",
            "-not",
            "-path",
            "*/boot/*",
            "-printf",
            "%D:%i %s\n",
        ]));
        let mut inodes: Vec<&str> = files.lines().collect();
        inodes.sort_unstable();
        inodes.dedup();
        let bytes = |line: &&str| line.split(' ').nth(1).and_then(|size| size.parse::<u64>().ok()).expect("a size");
        let hand_tree: u64 = inodes.iter().map(bytes).sum::<u64>() + fs::metadata(kubelet()).expect("kubelet").len();
        let (hand, kiln) =
            (fs::metadata(&packed).expect("packed").len(), fs::metadata(built.initramfs()).expect("built").len());
        let tree = built.manifest.bytes();
        let pruned: Vec<String> = built
            .manifest
            .pruned
            .iter()
            .map(|(rule, pruned)| format!("{rule} {} files, {} bytes", pruned.files, pruned.bytes))
            .collect();
        println!(
            "{suite}: initramfs {kiln} bytes, by hand {hand}; tree {tree} bytes, by hand {hand_tree}; pruned: {}",
            pruned.join("; ")
        );
        assert!(kiln <= hand, "{suite}: {kiln} bytes, by hand {hand}");
        assert!(tree <= hand_tree, "{suite}: {tree} bytes, by hand {hand_tree}");
    }
}
