//! The directories that ldconfig searches: those of `ld.so.conf` and its includes, and the built-in
//! ones.

use super::LdCacheError;
use globset::{GlobBuilder, GlobMatcher};
use kiln_profile::Arch;
use kiln_tree::{ContentReader, FileTree};
use std::collections::BTreeSet;

/// The main configuration file.
pub(super) const LD_SO_CONF: &str = "etc/ld.so.conf";
/// How deep includes may nest (ldconfig itself would recurse until it crashes).
const MAX_DEPTH: usize = 16;
/// The largest number of configured directories and files; a root has about five.
const MAX_LINES: usize = 4096;
/// The largest configuration file that is read, in bytes.
const MAX_FILE: u64 = 1 << 20;

/// Why `ld.so.conf` cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfError {
    /// Includes are nested too deep, usually because a file includes itself.
    #[error("/{file}:{line}: includes are nested more than 16 deep; remove the one that leads back here")]
    TooDeep {
        /// The file.
        file: String,
        /// The line, from 1.
        line: usize,
    },
    /// A file is larger than any `ld.so.conf`.
    #[error("/{0}: it is larger than 1 MiB, the limit for ld.so.conf")]
    TooLarge(String),
    /// The configuration has too many lines.
    #[error("/{0}: it and its includes have more than 4096 lines")]
    TooManyLines(String),
}

/// A directory to search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SearchDir {
    /// Its path as configured, with which cache entries begin.
    pub(super) written: String,
    /// Its real path in the tree.
    pub(super) path: String,
    /// Its name, if it is a subdirectory of `glibc-hwcaps`.
    pub(super) hwcaps: Option<String>,
}

/// A line of configuration.
#[derive(Debug, PartialEq, Eq)]
enum Line<'a> {
    Include(Vec<&'a str>),
    Directory(&'a str),
}

/// Returns the directories that ldconfig searches in `tree`, each once, in its order.
pub(super) fn directories(
    tree: &FileTree,
    reader: &dyn ContentReader,
    arch: Arch,
) -> Result<Vec<SearchDir>, LdCacheError> {
    let mut reading = Reading { tree, reader, written: Vec::new(), lines: 0 };
    reading.file(LD_SO_CONF, 0, (LD_SO_CONF, 0))?;
    let triplet = match arch {
        Arch::Amd64 => "x86_64-linux-gnu",
        Arch::Arm64 => "aarch64-linux-gnu",
    };
    // Debian's local-ldconfig-multiarch.diff: the directories that ld.so itself searches.
    let builtin = [format!("/lib/{triplet}"), format!("/usr/lib/{triplet}"), "/lib".into(), "/usr/lib".into()];
    let mut dirs = Dirs::default();
    for written in reading.written.into_iter().chain(builtin) {
        dirs.add(tree, &written);
    }
    Ok(dirs.found)
}

struct Reading<'a> {
    tree: &'a FileTree,
    reader: &'a dyn ContentReader,
    written: Vec<String>,
    lines: usize,
}

impl Reading<'_> {
    /// Reads one file; ignores a missing one.
    fn file(&mut self, path: &str, depth: usize, included: (&str, usize)) -> Result<(), LdCacheError> {
        if depth > MAX_DEPTH {
            return Err(ConfError::TooDeep { file: included.0.to_owned(), line: included.1 }.into());
        }
        let Some(content) = self.tree.resolve(path).and_then(|(_, entry)| entry.content()) else { return Ok(()) };
        if content.size > MAX_FILE {
            return Err(ConfError::TooLarge(path.to_owned()).into());
        }
        let bytes = self.reader.read(content)?;
        for (number, line) in String::from_utf8_lossy(&bytes).lines().enumerate() {
            self.lines += 1;
            if self.lines > MAX_LINES {
                return Err(ConfError::TooManyLines(path.to_owned()).into());
            }
            match parse(line) {
                Some(Line::Directory(dir)) => self.written.push(dir.to_owned()),
                Some(Line::Include(patterns)) => {
                    for pattern in patterns {
                        for file in matching(self.tree, &absolute(path, pattern)) {
                            self.file(&file, depth + 1, (path, number + 1))?;
                        }
                    }
                }
                None => {}
            }
        }
        Ok(())
    }
}

