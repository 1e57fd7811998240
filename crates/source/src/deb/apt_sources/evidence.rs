//! Decides whether an entry of apt's sources is for Debian's archive.

use super::entry::{Entry, SignedBy};
use std::io::Read;
use std::path::Path;

/// The most bytes of an `InRelease` that are searched for its origin.
const MAX_HEAD_BYTES: u64 = 4 << 10;

/// The certainty that an entry is for Debian's archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Evidence {
    /// It is not, or it cannot be used.
    Against(&'static str),
    /// Its URL looks like it. It is used only if there is no better entry.
    Weak,
    /// Its host, its keyring, or the release that apt last fetched from it confirms it.
    Strong,
}

pub(super) fn judge(root: &Path, entry: &Entry) -> Evidence {
    let scheme = entry.uri.split_once(':').map_or("", |(scheme, _)| scheme);
    if !["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
        return Evidence::Against("only http and https can be used");
    }
    if !kiln_debian::is_debians(&entry.suite) {
        return Evidence::Against("it is not a suite of Debian");
    }
    if !entry.components.iter().any(|component| component == "main") {
        return Evidence::Against("it lacks the component main");
    }
    match origin(root, entry).as_deref() {
        Some("Debian") => return Evidence::Strong,
        Some(_) => return Evidence::Against("apt fetched files of another origin from it"),
        None => {}
    }
    let is_file = |signed_by: &SignedBy| matches!(signed_by, SignedBy::File(_));
    if entry.signed_by.iter().any(is_debian_keyring) {
        Evidence::Strong
    } else if entry.signed_by.iter().any(is_file) {
        Evidence::Against("its Signed-By is not Debian's keyring")
    } else {
        judge_url(&entry.uri)
    }
}

fn is_debian_keyring(signed_by: &SignedBy) -> bool {
    match signed_by {
        SignedBy::File(path) => {
            path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(kiln_debian::KEYRING_PREFIX))
        }
        SignedBy::Key(_) => false,
    }
}

/// Judges by the host, `*.debian.org`, or by the last directory, `debian` or `debian-security`
/// (before a snapshot's timestamp).
fn judge_url(uri: &str) -> Evidence {
    let rest = uri.split_once("://").map_or(uri, |(_, rest)| rest);
    let mut parts = rest.split('/').filter(|part| !part.is_empty());
    let authority = parts.next().unwrap_or_default();
    let host =
        authority.rsplit('@').next().unwrap_or_default().split(':').next().unwrap_or_default().to_ascii_lowercase();
    if host == "debian.org" || host.ends_with(".debian.org") {
        return Evidence::Strong;
    }
    let is_timestamp =
        |part: &&str| part.len() == 16 && part.ends_with('Z') && part.starts_with(|c: char| c.is_ascii_digit());
    match parts.rfind(|part| !is_timestamp(part)) {
        Some(part) if part.to_ascii_lowercase().starts_with(kiln_debian::ARCHIVE) => Evidence::Weak,
        _ => Evidence::Against("its URL does not look like a mirror of Debian"),
    }
}

/// The `Origin` of the `InRelease` that apt last fetched for the entry, if it still exists. It is
/// only a hint and not verified here.
fn origin(root: &Path, entry: &Entry) -> Option<String> {
    let uri = entry.uri.split_once("://")?.1;
    let (authority, path) = uri.split_at(uri.find('/').unwrap_or(uri.len()));
    let slash = if path.ends_with('/') { "" } else { "/" };
    let host = authority.rsplit('@').next().unwrap_or_default();
    // apt's URItoFileName: quote what a file name cannot hold, then `/` becomes `_`.
    let mut name = String::new();
    for character in format!("{host}{path}{slash}dists/{}", entry.suite).chars() {
        match character {
            '/' => name.push('_'),
            '\\' | '|' | '{' | '}' | '[' | ']' | '<' | '>' | '"' | '^' | '~' | '_' | '=' | '!' | '@' | '#' | '$'
            | '%' | '&' | '*' => {
                name.push_str(&format!("%{:02x}", u32::from(character)));
            }
            other => name.push(other),
        }
    }
    let lists = root.join("var/lib/apt/lists");
    let mut head = Vec::new();
    ["InRelease", "Release"].iter().find_map(|kind| {
        let file = kiln_file::open(&lists.join(format!("{name}_{kind}"))).ok()?;
        file.take(MAX_HEAD_BYTES).read_to_end(&mut head).ok()?;
        let head = String::from_utf8_lossy(&head);
        head.lines().find_map(|line| line.strip_prefix("Origin:")).map(|origin| origin.trim().to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn entry(uri: &str, suite: &str) -> Entry {
        Entry { uri: uri.to_owned(), suite: suite.to_owned(), components: vec!["main".to_owned()], signed_by: vec![] }
    }

    #[test]
    fn urls_are_judged_by_host_and_last_directory() {
        for (uri, evidence) in [
            ("http://ftp.xy.debian.org/other", Evidence::Strong),
            ("http://user:password@ftp.xy.debian.org:80/debian", Evidence::Strong),
            ("http://debian.org.example/x", Evidence::Against("its URL does not look like a mirror of Debian")),
            ("http://mirror.example/debian/", Evidence::Weak),
            ("http://mirror.example/Debian-security", Evidence::Weak),
            ("http://mirror.example/archive/debian/20261101T000000Z/", Evidence::Weak),
            (
                "http://mirror.example/debian/12/prod",
                Evidence::Against("its URL does not look like a mirror of Debian"),
            ),
            ("http://debian", Evidence::Against("its URL does not look like a mirror of Debian")),
        ] {
            assert_eq!(judge(Path::new("/nonexistent"), &entry(uri, "trixie")), evidence, "{uri}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_entries_never_panic(uri in "(http://)?[a-z:/@.%Z0-9{}\u{e9}]{0,40}", suite in "(stable)?[a-z/-]{0,12}") {
            let _ = judge(Path::new("/nonexistent"), &entry(&uri, &suite));
        }
    }
}
