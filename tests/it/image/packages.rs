//! Every path from a package is as dpkg-deb and tar unpack it, with the exceptions listed here and
//! their reasons.

use crate::image::manifest::Record;
use crate::image::shared::{SUITES, built};
use crate::image::tools::{sha256sums, text, tool};
use std::collections::BTreeMap;
use std::path::Path;

/// Paths whose owner or mode a maintainer script sets (docs/maintainer-scripts.md).
const STATOVERRIDES: [(&str, &str); 1] = [("usr/lib/dbus-1.0/dbus-daemon-launch-helper", "4754 0:")];

/// A member of a package, as `tar --list` shows it.
#[derive(Debug, PartialEq, Eq)]
struct Member {
    /// `-`, `d`, `l`, `c`, `b`, `p`; `h` for a hard link.
    kind: char,
    mode: String,
    owner: String,
    mtime: u64,
    target: Option<String>,
}

/// All members of the package at `deb`, by path in a merged-/usr tree.
fn members(deb: &Path) -> BTreeMap<String, Member> {
    let dpkg_deb = tool("dpkg-deb", "dpkg").get_program().to_string_lossy().into_owned();
    let script = format!(
        "set -o pipefail; {dpkg_deb} --fsys-tarfile \"$1\" | tar -tv --numeric-owner --full-time --quoting-style=literal"
    );
    let listing = text(tool("bash", "bash").args(["-c", &script, "list"]).arg(deb));
    listing.lines().map(member).collect()
}

/// `-rwxr-xr-x 0/0  1234 2024-12-31 23:59:59 ./usr/bin/x`
fn member(line: &str) -> (String, Member) {
    let mut words = line.split_ascii_whitespace();
    let mut word = || words.next().expect("a field");
    let (permissions, owner, _size, date, time) = (word(), word().replace('/', ":"), word(), word(), word());
    let rest = line.split_once(&format!("{date} {time} ")).expect("a name").1;
    let kind = permissions.chars().next().expect("a type");
    let (name, target) = match kind {
        'l' => rest.split_once(" -> ").map(|(name, target)| (name, Some(target.to_owned()))).expect("a target"),
        'h' => rest.split_once(" link to ").map(|(name, target)| (name, Some(target.to_owned()))).expect("a target"),
        _ => (rest, None),
    };
    let mtime: jiff::Timestamp = format!("{date}T{time}Z").parse().expect("a time");
    let path = merged(name.trim_start_matches("./").trim_end_matches('/'), kind == 'd');
    let mtime = u64::try_from(mtime.as_second()).expect("after 1970");
    (path, Member { kind, mode: octal(permissions), owner, mtime, target })
}

fn merged(path: &str, is_directory: bool) -> String {
    let top = path.split('/').next().unwrap_or_default();
    // The links themselves, which base-files contains, stay.
    let merged = ["bin", "sbin", "lib", "lib64"].contains(&top) && (path.len() > top.len() || is_directory);
    if merged { format!("usr/{path}") } else { path.to_owned() }
}

/// `rwsr-xr-x` → `4755`.
fn octal(permissions: &str) -> String {
    let bits = &permissions.as_bytes()[1..10];
    let mut mode = 0;
    for (place, bit) in bits.iter().enumerate() {
        let value = 0o400 >> place;
        let special = 0o4000 >> (place / 3);
        mode |= match bit {
            b'-' => 0,
            b's' | b't' => value | special,
            b'S' | b'T' => special,
            _ => value,
        };
    }
    format!("{mode:04o}")
}

fn as_tar_shows(record: &Record, epoch: u64, member: &Member) -> Member {
    let kind = match record.kind.as_str() {
        "directory" => 'd',
        "symlink" => 'l',
        "char" => 'c',
        "block" => 'b',
        "fifo" => 'p',
        // The order of a file's names does not matter.
        _ if member.kind == 'h' => 'h',
        _ => '-',
    };
    let target = if kind == 'h' { member.target.clone() } else { record.target.clone() };
    // Times after the image's own time are set to it.
    let mtime = if record.mtime == epoch { member.mtime.max(epoch) } else { record.mtime };
    Member { kind, mode: record.mode.clone(), owner: format!("{}:{}", record.uid, record.gid), mtime, target }
}

#[test]
fn paths_of_packages_are_as_dpkg_unpacks_them() {
    for suite in SUITES {
        let built = built(suite);
        let listings: BTreeMap<String, BTreeMap<String, Member>> =
            built.debs().into_iter().map(|(name, path)| (name, members(&path))).collect();
        let mut wrong = Vec::new();
        let mut compared = 0;
        for record in &built.manifest.files {
            let Some(package) = record.package() else { continue };
            let Some(member) = listings[package].get(&record.path) else {
                wrong.push(format!("/{} is not in {package}", record.path));
                continue;
            };
            let ours = as_tar_shows(record, built.manifest.epoch, member);
            compared += 1;
            let overridden = STATOVERRIDES
                .iter()
                .any(|(path, meta)| *path == record.path && format!("{} {}", ours.mode, ours.owner).starts_with(meta));
            if ours != *member && !overridden {
                wrong.push(format!("/{}: {ours:?}, {package} has {member:?}", record.path));
            }
        }
        assert!(wrong.is_empty(), "{suite}:\n{}", wrong.join("\n"));
        assert!(compared > 2000, "{compared} paths compared");
    }
}

#[test]
fn contents_of_packages_are_as_dpkg_unpacks_them() {
    for suite in SUITES {
        let built = built(suite);
        let root = built.unpacked();
        let files: Vec<&Record> =
            built.manifest.files.iter().filter(|record| record.kind == "file" && record.package().is_some()).collect();
        let paths: Vec<&str> = files.iter().map(|record| record.path.as_str()).collect();
        let sums = sha256sums(root, &paths);
        let wrong: Vec<&str> = files
            .iter()
            .zip(sums)
            .filter(|(record, sum)| record.sha256.as_ref() != Some(sum))
            .map(|(record, _)| record.path.as_str())
            .collect();
        assert!(wrong.is_empty(), "{suite}: differs from its package: {wrong:#?}");
        assert!(files.len() > 1000, "{} files compared", files.len());
    }
}
