//! Cases that do not occur in Debian's node packages: hard links, long names, setuid files of other
//! owners. dpkg-deb builds the package.

use crate::image::manifest::Manifest;
use crate::image::mtree;
use crate::image::shared::{DISK, built, kiln, scratch};
use crate::image::tools::{run, text, tool, unzstd};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

const CONTROL: &str =
    "Package: proof\nVersion: 1\nArchitecture: all\nMaintainer: a test <a@test.invalid>\nDescription: a proof\n";

const PROFILE: &str = "\
extends: worker
artifacts: {proof: {version: \"1\", file: ../proof.deb, deb: true}}
privileged: {/opt-proof: a test, /usr/lib/proof/a: a test, /usr/lib/proof/b: a test, /usr/lib/proof/z: a test}
outputs: [pxe, qcow2, ext4, tar]
";

#[test]
fn hard_links_stay_hard_links_and_long_names_stay_whole() {
    let directory = scratch(Path::new(DISK));
    let at = |path: &str| directory.path().join(path);
    let long = format!("usr/lib/proof/{}/{}", "long-".repeat(30), "name-".repeat(40));
    fs::create_dir_all(at("package/DEBIAN")).expect("a directory");
    fs::create_dir_all(at(&format!("package/{long}"))).expect("a directory");
    fs::write(at("package/DEBIAN/control"), CONTROL).expect("written");
    fs::write(at("package/usr/lib/proof/b"), "content").expect("written");
    fs::write(at(&format!("package/{long}/file")), "long").expect("written");
    for link in ["package/usr/lib/proof/a", "package/usr/lib/proof/z", "package/opt-proof"] {
        fs::hard_link(at("package/usr/lib/proof/b"), at(link)).expect("linked");
    }
    run(tool("chmod", "coreutils").arg("4755").arg(at("package/usr/lib/proof/b")));
    run(tool("dpkg-deb", "dpkg").args(["--root-owner-group", "--build"]).arg(at("package")).arg(at("proof.deb")));

    let built = built("trixie");
    run(tool("cp", "coreutils").arg("-r").arg(built.profiles()).arg(at("profiles")));
    fs::write(at("profiles/proof.yaml"), PROFILE).expect("written");
    run(kiln(directory.path()).args(["build", "proof", "--release", "debian-1.20.2", "--out", "out"]));
    let archive = at("out/pxe/initramfs.cpio.zst");

    let found = mtree::list(&archive);
    assert_eq!(found[&format!("{long}/file")]["size"], "4");
    assert_eq!(found["usr/lib/proof/a"]["mode"], "4755");
    let links: Vec<_> = Manifest::read(&at("out")).files.into_iter().filter(|record| record.size == Some(7)).collect();
    let paths: Vec<&str> =
        links.iter().map(|record| record.path.as_str()).filter(|path| path.contains("proof")).collect();
    assert_eq!(paths, ["opt-proof", "usr/lib/proof/a", "usr/lib/proof/b", "usr/lib/proof/z"]);

    for (name, package, arguments) in [
        ("cpio", "cpio", &["-idm", "--quiet", "--no-preserve-owner"][..]),
        ("bsdtar", "libarchive-tools", &["-xf", "-"]),
    ] {
        let root = at(name);
        fs::create_dir(&root).expect("a directory");
        let mut extract = tool(name, package);
        extract.args(arguments).args(["opt-proof", "usr/lib/proof/*"]).current_dir(&root);
        unzstd(&archive, &mut extract);
        let inodes: Vec<u64> = paths.iter().map(|path| root.join(path).metadata().expect("extracted").ino()).collect();
        assert!(inodes.iter().all(|inode| *inode == inodes[0]), "{name}: {inodes:?}");
        for path in &paths {
            assert_eq!(fs::read_to_string(root.join(path)).expect("extracted"), "content", "{name}: /{path}");
            assert_eq!(root.join(path).metadata().expect("extracted").nlink(), 4, "{name}: /{path}");
        }
        assert_eq!(fs::read_to_string(root.join(&long).join("file")).expect("extracted"), "long", "{name}");
    }
    let root = at("tar");
    fs::create_dir(&root).expect("a directory");
    let mut extract = tool("bsdtar", "libarchive-tools");
    extract.args(["-xf", "-", "opt-proof", "usr/lib/proof"]).current_dir(&root);
    unzstd(&at("out/root.tar.zst"), &mut extract);
    for path in &paths {
        assert_eq!(root.join(path).metadata().expect("extracted").nlink(), 4, "tar: /{path}");
        let stat = text(tool("debugfs", "e2fsprogs").args(["-R", &format!("stat /{path}")]).arg(at("out/root.ext4")));
        assert!(stat.contains("Links: 4 ") && stat.contains("Mode:  04755"), "{stat}");
    }

    // kiln also reads the names without data (further hard links) from all its outputs.
    let kiln = || std::process::Command::new(env!("CARGO_BIN_EXE_kiln"));
    run(kiln().arg("verify").arg(at("out")));
    for image in ["out", "out/pxe/initramfs.cpio.zst", "out/disk.qcow2", "out/root.ext4", "out/root.tar.zst"] {
        run(kiln().arg("diff").args([at("out"), at(image)]));
        for path in &paths {
            assert_eq!(run(kiln().arg("inspect").arg(at(image)).arg(path)).stdout, b"content", "{image}: /{path}");
        }
    }
}
