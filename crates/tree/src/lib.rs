//! The image as a value: a sorted map from path to metadata plus a *reference* to content.
//!
//! No directory is ever unpacked. Packages, artifacts, rendered configuration and overlays are
//! merged into one [`FileTree`]; the writers in `format` stream contents from where they already
//! are.

mod content;
mod entry;
mod path;
mod printable;
mod reader;

pub use content::{Content, ContentSource, Digest, DigestError, PackRef, hash_into};
pub use entry::{DeviceKind, Entry, Kind, LinkGroup, Metadata, Origin};
pub use path::{PathError, TreePath, link_target};
pub use printable::{Printable, has_controls};
pub use reader::{ContentReader, LocalReader, ReadError};

use std::collections::BTreeMap;
use std::collections::btree_map;

/// Why the tree cannot hold an entry.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum TreeError {
    /// A path's ancestor exists and is not a directory.
    #[error("/{path}: its parent /{parent} is a {kind}, not a directory (from {origin})")]
    ParentNotDirectory {
        /// The path to insert.
        path: TreePath,
        /// The ancestor that is not a directory.
        parent: TreePath,
        /// What that ancestor is.
        kind: &'static str,
        /// Who put the ancestor there.
        origin: Origin,
    },
    /// A directory that still has children would be replaced.
    #[error("/{path} is a directory with contents and cannot be replaced by a {kind} (from {origin})")]
    DirectoryNotEmpty {
        /// The directory.
        path: TreePath,
        /// What would replace it.
        kind: &'static str,
        /// Who put the replacement there.
        origin: Origin,
    },
}

/// A root file system held in memory: each path occurs once, and iteration yields parents before
/// children.
///
/// Iteration order is the byte order of the paths, so nothing derived from it depends on the order
/// in which inputs arrived.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FileTree {
    entries: BTreeMap<TreePath, Entry>,
}

impl FileTree {
    /// An empty tree.
    pub fn new() -> Self {
        Self::default()
    }

    /// The entry at `path`, symlinks not followed.
    pub fn get(&self, path: &str) -> Option<&Entry> {
        self.entries.get(path)
    }

    /// The entry at `path` for a change of metadata in place.
    pub fn get_mut(&mut self, path: &str) -> Option<&mut Entry> {
        self.entries.get_mut(path)
    }

    /// Whether something is at `path`, symlinks not followed.
    pub fn contains(&self, path: &str) -> bool {
        self.entries.contains_key(path)
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether the tree holds nothing.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// All entries in byte order of their paths.
    pub fn iter(&self) -> btree_map::Iter<'_, TreePath, Entry> {
        self.entries.iter()
    }

    /// All entries below the directory `dir` (not `dir` itself), in order.
    pub fn below<'a>(&'a self, dir: &'a str) -> impl Iterator<Item = (&'a TreePath, &'a Entry)> {
        let prefix = if dir.is_empty() { String::new() } else { format!("{dir}/") };
        let start = prefix.clone();
        self.entries
            .range::<str, _>((std::ops::Bound::Included(start.as_str()), std::ops::Bound::Unbounded))
            .take_while(move |(path, _)| path.as_str().starts_with(&prefix))
            .collect::<Vec<_>>()
            .into_iter()
    }

    /// The direct children of the directory `dir`, in order.
    pub fn children<'a>(&'a self, dir: &'a str) -> impl Iterator<Item = (&'a TreePath, &'a Entry)> {
        self.below(dir).filter(move |(path, _)| path.parent().unwrap_or("") == dir)
    }

    /// Puts `entry` at `path` and replaces what was there. Missing parents become directories with
    /// mode `0755` and owner `root:root` and the entry's time and origin.
    ///
    /// A directory that replaces a directory changes only its metadata.
    ///
    /// # Errors
    /// [`TreeError`] when a parent is not a directory or a non-empty directory would be replaced.
    pub fn insert(&mut self, path: TreePath, entry: Entry) -> Result<Option<Entry>, TreeError> {
        for ancestor in path.ancestors() {
            match self.entries.get(ancestor) {
                Some(found) if found.is_dir() => break,
                Some(found) => {
                    return Err(TreeError::ParentNotDirectory {
                        parent: TreePath::derived(ancestor),
                        kind: found.kind.name(),
                        origin: found.meta.origin.clone(),
                        path: path.clone(),
                    });
                }
                None => {}
            }
        }
        if !entry.is_dir()
            && self.entries.get(path.as_str()).is_some_and(Entry::is_dir)
            && self.below(path.as_str()).next().is_some()
        {
            return Err(TreeError::DirectoryNotEmpty {
                kind: entry.kind.name(),
                origin: entry.meta.origin.clone(),
                path,
            });
        }
        let missing: Vec<TreePath> = path
            .ancestors()
            .take_while(|ancestor| !self.entries.contains_key(*ancestor))
            .map(TreePath::derived)
            .collect();
        for parent in missing {
            let meta = Metadata { mode: 0o755, uid: 0, gid: 0, xattrs: BTreeMap::new(), ..entry.meta.clone() };
            self.entries.insert(parent, Entry { kind: Kind::Directory, meta });
        }
        Ok(self.entries.insert(path, entry))
    }

    /// Removes `path` and all below it; returns what was removed.
    pub fn remove(&mut self, path: &str) -> Vec<(TreePath, Entry)> {
        let doomed: Vec<TreePath> = self
            .entries
            .get_key_value(path)
            .map(|(path, _)| path.clone())
            .into_iter()
            .chain(self.below(path).map(|(path, _)| path.clone()))
            .collect();
        doomed.into_iter().filter_map(|path| self.entries.remove_entry(path.as_str())).collect()
    }

    /// Keeps only the entries for which `keep` returns true. Children of a removed directory stay
    /// unless `keep` removes them too, so a caller that removes directories must remove their
    /// contents.
    pub fn retain(&mut self, mut keep: impl FnMut(&TreePath, &Entry) -> bool) {
        self.entries.retain(|path, entry| keep(path, entry));
    }

    /// Follows symlinks inside the tree from `path` to the entry it names, as the kernel would with
    /// this tree as its root. `None` when it dangles or loops (more than 40 links).
    pub fn resolve(&self, path: &str) -> Option<(&TreePath, &Entry)> {
        let mut todo: Vec<String> = path.split('/').rev().filter(|part| !part.is_empty()).map(str::to_owned).collect();
        let mut at = String::new();
        let mut links = 0;
        while let Some(part) = todo.pop() {
            match part.as_str() {
                "." => continue,
                ".." => {
                    at.truncate(at.rfind('/').unwrap_or(0));
                    continue;
                }
                _ => {}
            }
            let next = if at.is_empty() { part } else { format!("{at}/{part}") };
            match &self.entries.get(next.as_str())?.kind {
                Kind::Symlink(target) => {
                    links += 1;
                    if links > 40 {
                        return None;
                    }
                    if target.starts_with('/') {
                        at.clear();
                    }
                    todo.extend(target.split('/').rev().filter(|part| !part.is_empty()).map(str::to_owned));
                }
                _ => at = next,
            }
        }
        self.entries.get_key_value(at.as_str())
    }
}

