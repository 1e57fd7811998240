//! Packages that are malformed, or conflict with each other.

use crate::bad_input::site::{Keys, Site};
use crate::bad_input::synthetic::{Member, Package, ar, control, deb_of, directory, file, hardlink, symlink, tar, xz};

/// A site whose profile contains the package `a` (and `b`, if given).
fn site_with(keys: &Keys, packages: &[Package]) -> Site {
    let site = Site::new(keys, packages);
    let names: Vec<&str> = packages.iter().map(|package| package.name.as_str()).collect();
    site.replace("profiles/worker.yaml", "[base]", &format!("[base, {}]", names.join(", ")));
    site
}

#[test]
fn containers() {
    let keys = Keys::new();
    let control = control("aa", "1", "");
    let data = xz(&tar(&[file("./usr/share/a", vec![7; 100_000])]));
    let good = deb_of(&control, &data);
    let read = "reading aa 1 (cache/blobs/*): ";
    let bomb = {
        let mut zeros = xz(&vec![0; 4 << 20]);
        zeros.truncate(zeros.len() - 40);
        zeros
    };
    let rows: Vec<(Vec<u8>, &str)> = vec![
        (
            b"<html>404 Not Found</html>".to_vec(),
            "not a Debian package: it does not begin with \"!<arch>\"*use another version of it",
        ),
        (b"".to_vec(), "not a Debian package: it is shorter than an ar archive*"),
        (ar(&[("debian-binary", b"3.0\n")]), "not a Debian package: its format version is \"3.0\", not 2.x*"),
        (
            ar(&[("debian-binary", b"2.0\n"), ("data.tar.xz", &data)]),
            "not a Debian package: it has the member \"data.tar.xz\" in the place of control.tar*",
        ),
        (good[..good.len() / 2].to_vec(), "not a Debian package: *truncated*"),
        (deb_of(&control, &data[..data.len() / 2]), "*damaged or truncated*use another version of it"),
        (deb_of(&control, &bomb), "*damaged or truncated*use another version of it"),
        (
            deb_of(&control, &{
                let mut bytes = data.clone();
                bytes[40] ^= 0xff;
                bytes
            }),
            "*damaged or truncated*use another version of it",
        ),
        (deb_of(&control, b"no archive"), "*damaged or truncated*use another version of it"),
        (deb_of("no control file", &data), "package aa: its control file: *"),
    ];
    for (bytes, expected) in rows {
        let site = site_with(&keys, &[Package::raw("aa", bytes)]);
        let expected = if expected.starts_with("package") { expected.to_owned() } else { format!("{read}{expected}") };
        site.refuses(&[], &expected);
    }
}

#[test]
fn members() {
    let keys = Keys::new();
    let read = "reading aa 1 (cache/blobs/*): ";
    let rows: [(&[Member], &str); 8] = [
        (
            &[file("./usr/../../etc/evil", "x")],
            "member 0: \"./usr/../../etc/evil\" leaves the tree through \"..\"; its sha256 is correct, so it is broken at its source: use another version of it",
        ),
        (
            &[file("../evil", "x")],
            "member 0: \"../evil\" leaves the tree through \"..\"; its sha256 is correct, so it is broken at its source: use another version of it",
        ),
        (
            &[file("./usr/share/a\u{7}b", "x")],
            "member 0: \"./usr/share/a\\x07b\" contains a control character; its sha256 is correct, so it is broken at its source: use another version of it",
        ),
        (
            &[directory("./usr/share/"), hardlink("./usr/share/shadow", "/etc/shadow")],
            "member usr/share/shadow is a hard link to \"/etc/shadow\", which is not an earlier file of the archive; its sha256 is correct, so it is broken at its source: use another version of it",
        ),
        (
            &[hardlink("./usr/share/later", "./usr/share/a"), file("./usr/share/a", "x")],
            "member usr/share/later is a hard link to \"./usr/share/a\", which is not an earlier file of the archive; its sha256 is correct, so it is broken at its source: use another version of it",
        ),
        (
            &[symlink("./usr/share/x", "/etc"), file("./usr/share/x/evil", "x")],
            "package aa: /usr/share/x/evil: its parent /usr/share/x is a * not a directory (from package aa=1); exclude one of the packages, or divert the path (diversions in the profile)",
        ),
        (
            &[file("./usr/share/x", ""), file("./usr/share/x/evil", "x")],
            "package aa: /usr/share/x/evil: its parent /usr/share/x is a * not a directory (from package aa=1); exclude one of the packages, or divert the path (diversions in the profile)",
        ),
        (
            &[file("./usr/share/containerd", "x"), directory("./usr/bin/containerd")],
            "/usr/bin/containerd is a directory of aa and a file of base; exclude one of the packages, or add to the profile: diversions: {/usr/bin/containerd: {to: /usr/bin/containerd.base}}",
        ),
    ];
    for (members, expected) in rows {
        let site = site_with(&keys, &[Package::raw("aa", deb_of(&control("aa", "1", ""), &xz(&tar(members))))]);
        let expected = if expected.starts_with("member") { format!("{read}{expected}") } else { expected.to_owned() };
        site.refuses(&[], &expected);
        assert!(!std::path::Path::new("/etc/evil").exists(), "it escaped");
    }
}

#[test]
fn between_packages() {
    let keys = Keys::new();
    let a = |members: &[Member]| Package::new("aa", "", members);
    let b = |members: &[Member]| Package::new("bb", "", members);
    let both = "/usr/share/x is shipped by both aa and bb, and neither says that it replaces the other; exclude one of them, or add to the profile: diversions: *";
    let rows = [
        ([a(&[file("./usr/share/x", "1")]), b(&[file("./usr/share/x", "2")])], both),
        (
            [a(&[symlink("./usr/share/x", "/nowhere")]), b(&[file("./usr/share/x/evil", "2")])],
            "/usr/share/x is a directory of bb and a symlink of aa; exclude one of the packages, or add to the profile: diversions: {/usr/share/x: {to: /usr/share/x.aa}}",
        ),
        (
            [a(&[file("./boot/vmlinuz-2", "1")]), b(&[])],
            "profiles/worker.yaml:8:12: the tree has 2 kernels (boot/vmlinuz-*); an image boots exactly one: check kernel.package",
        ),
    ];
    for (packages, expected) in rows {
        site_with(&keys, &packages).refuses(&[], expected);
    }
    // The remedy that the message names.
    let site = site_with(&keys, &[a(&[file("./usr/share/x", "1")]), b(&[file("./usr/share/x", "2")])]);
    site.append("profiles/worker.yaml", "diversions: {/usr/share/x: {to: /usr/share/x.diverted, by: aa}}\n");
    site.builds(&[]);
}
