//! Listings of root file systems, to compare kiln's with dpkg's.

use kiln_tree::{DeviceKind, FileTree, Kind};
use std::collections::BTreeMap;

/// Nodes by path.
pub(super) type Listing = BTreeMap<String, Node>;

/// All properties of a path except its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Node {
    /// The type letter of find(1)'s `%y`: `f`, `d`, `l`, `c`, `b`, `p`.
    pub kind: char,
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    /// The size of a file in bytes.
    pub size: Option<u64>,
    /// Modification time in seconds since 1970; not of directories, which have the time at which
    /// dpkg ran.
    pub mtime: Option<u32>,
    /// A link's target.
    pub target: String,
    /// All names of a file with hard links.
    pub names: Vec<String>,
}

/// Sets [`Node::names`]: paths with the same key are the same file.
pub(super) fn name_links<K: Ord>(listing: &mut Listing, keys: BTreeMap<String, K>) {
    let mut groups: BTreeMap<K, Vec<String>> = BTreeMap::new();
    for (path, key) in keys {
        groups.entry(key).or_default().push(path);
    }
    for names in groups.into_values().filter(|names| names.len() > 1) {
        for name in &names {
            listing.get_mut(name).expect("a listed path").names.clone_from(&names);
        }
    }
}

/// Lists `tree`.
pub(super) fn of(tree: &FileTree) -> Listing {
    let mut links = BTreeMap::new();
    let mut listing = Listing::new();
    for (path, entry) in tree {
        let kind = match &entry.kind {
            Kind::Directory => 'd',
            Kind::File { .. } => 'f',
            Kind::Symlink(_) => 'l',
            Kind::Device { kind: DeviceKind::Char, .. } => 'c',
            Kind::Device { kind: DeviceKind::Block, .. } => 'b',
            Kind::Fifo => 'p',
        };
        if let Kind::File { link: Some(group), .. } = &entry.kind {
            links.insert(path.to_string(), group.clone());
        }
        let node = Node {
            kind,
            mode: entry.meta.mode.into(),
            uid: entry.meta.uid,
            gid: entry.meta.gid,
            size: entry.content().map(|content| content.size),
            mtime: (kind != 'd').then_some(entry.meta.mtime),
            target: entry.link_target().unwrap_or_default().to_owned(),
            names: Vec::new(),
        };
        listing.insert(path.to_string(), node);
    }
    name_links(&mut listing, links);
    listing
}

/// The differences of two listings, one per line.
pub(super) fn differences(ours: &Listing, theirs: &Listing) -> Vec<String> {
    let paths: std::collections::BTreeSet<&String> = ours.keys().chain(theirs.keys()).collect();
    let differs = |path: &&String| ours.get(*path) != theirs.get(*path);
    let line = |path: &String| format!("/{path}: kiln {:?}\n    dpkg {:?}", ours.get(path), theirs.get(path));
    paths.into_iter().filter(differs).map(line).collect()
}
