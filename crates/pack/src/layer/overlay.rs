//! Overlays: a folder of files laid over the tree.
//!
//! `NAME/rootfs/` holds the files. `NAME/overlay.yaml` (optional) holds what a checkout cannot:
//! owners, exact modes, extended attributes, the paths of the tree that the overlay replaces, and
//! why an image with it is not for production.
//! By default, files belong to root and have the mode `0755` if the owner may execute them and
//! `0644` otherwise, so neither a umask nor git affects the image.

use super::{LayerError, lay, merge_path};
use kiln_tree::{
    Content, ContentSource, Digest, Entry, FileTree, Kind, Metadata, Origin, PathError, TreePath, link_target,
};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The largest `overlay.yaml`.
const MAX_DECLARATIONS: u64 = 1 << 20;
/// Files up to this size are kept in memory, so that they are read once instead of twice.
const SMALL: u64 = 64 << 10;

/// An overlay read from the host.
#[derive(Debug, Clone)]
pub struct Overlay {
    /// The folder's name.
    pub name: String,
    /// Why no image with it is for production, where its author says so.
    pub not_for_production: Option<String>,
    entries: Vec<(TreePath, Entry)>,
    /// Paths whose metadata is declared.
    declared: BTreeSet<TreePath>,
    replace: BTreeSet<TreePath>,
    remove: BTreeSet<TreePath>,
}

/// Why an overlay cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OverlayError {
    /// Reading the folder failed.
    #[error("reading overlay {path}: {source}")]
    Read {
        /// The path that was read.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The folder `rootfs` is missing.
    #[error("overlay {0} has no folder rootfs; the files of an overlay belong in {0}/rootfs/")]
    NoRootfs(PathBuf),
    /// `overlay.yaml` is invalid.
    #[error("{path}:{line}:{column}: {why}")]
    Declarations {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: u64,
        /// Column, from 1.
        column: u64,
        /// The defect.
        why: String,
    },
    /// `overlay.yaml` names a path that the overlay does not have.
    #[error("{path}: {field} names /{target}, which {why}")]
    Unknown {
        /// The file.
        path: PathBuf,
        /// The field.
        field: &'static str,
        /// The named path.
        target: TreePath,
        /// The defect.
        why: &'static str,
    },
    /// `remove` names a path that no lower layer has.
    #[error("overlay {name}: remove names /{target}, which does not exist; correct the path or leave it out")]
    NothingToRemove {
        /// The overlay.
        name: String,
        /// The path.
        target: TreePath,
    },
    /// A link with a target that an image cannot hold.
    #[error("overlay {name}: /{path} is a link to {source}")]
    Target {
        /// The overlay.
        name: String,
        /// The link.
        path: TreePath,
        /// What is wrong with its target.
        source: PathError,
    },
    /// A name that an image cannot hold.
    #[error("overlay {path}: {source}")]
    Path {
        /// The directory that it is in.
        path: PathBuf,
        /// The cause.
        source: PathError,
    },
    /// A socket or another unsupported type.
    #[error("overlay {0}: only files, directories, symlinks and named pipes can be overlaid")]
    Type(PathBuf),
    /// It conflicts with the tree.
    #[error("overlay {name}: {source}")]
    Layer {
        /// The overlay.
        name: String,
        /// The cause.
        source: LayerError,
    },
}

/// `overlay.yaml`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
struct Declarations {
    /// Metadata by path.
    entries: BTreeMap<TreePath, Declared>,
    /// The paths of lower layers that this overlay replaces.
    replace: BTreeSet<TreePath>,
    /// The paths of lower layers that are removed, with everything below them.
    remove: BTreeSet<TreePath>,
    /// Why no image with this overlay is for production.
    not_for_production: Option<Reason>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
struct Declared {
    mode: Option<Mode>,
    uid: Option<u32>,
    gid: Option<u32>,
    /// Values as hexadecimal digits.
    xattrs: BTreeMap<String, Hex>,
}

/// Permission bits as a string of octal digits, `"0640"`.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "String")]
struct Mode(u16);

impl TryFrom<String> for Mode {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        u16::from_str_radix(&text, 8)
            .ok()
            .filter(|mode| *mode <= 0o7777 && text.len() <= 5)
            .map(Self)
            .ok_or_else(|| format!("{text:?} is not a mode; write it in octal and in quotes, \"0644\""))
    }
}

/// Words on one line.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "String")]
struct Reason(String);

