//! gpgv and kiln must agree which messages are trusted, and on their text.

use crate::repository::gnupg::{self, Gnupg, gpgv};
use crate::repository::mirror;
use jiff::Timestamp;
use kiln_source::deb::keyring::Keyring;
use kiln_source::deb::release::Release;
use kiln_source::deb::signature;
use std::path::Path;

const BLOCK: &str = "-----BEGIN PGP SIGNATURE-----";

/// kiln's verdict, in the form of gpgv's.
fn kiln(message: &[u8], keyring: &Path) -> Result<String, String> {
    let keyring = Keyring::from_file(keyring).unwrap();
    let verified = signature::verify(message, &keyring, Timestamp::now()).map_err(|error| error.to_string())?;
    Ok(verified.text)
}

#[test]
fn real_archives_are_accepted_and_read_alike() {
    let keyring = mirror::keyring_path();
    for suite in ["trixie", "trixie-updates", "trixie-security", "bookworm"] {
        let message = mirror::in_release(suite);
        let start = std::time::Instant::now();
        let text = kiln(&message, &keyring).unwrap_or_else(|error| panic!("{suite}: {error}"));
        println!("{suite}: verified in {:?}", start.elapsed());
        assert_eq!(text, gpgv(&message, &keyring).unwrap(), "{suite}");
        let release = Release::parse(&text).unwrap();
        release.check(suite, Timestamp::now(), true).unwrap();
        assert!(release.files.contains_key("main/binary-amd64/Packages.xz"), "{suite}");
        let cut = &message[..message.len() - 1000];
        assert!(kiln(cut, &keyring).is_err() && gpgv(cut, &keyring).is_err(), "{suite} cut short");
    }
}

#[test]
fn mutations_of_a_real_archive_are_judged_alike() {
    let keyring = mirror::keyring_path();
    let message = String::from_utf8(mirror::in_release("trixie")).unwrap();
    let other = String::from_utf8(mirror::in_release("bookworm")).unwrap();
    let (text, block) = message.split_at(message.find(BLOCK).unwrap());
    let (other_text, other_block) = other.split_at(other.find(BLOCK).unwrap());
    let first_digest = text.find("\nSHA256:\n ").unwrap() + "\nSHA256:\n ".len();
    let digit = if &text[first_digest..=first_digest] == "0" { "1" } else { "0" };
    let in_block = block.len() / 2;
    let changed = if &block[in_block..=in_block] == "A" { "B" } else { "A" };
    let splice = |at: usize, with: &str| format!("{}{with}{}", &message[..at], &message[at + 1..]);

    // (what, message, whether it is trusted)
    let mutations: Vec<(&str, String, bool)> = vec![
        ("nothing", message.clone(), true),
        ("CRLF line ends", message.replace('\n', "\r\n"), true),
        ("blanks at line ends", message.replacen("Debian\n", "Debian \t \n", 2), true),
        ("an unneeded dash-escape", message.replacen("\nOrigin", "\n- Origin", 1), true),
        ("a digit of a digest", splice(first_digest, digit), false),
        ("the date", message.replacen("Date: ", "Date: Mon, ", 1), false),
        ("the suite", message.replacen("Codename: trixie", "Codename: forky", 1), false),
        ("a line less", message.replacen("Acquire-By-Hash: yes\n", "", 1), false),
        ("a line more", format!("{text}Extra: yes\n{block}"), false),
        ("an empty line in front", message.replacen("\n\nOrigin", "\n\n\nOrigin", 1), false),
        ("an empty line at the end", format!("{text}\n{block}"), false),
        ("a blank at a line's start", message.replacen("\nSuite", "\n Suite", 1), false),
        ("lines joined", message.replacen("\nSuite", " Suite", 1), false),
        ("a carriage return in a line", message.replacen("Suite: ", "Suite:\r ", 1), false),
        ("a NUL within a line", message.replacen("Suite: ", "Suite: \0", 1), false),
        ("another archive's signature", format!("{text}{other_block}"), false),
        ("another archive's text", format!("{other_text}{block}"), false),
        ("a byte of the signature", format!("{text}{}{changed}{}", &block[..in_block], &block[in_block + 1..]), false),
        ("no signature", text.to_owned(), false),
        ("an empty signature", format!("{text}{BLOCK}\n\n-----END PGP SIGNATURE-----\n"), false),
        ("half a text", message[..text.len() / 2].to_owned(), false),
        ("no armor", text.lines().skip(3).map(|line| format!("{line}\n")).collect(), false),
        ("a header that turns off escaping", message.replacen("Hash: SHA256", "NotDashEscaped: x", 1), false),
        ("the same signatures twice", format!("{text}{}", twice(block)), true),
    ];
    for (what, mutated, believed) in mutations {
        let (ours, theirs) = (kiln(mutated.as_bytes(), &keyring), gpgv(mutated.as_bytes(), &keyring));
        assert_eq!(ours.is_ok(), believed, "{what}: kiln says {:?}", ours.err());
        assert_eq!(theirs.is_ok(), believed, "{what}: gpgv says {:?}", theirs.err());
        if let Ok(text) = ours {
            assert_eq!(text, kiln(message.as_bytes(), &keyring).unwrap(), "{what}");
        }
    }
}

