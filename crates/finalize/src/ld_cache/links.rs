//! One directory: its libraries by SONAME, and the links that ldconfig makes and removes in it
//! (`search_dir`, `create_links`).

use super::compare::dl_cache_libcmp;
use super::conf::SearchDir;
use super::library::Library;
use super::{LdCacheError, Libraries};
use kiln_tree::{Content, Entry, FileTree, Kind, TreePath};
use std::cmp::Ordering;

/// A library that gets an entry in the cache.
pub(super) struct Found {
    /// The name that programs ask for.
    pub(super) soname: String,
    /// The name of the chosen file in the directory.
    pub(super) name: String,
    pub(super) library: Library,
    /// Whether it is a link that needs no SONAME link (`libfoo.so` of a -dev package).
    is_link: bool,
}

/// The changes that ldconfig makes to one directory.
#[derive(Default)]
pub(super) struct Directory {
    pub(super) found: Vec<Found>,
    /// SONAME links to make, `(path, target)`.
    pub(super) links: Vec<(TreePath, String)>,
    /// Dangling links.
    pub(super) stale: Vec<TreePath>,
}

/// Whether glibc takes the name for that of a library (`_dl_is_dso`).
fn is_dso(name: &str) -> bool {
    ((name.starts_with("lib") || name.starts_with("ld-")) && name.contains(".so"))
        || name.starts_with("ld.so.")
        || name.starts_with("ld64.so.")
}

/// Whether the name is that of a leftover of a package manager or prelink.
fn is_temporary(name: &str) -> bool {
    let prelink = name.len().checked_sub(".#prelink#.XXXXXX".len()).and_then(|at| name.get(at..));
    name.ends_with(".#prelink#")
        || prelink.is_some_and(|tail| tail.starts_with(".#prelink#."))
        || name.contains(';')
        || name.ends_with(".dpkg-new")
        || name.ends_with(".dpkg-tmp")
}

/// Returns the entries of `dir` that ldconfig examines.
fn entries<'a>(tree: &'a FileTree, dir: &SearchDir) -> Vec<(&'a TreePath, &'a Entry)> {
    let hwcaps = dir.hwcaps.is_some();
    let looks = |entry: &Entry, name: &str| match entry.kind {
        Kind::File { .. } => is_dso(name),
        // Below glibc-hwcaps ldconfig takes any link for a library.
        Kind::Symlink(_) => is_dso(name) || hwcaps,
        _ => false,
    };
    let Some((dir, _)) = tree.resolve(&dir.path) else { return Vec::new() };
    let children = tree.children(dir.as_str());
    children.filter(|(path, entry)| looks(entry, path.name()) && !is_temporary(path.name())).collect()
}

/// Returns the files that ldconfig opens in `dir`; links are followed.
pub(super) fn candidates<'a>(tree: &'a FileTree, dir: &SearchDir) -> Vec<(&'a TreePath, &'a Content)> {
    let files = entries(tree, dir).into_iter().filter_map(|(path, _)| {
        let (_, target) = tree.resolve(path.as_str())?;
        Some((path, target.content()?))
    });
    files.collect()
}

/// Searches `dir`.
pub(super) fn search(tree: &FileTree, dir: &SearchDir, libraries: &Libraries) -> Result<Directory, LdCacheError> {
    let mut directory = Directory::default();
    for (path, entry) in entries(tree, dir) {
        let Some((_, target)) = tree.resolve(path.as_str()) else {
            if path.name().contains(".so.") {
                directory.stale.push(path.clone());
            }
            continue;
        };
        let Some(content) = target.content() else { continue };
        let scanned = libraries.0.get(&content.digest);
        let Some(library) = scanned.ok_or_else(|| LdCacheError::NotScanned(path.to_string()))? else { continue };
        directory.add(found(path, entry, library));
    }
    if dir.hwcaps.is_none() {
        for at in 0..directory.found.len() {
            directory.link(tree, dir, at);
        }
    }
    Ok(directory)
}

fn found(path: &TreePath, entry: &Entry, library: &Library) -> Found {
    let name = path.name();
    let soname = library.soname.as_deref().unwrap_or(name);
    // A link whose name is neither its SONAME nor the `.so` for ld(1) counts as a file.
    let is_link =
        entry.link_target().is_some() && (name == soname || (name.ends_with(".so") && soname.starts_with(name)));
    let soname = if is_link { name } else { soname };
    Found { soname: soname.to_owned(), name: name.to_owned(), library: library.clone(), is_link }
}

impl Directory {
    /// Keeps the better of two libraries with one SONAME: a file rather than a link, else the newer
    /// one by name.
    fn add(&mut self, new: Found) {
        let Some(old) = self.found.iter_mut().find(|old| old.soname == new.soname) else {
            self.found.push(new);
            return;
        };
        let newer = || dl_cache_libcmp(old.name.as_bytes(), new.name.as_bytes()) == Ordering::Less;
        if (!new.is_link && old.is_link) || (new.is_link == old.is_link && newer()) {
            // The ABI remains that of the first, as in glibc.
            old.name = new.name;
            old.is_link = new.is_link;
            old.library.isa_level = new.library.isa_level;
        }
    }

    /// Makes the link from a SONAME to its library unless it already exists.
    fn link(&mut self, tree: &FileTree, dir: &SearchDir, at: usize) {
        let Found { soname, name, is_link, .. } = &self.found[at];
        let inside = |name: &str| format!("{}/{name}", dir.path);
        // A SONAME that is not a file name gets no link; ldconfig warns and continues.
        let path = TreePath::new(&inside(soname)).ok().filter(|path| path.name() == soname);
        let Some(path) = path.filter(|_| !is_link) else { return };
        let there = tree.resolve(path.as_str());
        let keep = match there {
            None => tree.get(path.as_str()).is_some_and(|entry| entry.link_target().is_none()),
            Some(target) => {
                let library = tree.resolve(&inside(name));
                let not_a_link = tree.get(path.as_str()).is_some_and(|entry| entry.link_target().is_none());
                library.is_some_and(|library| same_inode(library, target)) || not_a_link || is_loader(soname)
            }
        };
        if !keep {
            self.links.push((path, name.clone()));
        }
    }
}

/// Whether two names are of the same file.
fn same_inode(a: (&TreePath, &Entry), b: (&TreePath, &Entry)) -> bool {
    let group = |entry: &Entry| match &entry.kind {
        Kind::File { link, .. } => link.clone(),
        _ => None,
    };
    a.0 == b.0 || group(a.1).is_some_and(|link| group(b.1) == Some(link))
}

/// Whether the SONAME is that of the dynamic linker, whose existing link is never changed (Debian's
/// local-ldconfig-ignore-ld.so.diff).
fn is_loader(soname: &str) -> bool {
    let loaders =
        ["ld-linux-aarch64.so.1", "ld-linux-armhf.so.3", "ld-linux-x86-64.so.2", "ld-linux.so.2", "ld-linux.so.3"];
    loaders.contains(&soname)
}
