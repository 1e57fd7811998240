//! Reads Debian mirrors from the host's apt configuration, see sources.list(5).
//!
//! kiln needs a different suite than the host's, so it uses only the URL and the keyring of an
//! entry, if the entry is for Debian's archive. Suite and component names do not identify Debian,
//! because third parties also use names like `stable` and `main`. A wrong guess only costs time:
//! kiln trusts nothing that Debian's keyring did not sign.

mod entry;
mod evidence;

pub use entry::SignedBy;

use entry::{Entry, parse_list, parse_sources};
use evidence::{Evidence, judge};
use kiln_url::Url;
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

/// The most bytes of one sources file.
const MAX_BYTES: u64 = 4 << 20;
/// Why apt's configuration gives no mirror.
#[derive(Debug, thiserror::Error)]
pub enum AptSourcesError {
    /// A file cannot be read.
    #[error("reading {path}: {why}")]
    Read {
        /// The file or directory.
        path: PathBuf,
        /// The cause.
        why: io::Error,
    },
    /// A line that apt would reject.
    #[error("{path}:{line}: {problem}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Line, counted from 1.
        line: usize,
        /// The defect.
        problem: String,
    },
    /// No entry is for Debian's archive.
    #[error("apt's sources do not name a mirror of Debian ({}); name one with --mirror, or in the profile (debian.mirrors)", summary(.read, .notes))]
    NoDebian {
        /// The files that were read.
        read: Vec<PathBuf>,
        /// The skipped entries and the reasons.
        notes: Vec<String>,
    },
}

/// Debian's archives according to the host's apt.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AptSources {
    /// URLs of the archive proper, without trailing slash, without duplicates, in apt's order.
    pub mirrors: Vec<Url>,
    /// The same for the security archive; may be empty.
    pub security_mirrors: Vec<Url>,
    /// Keyrings that those entries name, without duplicates.
    pub keyrings: Vec<SignedBy>,
    /// Files that were read.
    pub read: Vec<PathBuf>,
    /// The skipped entries and the reasons, one sentence each, for `-v`.
    pub notes: Vec<String>,
}

/// Reads apt's sources below `root` (`/` for the host's sources).
///
/// # Errors
/// A file cannot be read or is malformed, or no entry is for Debian's archive.
pub fn read(root: &Path) -> Result<AptSources, AptSourcesError> {
    let mut sources = AptSources::default();
    let mut entries = Vec::new();
    for path in source_files(root)? {
        let text = read_file(&path)?;
        let one_line = path.extension().is_some_and(|extension| extension == "list");
        let parsed = if one_line { parse_list(&text) } else { parse_sources(&text) };
        let parsed =
            parsed.map_err(|(line, problem)| AptSourcesError::Malformed { path: path.clone(), line, problem })?;
        entries.extend(parsed.into_iter().map(|entry| (path.clone(), entry)));
        sources.read.push(path);
    }
    let judged: Vec<_> = entries.iter().map(|(path, entry)| (path, entry, judge(root, entry))).collect();
    for security in [false, true] {
        let best = judged.iter().filter(|(_, entry, _)| entry.is_security() == security).map(|(_, _, e)| *e).max();
        for (path, entry, evidence) in judged.iter().filter(|(_, entry, _)| entry.is_security() == security) {
            match evidence {
                Evidence::Against(why) => {
                    sources.notes.push(format!(
                        "{}: {} {} is skipped: {why}",
                        path.display(),
                        Url::from(entry.uri.as_str()),
                        entry.suite
                    ));
                }
                Evidence::Weak if best > Some(Evidence::Weak) => sources.notes.push(format!(
                    "{}: {} {} is skipped: it may be Debian's, but other entries certainly are",
                    path.display(),
                    Url::from(entry.uri.as_str()),
                    entry.suite
                )),
                Evidence::Weak | Evidence::Strong => sources.take(entry),
            }
        }
    }
    if sources.mirrors.is_empty() {
        return Err(AptSourcesError::NoDebian { read: sources.read, notes: sources.notes });
    }
    Ok(sources)
}

impl AptSources {
    fn take(&mut self, entry: &Entry) {
        let mirrors = if entry.is_security() { &mut self.security_mirrors } else { &mut self.mirrors };
        let url = Url::from(entry.uri.trim_end_matches('/'));
        if !mirrors.contains(&url) {
            mirrors.push(url);
        }
        for signed_by in &entry.signed_by {
            if !self.keyrings.contains(signed_by) {
                self.keyrings.push(signed_by.clone());
            }
        }
    }
}