/// A block with every packet of a block twice.
fn twice(block: &str) -> String {
    let mut packets = Vec::new();
    std::io::Read::read_to_end(&mut pgp::armor::Dearmor::new(block.as_bytes()), &mut packets).unwrap();
    packets.extend(packets.clone());
    let mut armored = Vec::new();
    let signatures: Vec<_> = pgp::packet::PacketParser::new(packets.as_slice())
        .map(|packet| match packet.unwrap() {
            pgp::packet::Packet::Signature(signature) => pgp::composed::DetachedSignature::new(signature),
            other => panic!("{other:?}"),
        })
        .collect();
    pgp::armor::write(&signatures, pgp::armor::BlockType::Signature, &mut armored, None, true).unwrap();
    String::from_utf8(armored).unwrap()
}

/// gpgv ignores text around a message (apt also rejects it), NUL at a line's end, and a block that
/// ends after a complete signature.
#[test]
fn kiln_is_stricter_about_surrounding_text_and_truncation() {
    let keyring = mirror::keyring_path();
    let message = String::from_utf8(mirror::in_release("trixie-updates")).unwrap();
    for (mutated, reason) in [
        (format!("Origin: Evil\n{message}"), "text before"),
        (format!("\n{message}"), "text before"),
        (format!("{message}Origin: Evil\n"), "text after"),
        (format!("{message}{message}"), "text after"),
        (message[..message.len() - 200].to_owned(), "cut short"),
        (message.replacen("Debian\n", "Debian\0\n", 1), "does not match the text"),
    ] {
        let error = kiln(mutated.as_bytes(), &keyring).expect_err("unsigned text");
        assert!(error.contains(reason), "{error}");
    }
}

#[test]
fn a_keyring_without_the_key_is_named() {
    let keys = Gnupg::with_key("Somebody Else <else@example.org>");
    let directory = tempfile::tempdir().unwrap();
    let keyring = gnupg::keyring_file(&directory, &keys.export());
    let message = mirror::in_release("trixie-updates");
    assert!(gpgv(&message, &keyring).is_err());
    let error = kiln(&message, &keyring).expect_err("unknown key");
    assert!(error.contains("is not in the keyring") && error.contains("keyring.gpg"), "{error}");
    assert!(error.contains("install a newer debian-archive-keyring"), "{error}");
}

