//! Mirrors that are malicious, broken or stalled.

use crate::bad_input::site::{Answer, Keys, Site, now};
use crate::bad_input::synthetic::{Package, file, node, packages_text, release_text, xz};
use std::time::{Duration, Instant};

const IN_RELEASE: &str = "/dists/sid/InRelease";
const PACKAGES: &str = "/dists/sid/main/binary-amd64/Packages.xz";

/// `InRelease` of the smallest node with these dates.
fn dated(keys: &Keys, date: i64, valid_until: i64) -> Vec<u8> {
    keys.sign(&release_text(&packages_text(&node()), date, valid_until))
}

#[test]
fn signatures_and_dates() {
    let (keys, strangers) = (Keys::new(), Keys::new());
    let site = Site::new(&keys, &[]);
    let good = site.good(IN_RELEASE);
    let text = String::from_utf8(good.clone()).expect("UTF-8");
    let start = "loading the package index of sid: {mirror}: ";
    let rows: Vec<(Vec<u8>, &str)> = vec![
        (text.replace("Origin: Test", "Origin: Evil").into_bytes(), "InRelease is rejected: *does not match the text*"),
        (
            b"Origin: Test\n".to_vec(),
            "InRelease is rejected: it is not a single cleartext-signed text: *; use another mirror (--mirror)",
        ),
        (strangers.release(&node()), "InRelease is rejected: *is not in the keyring*"),
        (
            keys.sign("Origin: Test\n"),
            "InRelease is signed, but cannot be read: line 1: the paragraph has no field \"Date\"; use another mirror (--mirror)",
        ),
        (
            dated(&keys, now() + 90_000, now() + 180_000),
            "InRelease is rejected: it is dated *, but now it is *: set this machine's clock",
        ),
        (
            dated(&keys, now() - 90_000, now() - 3600),
            "InRelease is rejected: it was valid until *, and now it is *: *; use another mirror (--mirror), or accept it with --ignore-valid-until",
        ),
    ];
    for (in_release, expected) in rows {
        site.answer(IN_RELEASE, Answer::Good(in_release));
        site.refuses(&[], &format!("{start}{expected}"));
        assert!(!site.path("profiles/worker.lock").exists(), "a lock was written");
    }
    // The last one is repeated.
    site.builds(&["--ignore-valid-until"]);
}

#[test]
fn files_that_do_not_match_the_release() {
    let keys = Keys::new();
    let site = Site::new(&keys, &[]);
    let good = site.good(PACKAGES);
    let changed = xz(packages_text(&node()).replace("Version: 1", "Version: 2").as_bytes());
    let other = {
        let mut bytes = good.clone();
        bytes[20] ^= 1;
        bytes
    };
    let url = "{mirror}/dists/sid/main/binary-amd64/Packages.xz";
    let start = "loading the package index of sid: {mirror}: ";
    site.answer(PACKAGES, Answer::Good(other));
    site.refuses(
        &[],
        &format!("{start}{url} has sha256 *, expected *: the mirror is being updated or was changed; try again later, or name another (--mirror)"),
    );
    site.answer(PACKAGES, Answer::Good(changed));
    site.refuses(&[], &format!("{start}{url} has *, expected *: the mirror is being updated or was changed; *"));
    site.answer(PACKAGES, Answer::Cut(good, 30));
    site.refuses(&[], &format!("{start}fetching {url}: the connection was closed early (tried 4 times); *"));
    site.remove(PACKAGES);
    site.refuses(
        &[],
        &format!(
            "{start}{url} does not exist; check the mirror's URL and the suite, or name another mirror (--mirror)"
        ),
    );
}

#[test]
fn resolution_explains_itself() {
    let keys = Keys::new();
    let start = "resolving the packages of role worker on sid: ";
    let rows: [(&[Package], &str); 3] = [
        (
            &[Package::new("aa", "Depends: bb\n", &[]), Package::new("bb", "Depends: nowhere (>= 2)\n", &[])],
            "the wanted packages cannot be installed together: aa 1 (wanted) depends on bb → bb 1 depends on nowhere (>= 2), which no package satisfies",
        ),
        (
            &[Package::new("aa", "Conflicts: base\n", &[])],
            "the wanted packages cannot be installed together: aa 1 (wanted) conflicts with base, but base 1 (wanted)",
        ),
        (
            &[Package::new("aa", "Depends: base (>= 9)\n", &[])],
            "the wanted packages cannot be installed together: aa 1 (wanted) depends on base (>= 9), which no package satisfies (available: base 1)",
        ),
    ];
    for (packages, expected) in rows {
        let site = Site::new(&keys, packages);
        site.replace("profiles/worker.yaml", "[base]", "[base, aa]");
        site.refuses(&[], &format!("{start}{expected}"));
    }
    // For a package that does not exist, the error names the line that requests it.
    let site = Site::new(&keys, &[Package::new("bb", "", &[])]);
    site.replace("profiles/worker.yaml", "[base]", "[base, aa]");
    site.refuses(&[], &format!("profiles/worker.yaml:6:20: {start}no package is named \"aa\""));
    site.replace("profiles/worker.yaml", "[base, aa]", "[base]");
    site.replace("profiles/worker.yaml", "{sid: {}}", "{sid: {packages: [aa]}}");
    site.refuses(&[], &format!("profiles/worker.yaml:4:29: {start}no package is named \"aa\""));
}