/// The files that apt reads, in its order. There may be none.
fn source_files(root: &Path) -> Result<Vec<PathBuf>, AptSourcesError> {
    let mut files = Vec::new();
    let list = root.join("etc/apt/sources.list");
    if list.exists() {
        files.push(list);
    }
    let directory = root.join("etc/apt/sources.list.d");
    let error = |why| AptSourcesError::Read { path: directory.clone(), why };
    let entries = match std::fs::read_dir(&directory) {
        Ok(entries) => entries,
        Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(files),
        Err(why) => return Err(error(why)),
    };
    // apt ignores names with other characters, and hidden files.
    let is_plain = |name: &str| {
        !name.starts_with('.') && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
    };
    let mut names = BTreeSet::new();
    for entry in entries {
        let name = entry.map_err(error)?.file_name();
        let is_read = |name: &&str| is_plain(name) && (name.ends_with(".list") || name.ends_with(".sources"));
        names.extend(name.to_str().filter(is_read).map(str::to_owned));
    }
    files.extend(names.into_iter().map(|name| directory.join(name)));
    Ok(files)
}

/// Reads a file as text; bytes that are not UTF-8, for example in comments, are replaced.
fn read_file(path: &Path) -> Result<String, AptSourcesError> {
    let bytes = kiln_file::read(path, MAX_BYTES).map_err(|why| AptSourcesError::Read { path: path.to_owned(), why })?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn summary(read: &[PathBuf], notes: &[String]) -> String {
    if read.is_empty() {
        return "there is neither etc/apt/sources.list nor any file in etc/apt/sources.list.d".to_owned();
    }
    let read: Vec<_> = read.iter().map(|path| path.display().to_string()).collect();
    let mut text = format!("read: {}", read.join(", "));
    for note in notes {
        text.push_str("; ");
        text.push_str(note);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A root with files, paths relative to it.
    fn root(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().expect("temporary directory");
        for (path, text) in files {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().expect("in a directory")).expect("create");
            std::fs::write(path, text).expect("write");
        }
        root
    }

    fn urls(urls: &[&str]) -> Vec<Url> {
        urls.iter().copied().map(Url::from).collect()
    }

    fn sources(files: &[(&str, &str)]) -> AptSources {
        read(root(files).path()).expect("Debian is there")
    }

    #[test]
    fn reads_the_one_line_format() {
        let found = sources(&[(
            "etc/apt/sources.list",
            "# comment\ndeb http://ftp.xy.debian.org/debian/ bookworm main contrib # more\n\
             deb-src http://ftp.xy.debian.org/debian bookworm main\n\n\
             deb [arch=amd64,arm64 signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://mirror.example/x/debian \
             bookworm-updates main\n\
             deb [ trusted=yes ] http://ftp.xy.debian.org/debian bookworm-backports main\n\
             deb http://security.xy.debian.org/ bookworm-security main\n\
             deb http://security.xy.debian.org/debian-security buster/updates main\n",
        )]);
        assert_eq!(found.mirrors, urls(&["http://ftp.xy.debian.org/debian", "http://mirror.example/x/debian"]));
        assert_eq!(
            found.security_mirrors,
            urls(&["http://security.xy.debian.org", "http://security.xy.debian.org/debian-security"])
        );
        assert_eq!(found.keyrings, [SignedBy::File("/usr/share/keyrings/debian-archive-keyring.gpg".into())]);
    }

    #[test]
    fn reads_deb822() {
        let found = sources(&[
            (
                "etc/apt/sources.list.d/debian.sources",
                "# top\nTypes: deb deb-src\n# between\nURIs: http://a.example/debian https://b.example/debian\nSuites: trixie\n \
                 trixie-updates\nComponents: main\nSigned-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n abcd\n -----END PGP PUBLIC \
                 KEY BLOCK-----\n\nTypes: deb\nURIs: http://a.example/debian-security\nSuites: trixie-security\nComponents: \
                 main\n\nTypes: deb\nEnabled: no\nURIs: http://c.example/debian\nSuites: trixie\nComponents: main\n\nTypes: \
                 deb-src\nURIs: http://d.example/debian\nSuites: trixie\nComponents: main\n",
            ),
            ("etc/apt/sources.list.d/old.sources.bak", "junk"),
            ("etc/apt/sources.list.d/.hidden.list", "junk"),
        ]);
        assert_eq!(found.mirrors, urls(&["http://a.example/debian", "https://b.example/debian"]));
        assert_eq!(found.security_mirrors, urls(&["http://a.example/debian-security"]));
        let key = "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nabcd\n-----END PGP PUBLIC KEY BLOCK-----\n";
        assert_eq!(found.keyrings, [SignedBy::Key(key.to_owned())]);
        assert_eq!(found.read.len(), 1);
    }

    #[test]
    fn third_parties_are_not_debian() {
        let found = sources(&[(
            "etc/apt/sources.list",
            "deb https://node.example/node_18.x bullseye main\n\
             deb [signed-by=/etc/apt/keyrings/containers.asc] https://containers.example/linux/debian bookworm stable\n\
             deb http://browser.example/linux/chrome/deb/ stable main\n\
             deb https://cloud.example/apt cloud-sdk-bookworm main\n\
             deb [signed-by=/usr/share/keyrings/tunnel.gpg] https://tunnel.example/stable/debian bookworm main\n\
             deb https://forge.example/runner/debian/ bookworm main\n\
             deb https://vendor.example/debian/12/prod bookworm main\n\
             deb http://apt.example/ ./\n\
             deb http://mirror.example/ubuntu noble main\n\
             deb cdrom:[Debian]/ bookworm main\n\
             deb mirror+file:/etc/apt/mirrors/debian.list bookworm main\n\
             deb file:/srv/debian bookworm main\n\
             deb http://ftp.xy.debian.org/debian bookworm main\n",
        )]);
        assert_eq!(found.mirrors, urls(&["http://ftp.xy.debian.org/debian"]));
        assert_eq!(found.security_mirrors, []);
        assert_eq!(found.notes.len(), 12, "{:#?}", found.notes);
        assert!(found.notes.iter().any(|note| note.contains("forge") && note.contains("other entries certainly are")));
        assert!(found.notes.iter().any(|note| note.contains("mirror+file") && note.contains("only http and https")));
    }

    #[test]
    fn the_origin_that_apt_fetched_last_decides() {
        let list = "deb http://apt.corp.example/remote_1 trixie main\ndeb http://apt.example/debian stable main\n";
        let found = sources(&[
            ("etc/apt/sources.list", list),
            (
                "var/lib/apt/lists/apt.corp.example_remote%5f1_dists_trixie_InRelease",
                "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\nOrigin: Debian\n",
            ),
            ("var/lib/apt/lists/apt.example_debian_dists_stable_Release", "Origin: Example\n"),
        ]);
        assert_eq!(found.mirrors, urls(&["http://apt.corp.example/remote_1"]));
    }

    #[test]
    fn a_snapshot_of_a_private_mirror_counts_as_debian_if_nothing_else_does() {
        let found = sources(&[(
            "etc/apt/sources.list.d/a.list",
            "deb http://u:p@mirror.example:8080/archive/debian/20261101T000000Z/ trixie main\n",
        )]);
        assert_eq!(found.mirrors, ["http://u:p@mirror.example:8080/archive/debian/20261101T000000Z".into()]);
    }

    #[test]
    fn the_error_lists_the_read_files_if_nothing_is_debian() {
        let error = read(root(&[]).path()).expect_err("nothing").to_string();
        assert!(error.contains("neither etc/apt/sources.list nor") && error.contains("--mirror"), "{error}");
        let only = root(&[("etc/apt/sources.list", "deb http://browser.example/linux/chrome/deb/ stable main\n")]);
        let error = read(only.path()).expect_err("no Debian").to_string();
        assert!(error.contains("etc/apt/sources.list") && error.contains("chrome/deb/ stable is skipped"), "{error}");
    }

    #[test]
    fn malformed_files_are_named_with_the_line() {
        for (file, text, message) in [
            ("a.list", "\ndeb\n", ":2: \"deb\" is not of the form"),
            ("a.list", "deb http://x\n", ":1: a URI and a suite must follow"),
            ("a.list", "deb [arch=amd64 http://x y main\n", ":1: the options have no closing bracket"),
            ("a.list", "rpm http://x y\n", ":1: the type \"rpm\" is neither deb nor deb-src"),
            ("a.sources", "Types: deb\nURIs: http://x\n", ":1: the paragraph has no field \"Suites\""),
            ("a.sources", "Types: deb\njunk\n", ":2: \"junk\" is not of the form"),
        ] {
            let root = root(&[(&format!("etc/apt/sources.list.d/{file}"), text)]);
            let error = read(root.path()).expect_err("malformed").to_string();
            assert!(error.contains(&format!("{file}{message}")), "{error}");
        }
    }
}
