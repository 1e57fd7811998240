//! Configuration files as finalizers read them: text of limited size, and the drop-in directories
//! of systemd's tools.

use kiln_tree::{ContentReader, Entry, FileTree, PathError, ReadError, TreeError, TreePath};
use std::collections::BTreeMap;

/// The largest configuration file that is read, in bytes; systemd's own limit is 1 MiB for a line.
const MAX_TEXT: u64 = 4 << 20;

/// Why a file of the tree cannot be read as configuration.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// The path does not exist, or is a dangling symlink.
    #[error("/{path} is not in the tree")]
    Missing {
        /// The requested path.
        path: String,
    },
    /// It is a directory, device or pipe.
    #[error("/{path} is a {kind}, not a file")]
    NotFile {
        /// The path.
        path: String,
        /// Its type.
        kind: &'static str,
    },
    /// It is larger than any configuration file.
    #[error("/{path} has {size} bytes, more than the limit of {MAX_TEXT} for a configuration file")]
    TooLarge {
        /// The path.
        path: String,
        /// Its size in bytes.
        size: u64,
    },
    /// It is not UTF-8.
    #[error("/{path} is not UTF-8 text (byte {offset})")]
    NotUtf8 {
        /// The path.
        path: String,
        /// Offset of the first invalid byte.
        offset: usize,
    },
    /// Its bytes cannot be read.
    #[error("/{path}: {source}")]
    Read {
        /// The path.
        path: String,
        /// Why.
        source: ReadError,
    },
}

/// Why a finalizer cannot put its result into the tree.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// The entry conflicts with the tree.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// A computed name is not a valid path.
    #[error(transparent)]
    Path(#[from] PathError),
}

/// Puts `entry` at `path`; like [`FileTree::insert`], it replaces an existing entry.
///
/// # Errors
/// [`OutputError`] when the path is invalid or its parent is not a directory.
pub fn put(tree: &mut FileTree, path: &str, entry: Entry) -> Result<(), OutputError> {
    tree.insert(TreePath::new(path)?, entry)?;
    Ok(())
}

/// Returns the bytes of the file at `path`; follows symlinks inside the tree.
///
/// # Errors
/// [`InputError`] when it is missing, not a file or too large.
pub fn bytes(tree: &FileTree, reader: &dyn ContentReader, path: &str) -> Result<Vec<u8>, InputError> {
    let (_, entry) = tree.resolve(path).ok_or_else(|| InputError::Missing { path: path.to_owned() })?;
    let content =
        entry.content().ok_or_else(|| InputError::NotFile { path: path.to_owned(), kind: entry.kind.name() })?;
    if content.size > MAX_TEXT {
        return Err(InputError::TooLarge { path: path.to_owned(), size: content.size });
    }
    match content.as_inline() {
        Some(bytes) => Ok(bytes.to_vec()),
        None => reader.read(content).map_err(|source| InputError::Read { path: path.to_owned(), source }),
    }
}

/// Like [`bytes`], for text.
///
/// # Errors
/// Like [`bytes`], also when it is not UTF-8.
pub fn text(tree: &FileTree, reader: &dyn ContentReader, path: &str) -> Result<String, InputError> {
    String::from_utf8(bytes(tree, reader, path)?)
        .map_err(|error| InputError::NotUtf8 { path: path.to_owned(), offset: error.utf8_error().valid_up_to() })
}

/// Returns the drop-in files of `dirs` (highest priority first) whose names end in `suffix`, in the
/// order in which systemd reads them (its `conf_files_list`): by name. A file replaces one of the
/// same name in a later directory; a symlink to `/dev/null` removes it.
pub fn drop_ins(tree: &FileTree, dirs: &[impl AsRef<str>], suffix: &str) -> Vec<String> {
    let mut found: BTreeMap<&str, &TreePath> = BTreeMap::new();
    for dir in dirs {
        for (path, entry) in tree.children(dir.as_ref()) {
            if !entry.is_dir() && path.name().ends_with(suffix) {
                found.entry(path.name()).or_insert(path);
            }
        }
    }
    let is_null = |path: &TreePath| tree.get(path.as_str()).and_then(Entry::link_target) == Some("/dev/null");
    found.into_values().filter(|path| !is_null(path)).map(ToString::to_string).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use kiln_tree::{LocalReader, Origin};

    fn tree(files: &[(&str, &str)]) -> FileTree {
        let mut tree = FileTree::new();
        for (path, text) in files {
            let entry = match text.strip_prefix("-> ") {
                Some(target) => Entry::symlink(target, Origin::Generated("test".into())),
                None => Entry::file(text.as_bytes().to_vec(), 0o644, Origin::Generated("test".into())),
            };
            put(&mut tree, path, entry).expect("a free path");
        }
        tree
    }

    #[test]
    fn an_earlier_directory_replaces_and_dev_null_removes() {
        let tree = tree(&[
            ("usr/lib/x.d/20-b.conf", "vendor"),
            ("usr/lib/x.d/10-a.conf", "vendor"),
            ("usr/lib/x.d/30-c.conf", "vendor"),
            ("usr/lib/x.d/README", "no"),
            ("etc/x.d/20-b.conf", "admin"),
            ("etc/x.d/30-c.conf", "-> /dev/null"),
        ]);
        assert_eq!(
            drop_ins(&tree, &["etc/x.d", "usr/lib/x.d"], ".conf"),
            ["usr/lib/x.d/10-a.conf", "etc/x.d/20-b.conf"]
        );
    }

    #[test]
    fn text_follows_links_and_names_what_is_wrong() {
        let tree =
            tree(&[("usr/lib/f", "hello"), ("etc/f", "-> ../usr/lib/f"), ("etc/d/f", ""), ("etc/n", "-> /nowhere")]);
        assert_eq!(text(&tree, &LocalReader, "etc/f").expect("readable"), "hello");
        assert_eq!(text(&tree, &LocalReader, "etc/n").expect_err("dangles").to_string(), "/etc/n is not in the tree");
        assert_eq!(
            text(&tree, &LocalReader, "etc/d").expect_err("directory").to_string(),
            "/etc/d is a directory, not a file"
        );
    }
}
