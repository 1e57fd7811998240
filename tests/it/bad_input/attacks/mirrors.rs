//! Mirrors and whoever is between them and kiln.

use super::{Attacks, builds_the_same_or_nothing, damaged};
use crate::bad_input::site::{Answer, Keys, Site, now};
use crate::bad_input::synthetic::{node, packages_text, release_text, xz};
use std::fs;

const IN_RELEASE: &str = "/dists/sid/InRelease";
const PACKAGES: &str = "/dists/sid/main/binary-amd64/Packages.xz";

#[test]
fn indexes_and_packages_in_transit() {
    let keys = Keys::new();
    let site = Site::new(&keys, &[]);
    let sums = site.builds(&[]);
    let mut attacks = Attacks::of("mirrors");
    let package = "/pool/main/base_1_amd64.deb";
    for (path, count) in [(IN_RELEASE, 90), (PACKAGES, 40), (package, 40)] {
        let good = site.good(path);
        for (what, bytes) in damaged(&good, count) {
            if attacks.next() {
                fs::remove_dir_all(site.path("cache")).expect("removed");
                let _ = fs::remove_file(site.path("profiles/worker.lock"));
                site.answer(path, Answer::Good(bytes));
                builds_the_same_or_nothing(&mut attacks, &format!("{path}: {what}"), &site, &[], &sums);
            }
        }
        site.answer(path, Answer::Good(good));
    }
    attacks.end(170);
}

/// Lines of a signed index, each taken away, doubled, or with another value. The signer is trusted: the
/// archive itself may be wrong.
#[test]
fn indexes_with_a_valid_signature() {
    let keys = Keys::new();
    let site = Site::new(&keys, &[]);
    let sums = site.builds(&[]);
    let mut attacks = Attacks::of("archives of Debian");
    let release = release_text(&packages_text(&node()), now() - 60, now() + 86_400);
    let lines: Vec<&str> = release.lines().collect();
    let with = |at: usize, new: &[&str]| {
        let mut changed = lines.clone();
        changed.splice(at..=at, new.iter().copied());
        changed.join("\n") + "\n"
    };
    let values =
        ["", "\u{7f}", "../../etc/passwd", "-1", "99999999999999999999", "Thu, 01 Jan 1970 00:00:00 UTC", "x\ty"];
    let mut texts = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        texts.push((format!("line {at} is missing"), with(at, &[])));
        texts.push((format!("line {at} twice"), with(at, &[line, line])));
        let name = line.split(':').next().unwrap_or_default();
        for value in values {
            texts.push((format!("{name}: {value:?}"), with(at, &[&format!("{name}: {value}")])));
        }
    }
    let good = site.good(IN_RELEASE);
    for (what, text) in texts {
        if attacks.next() {
            fs::remove_dir_all(site.path("cache")).expect("removed");
            let _ = fs::remove_file(site.path("profiles/worker.lock"));
            site.answer(IN_RELEASE, Answer::Good(keys.sign(&text)));
            // The image's time may be another one, which is the archive's right.
            let _ = fs::remove_dir_all(site.path("out/worker"));
            attacks.run(&what, &mut site.build(&[]));
        }
    }
    site.answer(IN_RELEASE, Answer::Good(good));
    // Packages, too: each line of the first paragraph.
    let text = packages_text(&node());
    let lines: Vec<&str> = text.lines().collect();
    for at in 0..lines.len() {
        for value in values {
            if !attacks.next() {
                continue;
            }
            let name = lines[at].split(':').next().unwrap_or_default();
            let line = format!("{name}: {value}");
            let mut changed = lines.clone();
            changed[at] = &line;
            let text = changed.join("\n") + "\n";
            fs::remove_dir_all(site.path("cache")).expect("removed");
            let _ = fs::remove_file(site.path("profiles/worker.lock"));
            let release = release_text(&text, now() - 60, now() + 86_400);
            site.answer(IN_RELEASE, Answer::Good(keys.sign(&release)));
            site.answer(PACKAGES, Answer::Good(xz(text.as_bytes())));
            let _ = fs::remove_dir_all(site.path("out/worker"));
            attacks.run(&line, &mut site.build(&[]));
        }
    }
    assert!(!sums.is_empty());
    attacks.end(150);
}