impl TryFrom<String> for Reason {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.trim() {
            "" => Err("the reason is empty".to_owned()),
            reason if reason.contains(char::is_control) => Err("a reason is one line".to_owned()),
            reason => Ok(Self(reason.to_owned())),
        }
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "String")]
struct Hex(Vec<u8>);

impl TryFrom<String> for Hex {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let digits: Option<Vec<u8>> =
            text.chars().map(|digit| digit.to_digit(16).and_then(|digit| u8::try_from(digit).ok())).collect();
        digits
            .filter(|digits| digits.len() % 2 == 0)
            .map(|digits| Self(digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect()))
            .ok_or_else(|| format!("{text:?} is not an even number of hexadecimal digits"))
    }
}

impl Overlay {
    /// Reads the overlay in folder `path`; its files are hashed, but large ones are not kept in
    /// memory.
    ///
    /// # Errors
    /// [`OverlayError`].
    pub fn read(path: &Path) -> Result<Self, OverlayError> {
        let name = path.file_name().map_or_else(|| "overlay".into(), |name| name.to_string_lossy().into_owned());
        let rootfs = path.join("rootfs");
        if !rootfs.is_dir() {
            return Err(OverlayError::NoRootfs(path.to_owned()));
        }
        let declarations_path = path.join("overlay.yaml");
        let Declarations { entries, replace, remove, not_for_production } = read_declarations(&declarations_path)?;
        let declared = entries.keys().cloned().collect();
        let not_for_production = not_for_production.map(|reason| reason.0);
        let mut overlay = Self { name, not_for_production, entries: Vec::new(), declared, replace, remove };
        overlay.walk(&rootfs, "", &Origin::Overlay(overlay.name.as_str().into()))?;
        for (target, declared) in entries {
            let Some((_, entry)) = overlay.entries.iter_mut().find(|(path, _)| *path == target) else {
                let why = "is not in its rootfs";
                return Err(OverlayError::Unknown { path: declarations_path, field: "entries", target, why });
            };
            entry.meta.mode = declared.mode.map_or(entry.meta.mode, |mode| mode.0);
            entry.meta.uid = declared.uid.unwrap_or(0);
            entry.meta.gid = declared.gid.unwrap_or(0);
            entry.meta.xattrs = declared.xattrs.into_iter().map(|(name, value)| (name, value.0)).collect();
        }
        if let Some(target) =
            overlay.replace.iter().find(|target| !overlay.entries.iter().any(|(path, _)| path == *target))
        {
            let why = "is not in its rootfs, so nothing would replace it";
            return Err(OverlayError::Unknown {
                path: declarations_path,
                field: "replace",
                target: target.clone(),
                why,
            });
        }
        Ok(overlay)
    }

    /// A digest of everything in the overlay.
    pub fn digest(&self) -> Digest {
        let mut hasher = Sha256::new();
        for (path, entry) in &self.entries {
            let what = match &entry.kind {
                Kind::File { content, .. } => format!("file {} {}", content.size, content.digest),
                Kind::Symlink(target) => format!("link {target:?}"),
                kind => kind.name().to_owned(),
            };
            let meta = &entry.meta;
            hasher.update(format!("{path:?} {what} {:o} {} {} {:?}\n", meta.mode, meta.uid, meta.gid, meta.xattrs));
        }
        hasher.update(format!("{:?} {:?} {:?}", self.declared, self.replace, self.remove));
        // The digest of an overlay that says nothing of it is what it was before there was such a key.
        if let Some(reason) = &self.not_for_production {
            hasher.update(format!(" {reason:?}"));
        }
        Digest::finish(hasher)
    }