#[test]
fn an_unreachable_mirror() {
    let keys = Keys::new();
    let site = Site::new(&keys, &[]);
    let start = "loading the package index of sid: {mirror}: ";
    site.answer(IN_RELEASE, Answer::Redirect("/elsewhere".into()));
    site.answer("/elsewhere", Answer::Redirect(IN_RELEASE.into()));
    site.refuses(
        &[],
        &format!("{start}fetching {{mirror}}{IN_RELEASE} (redirected to {{mirror}}/elsewhere): redirected more than 10 times; *--mirror*"),
    );
    site.answer(IN_RELEASE, Answer::Redirect("ftp://127.0.0.1/".into()));
    site.refuses(
        &[],
        &format!(
            "{start}fetching {{mirror}}{IN_RELEASE}: redirected to \"ftp://127.0.0.1/\", which is not an http URL; *"
        ),
    );
    site.remove(IN_RELEASE);
    site.refuses(&[], &format!("{start}{{mirror}}{IN_RELEASE} does not exist; check the mirror's URL and the suite, or name another mirror (--mirror)"));
    let refused = "loading the package index of sid: http://127.0.0.1:9: fetching http://127.0.0.1:9/dists/sid/InRelease: the connection was refused (tried 4 times); check the network*--mirror*";
    let mut command = site.kiln(&["build", "worker", "-o", "out/worker", "--mirror", "http://127.0.0.1:9"]);
    site.refuses_with(&mut command, 1, refused);
}

#[test]
fn a_mirror_that_stalls() {
    let keys = Keys::new();
    let site = Site::new(&keys, &[]);
    for path in [IN_RELEASE, PACKAGES] {
        let good = site.good(path);
        site.answer(path, Answer::Stall(good.clone(), 10));
        let start = Instant::now();
        let mut command = site.build(&["--stall-timeout", "1"]);
        let expected = format!(
            "loading the package index of sid: {{mirror}}: *fetching {{mirror}}{path}: the server sends nothing (tried 4 times); check the network*"
        );
        site.refuses_with(&mut command, 1, &expected);
        assert!(start.elapsed() < Duration::from_secs(40), "{:?}", start.elapsed());
        site.answer(path, Answer::Good(good));
    }
}

#[test]
fn a_locked_package_that_is_gone() {
    let keys = Keys::new();
    let old = Package::new("aa", "", &[file("./usr/share/a", "old")]);
    let site = Site::new(&keys, std::slice::from_ref(&old));
    site.replace("profiles/worker.yaml", "[base]", "[base, aa]");
    crate::bad_input::site::succeeds(&mut site.kiln(&["lock", "worker", "--mirror", &site.mirror()]));
    site.remove("/pool/main/aa_1_amd64.deb");
    let gone = "an input is no longer where the lock says: aa 1 ({mirror}/pool/main/aa_1_amd64.deb); pin what the mirror has now with \"kiln lock worker\"";
    site.refuses(&[], gone);
    // The mirror replaced the package without a new version.
    site.answer("/pool/main/aa_1_amd64.deb", Answer::Good(vec![0; old.bytes.len()]));
    site.refuses(&[], "aa 1: no location has the bytes with sha256 *: {mirror}/pool/main/aa_1_amd64.deb has sha256 *, expected *; if it was replaced on purpose, run `kiln lock` *");
    site.answer("/pool/main/aa_1_amd64.deb", Answer::Cut(old.bytes.clone(), 100));
    site.refuses(
        &[],
        "aa 1: fetching {mirror}/pool/main/aa_1_amd64.deb: the connection was closed early (tried 4 times); *",
    );
    site.answer("/pool/main/aa_1_amd64.deb", Answer::Good(old.bytes));
    site.builds(&["--locked"]);
}
