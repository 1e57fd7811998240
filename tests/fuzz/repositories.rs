//! What a mirror says.

use crate::synthetic::{Package, node, packages_text, release_text};
use kiln_source::deb::cleartext;
use kiln_source::deb::index::Index;
use kiln_source::deb::keyring::Keyring;
use kiln_source::deb::package::Archive;
use kiln_source::deb::release::Release;
use kiln_source::deb::{resolver, signature};
use kiln_testing::fuzz::Fuzz;
use std::collections::BTreeSet;

const KEYS: &[u8] = include_bytes!("../../crates/source/src/deb/testdata/archive.asc");
const MESSAGE: &[u8] = include_bytes!("../../crates/source/src/deb/testdata/message.asc");

fn repair_nothing(_: &mut Vec<u8>) {}

#[test]
fn packages() {
    let words: [&[u8]; 20] = [
        b"\n\n",
        b"Package: ",
        b"Version: ",
        b"Depends: ",
        b"Pre-Depends: ",
        b"Provides: ",
        b"Conflicts: ",
        b"Breaks: ",
        b" | ",
        b", ",
        b" (>= 2)",
        b" (<< 1:1~)",
        b":any",
        b" [amd64]",
        b"Essential: yes\n",
        b"Multi-Arch: foreign\n",
        b"aa",
        b"bb",
        b"base",
        b"\n ",
    ];
    let mut packages = node();
    packages.push(Package::new("aa", "Depends: bb | cc (>= 1), base:any\nProvides: cc (= 2)\n", &[]));
    packages.push(Package::new("bb", "Pre-Depends: base (= 1)\nConflicts: cc (<< 1)\nReplaces: aa\nBreaks: dd\n", &[]));
    let samples = vec![packages_text(&packages).into_bytes(), packages_text(&packages[2..]).into_bytes()];
    let wanted = BTreeSet::from(["aa".to_owned(), "base".to_owned()]);
    Fuzz { name: "packages", samples, words: &words, repair: repair_nothing }.run(|bytes| {
        let Ok(text) = std::str::from_utf8(bytes) else { return false };
        let Ok(index) = Index::read("amd64", vec![(Archive::Main, text.to_owned())]) else { return false };
        // Whether there is a solution does not matter; that the question is answered does.
        let _ = resolver::resolve(&index, &wanted, &BTreeSet::new());
        true
    });
}

#[test]
fn release() {
    let words: [&[u8]; 8] =
        [b"SHA256:\n", b"Date: ", b"Valid-Until: ", b"Acquire-By-Hash: yes\n", b"Codename: ", b"\n ", b"-0500", b"../"];
    let samples = vec![release_text(&packages_text(&node()), 1_790_000_000, 1_790_100_000).into_bytes()];
    Fuzz { name: "release", samples, words: &words, repair: repair_nothing }
        .run(|bytes| std::str::from_utf8(bytes).is_ok_and(|text| Release::parse(text).is_ok()));
}

#[test]
fn in_release() {
    let words: [&[u8]; 7] = [
        b"-----BEGIN PGP SIGNED MESSAGE-----\n",
        b"-----BEGIN PGP SIGNATURE-----\n",
        b"-----END PGP SIGNATURE-----\n",
        b"Hash: SHA512\n",
        b"- ",
        b"\r\n",
        b"=",
    ];
    let keyring = Keyring::from_bytes("archive.asc", KEYS).expect("a keyring");
    let now = "2026-11-21T00:00:00Z".parse().expect("a time");
    Fuzz { name: "in-release", samples: vec![MESSAGE.to_vec()], words: &words, repair: repair_nothing }.run(|bytes| {
        let split = cleartext::split(bytes).map(|message| message.signed_bytes());
        let verified = signature::verify(bytes, &keyring, now);
        assert!(split.is_ok() || verified.is_err(), "verified what cannot be split");
        split.is_ok()
    });
}

#[test]
fn no_mutation_of_a_signed_text_is_believed() {
    let keyring = Keyring::from_bytes("archive.asc", KEYS).expect("a keyring");
    let now = "2026-11-21T00:00:00Z".parse().expect("a time");
    let good = signature::verify(MESSAGE, &keyring, now).expect("verified").text;
    let trimmed = |text: &str| text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n").trim_end().to_owned();
    Fuzz {
        name: "forgery",
        samples: vec![MESSAGE.to_vec()],
        words: &[b"- ", b"\n", b"\r\n", b" ", b"\t"],
        repair: repair_nothing,
    }
    .run(|bytes| match signature::verify(bytes, &keyring, now) {
        // The standard leaves white space at the ends of lines out of what is signed.
        Ok(verified) => {
            assert_eq!(trimmed(&verified.text), trimmed(&good), "a forgery is believed");
            true
        }
        Err(_) => false,
    });
}

#[test]
fn keyrings() {
    let mut samples = vec![KEYS.to_vec()];
    let path = "/usr/share/keyrings/debian-archive-keyring.gpg";
    samples.push(
        std::fs::read(path)
            .unwrap_or_else(|error| panic!("{path}: {error}: install the package debian-archive-keyring")),
    );
    Fuzz { name: "keyring", samples, words: &[], repair: repair_nothing }
        .run(|bytes| Keyring::from_bytes("fuzz", bytes).is_ok());
}