    fn walk(&mut self, directory: &Path, prefix: &str, origin: &Origin) -> Result<(), OverlayError> {
        let read = |path: &Path| {
            let path = path.to_owned();
            move |source| OverlayError::Read { path, source }
        };
        let mut names: Vec<_> = fs::read_dir(directory)
            .map_err(read(directory))?
            .map(|entry| entry.map(|entry| entry.file_name()))
            .collect::<Result<_, _>>()
            .map_err(read(directory))?;
        names.sort();
        for name in names {
            let host = directory.join(&name);
            let named = TreePath::from_bytes(&[prefix.as_bytes(), name.as_bytes()].concat());
            let path = named.map_err(|source| OverlayError::Path { path: directory.to_owned(), source })?;
            let metadata = fs::symlink_metadata(&host).map_err(read(&host))?;
            let kind = metadata.file_type();
            let entry = if kind.is_dir() {
                Entry::directory(0o755, origin.clone())
            } else if kind.is_symlink() {
                let target = fs::read_link(&host).map_err(read(&host))?;
                let target = link_target(target.as_os_str().as_bytes());
                let target = target.map_err(|source| OverlayError::Target {
                    path: path.clone(),
                    name: self.name.clone(),
                    source,
                })?;
                Entry::symlink(target, origin.clone())
            } else if kind.is_file() {
                let content = read_content(&host, metadata.len()).map_err(read(&host))?;
                let mode = if metadata.permissions().mode() & 0o100 == 0 { 0o644 } else { 0o755 };
                Entry { kind: Kind::File { content, link: None }, meta: Metadata::new(mode, origin.clone()) }
            } else if kind.is_fifo() {
                Entry { kind: Kind::Fifo, meta: Metadata::new(0o644, origin.clone()) }
            } else {
                return Err(OverlayError::Type(host));
            };
            let is_dir = entry.is_dir();
            let below = format!("{path}/");
            self.entries.push((path, entry));
            if is_dir {
                self.walk(&host, &below, origin)?;
            }
        }
        Ok(())
    }
}

/// Lays `overlay` over `tree`. Paths are usr-merged; declared metadata replaces the tree's.
///
/// # Errors
/// [`OverlayError`] when it would replace something it did not declare.
pub fn lay_overlay(tree: &mut FileTree, overlay: Overlay) -> Result<(), OverlayError> {
    let Overlay { name, entries, declared, replace, remove, not_for_production: _ } = overlay;
    let merged = |paths: BTreeSet<TreePath>| paths.into_iter().map(merge_path).collect::<BTreeSet<_>>();
    let (declared, replace) = (merged(declared), merged(replace));
    for target in merged(remove) {
        if tree.remove(target.as_str()).is_empty() {
            return Err(OverlayError::NothingToRemove { name, target });
        }
    }
    // A link to a directory would merge with the overlay's directory.
    for path in &replace {
        if tree.get(path.as_str()).is_some_and(|old| old.link_target().is_some()) {
            tree.remove(path.as_str());
        }
    }
    let entries: Vec<_> = entries.into_iter().map(|(path, entry)| (merge_path(path), entry)).collect();
    for (path, entry) in &entries {
        if declared.contains(path)
            && let Some(old) = tree.get_mut(path.as_str())
            && old.kind == entry.kind
        {
            old.meta = entry.meta.clone();
        }
    }
    let remedy = "if the overlay must replace it, name the path under \"replace:\" in its overlay.yaml";
    lay(tree, entries, remedy, |path, _| replace.contains(path)).map_err(|source| OverlayError::Layer { name, source })
}

fn read_content(path: &Path, size: u64) -> io::Result<Content> {
    if size <= SMALL {
        return kiln_file::read(path, SMALL).map(Content::inline);
    }
    let mut file = kiln_file::open(path)?;
    let (digest, size) = Digest::of_reader(&mut file)?;
    Ok(Content { size, digest, source: ContentSource::Host(Arc::new(path.to_owned())) })
}