impl<'a> IntoIterator for &'a FileTree {
    type Item = (&'a TreePath, &'a Entry);
    type IntoIter = btree_map::Iter<'a, TreePath, Entry>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> TreePath {
        TreePath::new(text).expect("a valid path")
    }

    fn file(text: &str) -> Entry {
        Entry::file(text.as_bytes().to_vec(), 0o644, Origin::Generated("test".into()))
    }

    #[test]
    fn parents_are_derived_and_iterate_first() {
        let mut tree = FileTree::new();
        tree.insert(path("a/b/c"), file("x")).expect("inserted");
        let paths: Vec<&str> = tree.iter().map(|(path, _)| path.as_str()).collect();
        assert_eq!(paths, ["a", "a/b", "a/b/c"]);
        assert!(tree.get("a/b").is_some_and(Entry::is_dir));
    }

    #[test]
    fn a_file_cannot_have_children_nor_replace_a_full_directory() {
        let mut tree = FileTree::new();
        tree.insert(path("a"), file("x")).expect("inserted");
        assert!(matches!(tree.insert(path("a/b"), file("y")), Err(TreeError::ParentNotDirectory { .. })));
        tree.insert(path("d/e"), file("z")).expect("inserted");
        assert!(matches!(tree.insert(path("d"), file("y")), Err(TreeError::DirectoryNotEmpty { .. })));
    }

    #[test]
    fn below_does_not_leak_into_siblings() {
        let mut tree = FileTree::new();
        for name in ["lib/a", "lib-x", "lib.d/b", "lib/z/y"] {
            tree.insert(path(name), file("")).expect("inserted");
        }
        let below: Vec<&str> = tree.below("lib").map(|(path, _)| path.as_str()).collect();
        assert_eq!(below, ["lib/a", "lib/z", "lib/z/y"]);
        assert_eq!(tree.children("lib").count(), 2);
        assert_eq!(tree.remove("lib").len(), 4);
        assert!(tree.contains("lib-x") && tree.contains("lib.d/b"));
    }

    #[test]
    fn symlinks_resolve_inside_the_root() {
        let mut tree = FileTree::new();
        tree.insert(path("usr/bin/nft"), file("x")).expect("inserted");
        let link = |target: &str| Entry::symlink(target, Origin::Generated("test".into()));
        tree.insert(path("bin"), link("usr/bin")).expect("inserted");
        tree.insert(path("etc/alternatives/ipt"), link("/bin/nft")).expect("inserted");
        tree.insert(path("usr/bin/ipt"), link("../../../etc/alternatives/ipt")).expect("inserted");
        tree.insert(path("loop"), link("loop")).expect("inserted");
        assert_eq!(tree.resolve("bin/ipt").map(|(path, _)| path.as_str()), Some("usr/bin/nft"));
        assert!(tree.resolve("loop").is_none());
        assert!(tree.resolve("bin/missing").is_none());
    }
}