/// Parses one line; returns `None` for a line without meaning.
fn parse(line: &str) -> Option<Line<'_>> {
    let blank = |c: char| c == ' ' || c == '\t';
    let text = line.split(['#', '\0']).next().unwrap_or_default().trim_matches(|c: char| c.is_ascii_whitespace());
    let directive = |name: &str| {
        let (word, rest) = text.split_once(blank)?;
        word.eq_ignore_ascii_case(name).then_some((word, rest))
    };
    if let Some(("include", patterns)) = directive("include") {
        return Some(Line::Include(patterns.split(blank).filter(|pattern| !pattern.is_empty()).collect()));
    }
    // `hwcap` lines are ignored since glibc 2.33.
    let dir = text.trim_end_matches('/');
    (directive("hwcap").is_none() && !dir.is_empty()).then_some(Line::Directory(dir))
}

/// Makes `pattern` absolute; a relative one is relative to the directory of the including file.
fn absolute(file: &str, pattern: &str) -> String {
    if pattern.starts_with('/') {
        return pattern.to_owned();
    }
    let dir = file.rfind('/').map_or("", |at| &file[..at]);
    format!("{dir}/{pattern}")
}

/// Returns the paths in `tree` that match a `glob(7)` pattern, sorted.
fn matching(tree: &FileTree, pattern: &str) -> Vec<String> {
    let mut found = vec![String::new()];
    for part in pattern.split('/').filter(|part| !part.is_empty()) {
        let below = |at: &String| if at.is_empty() { part.to_owned() } else { format!("{at}/{part}") };
        found = match wildcard(part) {
            None => found.iter().map(below).filter(|path| tree.resolve(path).is_some()).collect(),
            Some(glob) => found.iter().flat_map(|at| names(tree, at, &glob, part.starts_with('.'))).collect(),
        };
    }
    found.sort();
    found
}

fn wildcard(part: &str) -> Option<GlobMatcher> {
    let glob = GlobBuilder::new(part).literal_separator(true).build();
    part.contains(['*', '?', '[']).then(|| glob.ok().map(|glob| glob.compile_matcher())).flatten()
}

/// Returns the matching names of `dir`'s children; hidden ones only on request.
fn names(tree: &FileTree, dir: &str, glob: &GlobMatcher, hidden: bool) -> Vec<String> {
    let real = match tree.resolve(dir) {
        Some((path, _)) => path.as_str(),
        None if dir.is_empty() => "",
        None => return Vec::new(),
    };
    let fits = |name: &str| glob.is_match(name) && (hidden || !name.starts_with('.'));
    let children = tree.children(real).map(|(path, _)| path.name()).filter(|name| fits(name));
    children.map(|name| if dir.is_empty() { name.to_owned() } else { format!("{dir}/{name}") }).collect()
}

/// Directories, each once by its real path.
#[derive(Default)]
struct Dirs {
    seen: BTreeSet<String>,
    found: Vec<SearchDir>,
}

impl Dirs {
    fn add(&mut self, tree: &FileTree, written: &str) {
        let Some((path, entry)) = tree.resolve(written) else { return };
        if !entry.is_dir() || !self.push(written.to_owned(), path.as_str(), None) {
            return;
        }
        let Some((hwcaps, _)) = tree.resolve(&format!("{path}/glibc-hwcaps")) else { return };
        for (child, _) in tree.children(hwcaps.as_str()) {
            let name = child.name();
            // ld.so cannot look up a name with a colon.
            let Some((path, entry)) = tree.resolve(child.as_str()) else { continue };
            if entry.is_dir() && !name.starts_with('.') && !name.contains(':') {
                self.push(format!("{written}/glibc-hwcaps/{name}"), path.as_str(), Some(name.to_owned()));
            }
        }
    }

