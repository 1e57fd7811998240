//! Caches with damaged files: the image is the same, or the error names the remedy.

use crate::bad_input::site::{Keys, Site, failed, succeeds};
use std::fs;
use std::path::{Path, PathBuf};

/// The files of a part of the cache.
fn files(site: &Site, part: &str) -> Vec<PathBuf> {
    fn walk(dir: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(dir).into_iter().flatten() {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                walk(&path, found)
            } else if path.file_name() != Some("CACHEDIR.TAG".as_ref()) {
                found.push(path)
            }
        }
    }
    let mut found = Vec::new();
    walk(&site.path("cache").join(part), &mut found);
    found.sort();
    assert!(!found.is_empty(), "{part} is empty");
    found
}

/// A way to damage a file.
type Damage = fn(&mut Vec<u8>);

/// Ways to damage a file, by name.
const DAMAGES: [(&str, Damage); 4] = [
    ("first byte", |bytes| bytes[0] ^= 1),
    ("middle byte", |bytes| {
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0x10;
    }),
    ("cut", |bytes| bytes.truncate(bytes.len() / 2)),
    ("emptied", Vec::clear),
];

fn damage(site: &Site, part: &str, how: Damage) {
    for path in files(site, part) {
        let mut bytes = fs::read(&path).expect("read");
        if !bytes.is_empty() {
            how(&mut bytes);
        }
        fs::write(&path, bytes).expect("written");
    }
}

/// Builds, and checks that nothing but the replacement of damaged files is reported; returns the
/// number of replaced files, and `SHA256SUMS`.
fn heals(site: &Site, what: &str) -> (usize, String) {
    let output = site.build(&[]).output().expect("kiln runs");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{what}: {stderr}");
    assert!(
        stderr.lines().all(|line| line.contains("warning: a file in the cache was damaged and is replaced")),
        "{what}: {stderr}"
    );
    (stderr.lines().count(), site.sums())
}

fn forget(site: &Site, parts: &[&str]) {
    for part in parts {
        // A part may not exist.
        let _ = fs::remove_dir_all(site.path("cache").join(part));
    }
    fs::remove_dir_all(site.path("out/worker")).expect("removed");
}

#[test]
fn damage_is_healed_within_the_build() {
    let keys = Keys::new();
    let site = Site::new(&keys, &[]);
    let sums = site.builds(&[]);
    // Each part alone without the parts that hide it, and all at once; and whether the damage is
    // found while the file is read. Otherwise the file is silently made again, or not needed.
    let rows: [(&str, &[&str], bool); 8] = [
        ("blobs", &["derived"], true),
        ("blobs", &[], false),
        ("derived/index", &["derived/frame"], false),
        ("derived/content", &["derived/frame"], true),
        ("derived/frame", &[], false),
        ("derived", &[], false),
        ("derived", &["derived/frame", "derived/index"], false),
        ("", &["derived/frame"], true),
    ];
    for (part, forgotten, read) in rows {
        let mut replaced = 0;
        for (how, change) in DAMAGES {
            forget(&site, forgotten);
            damage(&site, part, change);
            let (count, found) = heals(&site, &format!("{part}, {how}"));
            assert_eq!(found, sums, "{part}, {how}");
            replaced += count;
        }
        assert_eq!(replaced > 0, read, "{part}: {replaced} files were replaced");
    }
    succeeds(&mut site.kiln(&["build", "worker", "-o", "out/worker", "--locked", "--offline"]));
}

#[test]
fn a_damaged_index_of_the_archive_is_fetched_again() {
    let keys = Keys::new();
    let site = Site::new(&keys, &[]);
    let sums = site.builds(&[]);
    for (_, change) in DAMAGES {
        damage(&site, "blobs", change);
        fs::remove_file(site.path("profiles/worker.lock")).expect("removed");
        forget(&site, &["derived"]);
        assert_eq!(heals(&site, "locking anew").1, sums);
    }
}

#[test]
fn offline_the_remedy_is_named() {
    let keys = Keys::new();
    let site = Site::new(&keys, &[]);
    let sums = site.builds(&[]);
    forget(&site, &["derived"]);
    damage(&site, "blobs", DAMAGES[1].1);
    let output = site.build(&["--offline"]).output().expect("kiln runs");
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    let last = stderr.lines().last().expect("an error");
    assert!(
        last.starts_with("kiln: --offline, and the cache lacks")
            && last.ends_with("run the same command once without --offline"),
        "{stderr}"
    );
    let rest = stderr.lines().count() - 1;
    assert!(
        rest > 0 && stderr.lines().take(rest).all(|line| line.contains("warning: a file in the cache was damaged")),
        "{stderr}"
    );
    assert_eq!(output.status.code(), Some(1));
    assert!(!site.path("out/worker").exists());
    // No longer damaged, only incomplete.
    let output = site.build(&["--offline"]).output().expect("kiln runs");
    failed(&output, 1, "--offline, and the cache lacks * run the same command once without --offline");
    assert_eq!(heals(&site, "online").1, sums);
}