fn read_declarations(path: &Path) -> Result<Declarations, OverlayError> {
    let read = |source| OverlayError::Read { path: path.to_owned(), source };
    let mut text = String::new();
    match kiln_file::open(path) {
        Ok(file) => file.take(MAX_DECLARATIONS + 1).read_to_string(&mut text).map_err(read)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Declarations::default()),
        Err(error) => return Err(read(error)),
    };
    if text.len() as u64 > MAX_DECLARATIONS {
        return Err(read(io::Error::other("it is larger than 1 MiB")));
    }
    serde_saphyr::from_str::<Option<Declarations>>(&text).map(Option::unwrap_or_default).map_err(|error| {
        let (line, column) = error.location().map_or((1, 1), |at| (at.line(), at.column()));
        let why = error.without_snippet().to_string();
        // The position is already at the beginning.
        let position = format!(" at line {line}, column {column}");
        let why = why.strip_suffix(position.as_str()).unwrap_or(&why).to_owned();
        OverlayError::Declarations { path: path.to_owned(), line, column, why }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An overlay of these files and `overlay.yaml`; a path that ends in `/` is an empty directory.
    fn overlay(files: &[&str], declarations: &str) -> (tempfile::TempDir, Overlay) {
        let place = tempfile::tempdir().expect("a temporary directory");
        fs::write(place.path().join("overlay.yaml"), declarations).expect("written");
        for file in files {
            let path = place.path().join("rootfs").join(file);
            fs::create_dir_all(if file.ends_with('/') { &path } else { path.parent().expect("a parent") })
                .expect("a directory");
            if !file.ends_with('/') {
                fs::write(path, "overlay").expect("written");
            }
        }
        let overlay = Overlay::read(place.path()).expect("an overlay");
        (place, overlay)
    }

    fn tree() -> FileTree {
        let origin = Origin::Package("base=1".into());
        let mut tree = FileTree::new();
        for (path, entry) in [
            ("etc/motd", Entry::file("package", 0o644, origin.clone())),
            ("etc/same", Entry::file("overlay", 0o644, origin.clone())),
            ("usr/lib/x", Entry::file("package", 0o644, origin.clone())),
            ("var/run", Entry::symlink("/run", origin.clone())),
            ("run", Entry::directory(0o755, origin)),
        ] {
            tree.insert(TreePath::new(path).expect("a path"), entry).expect("inserted");
        }
        super::super::usr_merge_links(&mut tree).expect("links");
        tree
    }

    fn laid(files: &[&str], declarations: &str) -> FileTree {
        let mut tree = tree();
        lay_overlay(&mut tree, overlay(files, declarations).1).expect("laid");
        tree
    }

    fn mode(tree: &FileTree, path: &str) -> u16 {
        tree.get(path).unwrap_or_else(|| panic!("/{path} is not there")).meta.mode
    }

    #[test]
    fn targets_that_would_control_a_terminal_or_are_not_utf_8_are_refused() {
        use std::ffi::OsStr;
        for (target, shown) in [
            (&b"../\x1b[2J\n"[..], "\"../\\x1b[2J\\n\" contains a control character"),
            (b"../\xff", "\"../\\xff\" is not UTF-8"),
        ] {
            let place = tempfile::tempdir().expect("a temporary directory");
            fs::create_dir(place.path().join("rootfs")).expect("a directory");
            let link = place.path().join("rootfs/link");
            std::os::unix::fs::symlink(OsStr::from_bytes(target), link).expect("a link");
            let error = Overlay::read(place.path()).expect_err("a bad target").to_string();
            assert!(error.ends_with(&format!(": /link is a link to {shown}")), "{error}");
        }
    }

    #[test]
    fn paths_are_usr_merged_and_directories_merge_with_links_to_them() {
        let tree = laid(&["lib/y/z", "bin/p", "var/run/"], "entries: {lib/y/z: {mode: \"0600\"}}");
        assert_eq!(mode(&tree, "usr/lib/y/z"), 0o600);
        assert_eq!(tree.get("usr/bin/p").and_then(Entry::inline), Some(&b"overlay"[..]));
        assert_eq!(tree.get("lib").and_then(Entry::link_target), Some("usr/lib"));
        assert_eq!(tree.get("var/run").and_then(Entry::link_target), Some("/run"));
    }

    #[test]
    fn metadata_is_the_trees_unless_it_is_declared() {
        let files = ["etc/same", "usr/lib/"];
        let tree = laid(&files, "");
        assert_eq!((mode(&tree, "etc"), mode(&tree, "etc/same")), (0o755, 0o644));
        let tree = laid(&files, "entries: {etc: {mode: \"0711\"}, etc/same: {mode: \"0400\", gid: 42}}");
        assert_eq!((mode(&tree, "etc"), mode(&tree, "etc/same")), (0o711, 0o400));
        assert_eq!(tree.get("etc/same").map(|entry| entry.meta.gid), Some(42));
        assert_eq!(tree.get("etc/motd").and_then(Entry::inline), Some(&b"package"[..]));
    }

    #[test]
    fn only_what_is_declared_is_replaced_or_removed() {
        let refused = lay_overlay(&mut tree(), overlay(&["etc/motd"], "").1);
        assert!(matches!(refused, Err(OverlayError::Layer { source: LayerError::Conflict { .. }, .. })), "{refused:?}");
        let refused = lay_overlay(&mut tree(), overlay(&["etc/x"], "{remove: [etc/none]}").1);
        assert!(matches!(refused, Err(OverlayError::NothingToRemove { .. })), "{refused:?}");
        let tree = laid(&["etc/motd", "var/run/f"], "{replace: [etc/motd, var/run], remove: [lib/x]}");
        assert_eq!(tree.get("etc/motd").and_then(Entry::inline), Some(&b"overlay"[..]));
        assert!(tree.get("var/run").is_some_and(Entry::is_dir) && tree.contains("var/run/f"));
        assert!(!tree.contains("usr/lib/x"));
    }
}