    fn push(&mut self, written: String, path: &str, hwcaps: Option<String>) -> bool {
        let new = self.seen.insert(path.to_owned());
        if new {
            self.found.push(SearchDir { written, path: path.to_owned(), hwcaps });
        }
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kiln_tree::{Entry, LocalReader, Origin, TreePath};
    use proptest::prelude::*;

    fn tree(entries: &[(&str, Option<&str>)]) -> FileTree {
        let mut tree = FileTree::new();
        let origin = || Origin::Generated("test".into());
        for (path, text) in entries {
            let entry = match text {
                Some(text) if text.starts_with("-> ") => Entry::symlink(&text[3..], origin()),
                Some(text) => Entry::file(text.as_bytes(), 0o644, origin()),
                None => Entry::directory(0o755, origin()),
            };
            tree.insert(TreePath::new(path).expect("a path"), entry).expect("inserted");
        }
        tree
    }

    fn written(tree: &FileTree) -> Result<Vec<String>, String> {
        let dirs = directories(tree, &LocalReader, Arch::Amd64).map_err(|error| error.to_string())?;
        Ok(dirs.into_iter().map(|dir| dir.written).collect())
    }

    #[test]
    fn debians_configuration_gives_debians_directories() {
        let tree = tree(&[
            ("etc/ld.so.conf", Some("include /etc/ld.so.conf.d/*.conf\n\n")),
            ("etc/ld.so.conf.d/libc.conf", Some("# libc default configuration\n/usr/local/lib\n")),
            (
                "etc/ld.so.conf.d/x86_64-linux-gnu.conf",
                Some("/usr/local/lib/x86_64-linux-gnu\n/lib/x86_64-linux-gnu\n/usr/lib/x86_64-linux-gnu\n"),
            ),
            ("etc/ld.so.conf.d/.hidden.conf", Some("/hidden\n")),
            ("hidden", None),
            ("usr/local/lib", None),
            ("usr/lib/x86_64-linux-gnu/glibc-hwcaps/x86-64-v3", None),
            ("lib", Some("-> usr/lib")),
        ]);
        let dirs = ["/usr/local/lib", "/lib/x86_64-linux-gnu", "/lib/x86_64-linux-gnu/glibc-hwcaps/x86-64-v3", "/lib"];
        assert_eq!(written(&tree).expect("directories"), dirs);
    }

    #[test]
    fn lines_are_read_as_ldconfig_does() {
        assert_eq!(parse("  /opt/lib// # mine"), Some(Line::Directory("/opt/lib")));
        assert_eq!(parse("include a*.conf\tb.conf"), Some(Line::Include(vec!["a*.conf", "b.conf"])));
        assert_eq!(parse("includes"), Some(Line::Directory("includes")));
        for nothing in ["", "   ", "# text", "hwcap 0 nosegneg", "/"] {
            assert_eq!(parse(nothing), None, "{nothing:?}");
        }
    }

    #[test]
    fn relative_includes_are_beside_the_file_and_loops_end() {
        let conf = [("etc/ld.so.conf", Some("include more/*.conf")), ("etc/more/a.conf", Some("/srv")), ("srv", None)];
        assert_eq!(written(&tree(&conf)).expect("directories"), ["/srv"]);
        assert_eq!(
            written(&tree(&[("etc/ld.so.conf", Some("\ninclude ld.so.conf"))])).expect_err("rejected"),
            "/etc/ld.so.conf:2: includes are nested more than 16 deep; remove the one that leads back here"
        );
    }

    proptest! {
        #[test]
        fn foreign_configuration_never_panics(text in "(include |/lib|[ \\t#*\\[\\]?/.\\n]|\\PC){0,40}") {
            let conf = format!("{text}\ninclude /etc/x/*\n");
            written(&tree(&[("etc/ld.so.conf", Some(&conf)), ("etc/x/y", Some(&text)), ("lib", None)])).ok();
        }
    }
}