/// Keys in every state, each with the verdict that gpgv and kiln must give on a text signed on
/// 2026-11-01.
#[test]
fn keys_are_judged_alike() {
    const TEXT: &str = "Origin: Test\n- dashed\n\nlast line without end";
    type Change = fn(&Gnupg);
    /// The name, how to make the key, how to sign, how to change the key afterwards, and why it is
    /// rejected.
    type Case = (&'static str, Change, &'static [&'static str], Change, Option<&'static str>);
    let cases: Vec<Case> = vec![
        ("Ed25519", |g| g.generate("a <a@example.org>", "ed25519", "sign", "never"), &[], |_| {}, None),
        ("NIST P-256", |g| g.generate("a <a@example.org>", "nistp256", "sign", "never"), &[], |_| {}, None),
        ("RSA 2048", |g| g.generate("a <a@example.org>", "rsa2048", "sign", "never"), &[], |_| {}, None),
        (
            "SHA-512",
            |g| g.generate("a <a@example.org>", "ed25519", "sign", "never"),
            &["--digest-algo", "SHA512"],
            |_| {},
            None,
        ),
        (
            "SHA-1",
            |g| g.generate("a <a@example.org>", "rsa2048", "sign", "never"),
            &["--digest-algo", "SHA1"],
            |_| {},
            Some("signed with the hash SHA1, which is not safe"),
        ),
        ("signing subkey", |g| subkey(g, "sign"), &[], |_| {}, None),
        (
            "expired key",
            |g| g.generate("a <a@example.org>", "ed25519", "sign", "20261102T000000"),
            &[],
            |_| {},
            Some("expired on 2026-11-02"),
        ),
        (
            "expired later",
            |g| g.generate("a <a@example.org>", "ed25519", "sign", "never"),
            &[],
            |g| drop(g.gpg("20261101T010000", &["--quick-set-expire", &g.fingerprint(), "20261102T000000"], b"")),
            Some("expired on 2026-11-02"),
        ),
        (
            "prolonged in time",
            |g| g.generate("a <a@example.org>", "ed25519", "sign", "20261102T000000"),
            &[],
            |g| drop(g.gpg("20261101T010000", &["--quick-set-expire", &g.fingerprint(), "never"], b"")),
            None,
        ),
        (
            "expired subkey",
            |g| subkey(g, "sign"),
            &[],
            |g| drop(g.gpg("20261101T010000", &["--quick-set-expire", &g.fingerprint(), "20261102T000000", "*"], b"")),
            Some("expired on 2026-11-02"),
        ),
        (
            "revoked key",
            |g| g.generate("a <a@example.org>", "ed25519", "sign", "never"),
            &[],
            |g| {
                let reply = b"y\n0\n\ny\n";
                let fingerprint = g.fingerprint();
                let arguments =
                    ["--no-batch", "--command-fd", "0", "--status-fd", "2", "--gen-revoke", fingerprint.as_str()];
                let revocation = g.gpg("20261101T010000", &arguments, reply);
                g.gpg("20261101T010000", &["--import"], &revocation);
            },
            Some("was revoked"),
        ),
        (
            "revoked subkey",
            |g| subkey(g, "sign"),
            &[],
            |g| {
                let reply = b"key 1\nrevkey\ny\n0\n\ny\nsave\n";
                let fingerprint = g.fingerprint();
                let arguments =
                    ["--no-batch", "--command-fd", "0", "--status-fd", "2", "--edit-key", fingerprint.as_str()];
                g.gpg("20261101T010000", &arguments, reply);
            },
            Some("was revoked"),
        ),
    ];
    for (what, make, options, change, refusal) in cases {
        let gnupg = Gnupg::empty();
        make(&gnupg);
        let message = gnupg.sign_with(TEXT, options);
        change(&gnupg);
        let directory = tempfile::tempdir().unwrap();
        let keyring = gnupg::keyring_file(&directory, &gnupg.export());
        let (ours, theirs) = (kiln(&message, &keyring), gpgv(&message, &keyring));
        match refusal {
            None => {
                assert_eq!(ours.as_deref(), Ok("Origin: Test\n- dashed\n\nlast line without end\n"), "{what}");
                assert!(theirs.is_ok(), "{what}: gpgv says {theirs:?}");
            }
            Some(reason) => {
                let error = ours.expect_err(what);
                assert!(error.contains(reason), "{what}: {error}");
                assert!(theirs.is_err(), "{what}: gpgv accepts it");
            }
        }
    }
}

fn subkey(gnupg: &Gnupg, usage: &str) {
    gnupg.generate("a <a@example.org>", "ed25519", "cert", "never");
    gnupg.gpg("20260101T000000", &["--quick-add-key", &gnupg.fingerprint(), "ed25519", usage, "never"], b"");
}

/// Where kiln is stricter than gpgv 2.2: short RSA keys, which apt rejects since Debian 13.
#[test]
fn short_rsa_keys_are_rejected() {
    let gnupg = Gnupg::empty();
    gnupg.generate("a <a@example.org>", "rsa1024", "sign", "never");
    let directory = tempfile::tempdir().unwrap();
    let keyring = gnupg::keyring_file(&directory, &gnupg.export());
    let error = kiln(&gnupg.sign("Origin: Test\n"), &keyring).expect_err("weak key");
    assert!(error.contains("is a 1024-bit RSA key, which is not safe"), "{error}");
}
