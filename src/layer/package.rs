//! Packages into the tree, as dpkg would have unpacked them into an empty root.

use super::usr_merge::{is_merged_top, merge_path, usr_merge_links};
use crate::pack::{Index, MemberKind, Pack};
use crate::profile::Diversion;
use crate::tree::{Digest, Entry, FileTree, Kind, LinkGroup, Metadata, Origin, TreeError, TreePath};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// One opened package.
#[derive(Debug, Clone, Copy)]
pub struct Packed<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its version.
    pub version: &'a str,
    /// Digest of the .deb.
    pub digest: Digest,
    /// What is in it.
    pub pack: &'a Pack,
    /// Names of packages whose files it may take over (`Replaces`, already checked against their versions).
    pub replaces: &'a [String],
}

/// Why packages do not fit together.
#[derive(Debug, thiserror::Error)]
pub enum PackageError {
    /// Two packages ship one path and neither declares `Replaces`.
    #[error(
        "/{path} is shipped by both {first} and {second}, and neither says that it replaces the other; exclude one of them, \
         or add to the profile: diversions: [{{from: /{path}, to: /{path}.diverted, by: {first}}}]"
    )]
    Conflict {
        /// The path.
        path: TreePath,
        /// The package unpacked first.
        first: String,
        /// The other.
        second: String,
    },
    /// A path goes through something that is not a directory.
    #[error("package {package}: {source}; exclude one of the packages, or divert the path (diversions in the profile)")]
    Tree {
        /// The package.
        package: String,
        /// What is in the way.
        source: TreeError,
    },
}

/// Unpacks `packages` (any order) into an empty tree with the usr-merge links.
///
/// File conflicts follow dpkg(1): directories are shared, a package that `Replaces` another takes over its
/// files, a diverted path moves unless its package is the diverter, anything else is an error.
///
/// # Errors
/// [`PackageError`].
pub fn lay_packages(packages: &[Packed<'_>], diversions: &[Diversion]) -> Result<FileTree, PackageError> {
    let mut packages: Vec<&Packed<'_>> = packages.iter().collect();
    packages.sort_by_key(|package| package.name);
    let mut tree = FileTree::new();
    let mut owners: BTreeMap<TreePath, &Packed<'_>> = BTreeMap::new();
    for package in packages {
        let origin = Origin::Package(format!("{}={}", package.name, package.version).into());
        let linked = package.pack.index.linked();
        for (number, member) in package.pack.index.members.iter().enumerate() {
            if is_merged_top(&member.path) {
                continue;
            }
            let path = divert(merge_path(member.path.clone()), package.name, diversions);
            let Some(entry) = entry_of(package, number, &linked, origin.clone()) else { continue };
            if let Some(old) = tree.get(path.as_str()) {
                let owner = owners.get(&path).copied();
                if !takes_over(&path, &entry, old, package, owner)? {
                    continue;
                }
            }
            tree.insert(path.clone(), entry)
                .map_err(|source| PackageError::Tree { package: package.name.to_owned(), source })?;
            owners.insert(path, package);
        }
    }
    usr_merge_links(&mut tree).map_err(|source| PackageError::Tree { package: "usr-merge".into(), source })?;
    Ok(tree)
}

/// Whether `new`'s entry replaces `old`'s.
fn takes_over(
    path: &TreePath,
    entry: &Entry,
    old: &Entry,
    new: &Packed<'_>,
    owner: Option<&Packed<'_>>,
) -> Result<bool, PackageError> {
    if entry.is_dir() && old.is_dir() {
        // dpkg keeps the metadata of the first package that ships a directory; any real difference is a matter
        // of the base-files family, which must win whatever the order.
        return Ok(entry.meta.mode != old.meta.mode && old.meta.mode == 0o755 && new.name.starts_with("base-"));
    }
    let Some(owner) = owner else { return Ok(true) };
    if owner.name == new.name || new.replaces.iter().any(|name| name == owner.name) {
        return Ok(true);
    }
    if owner.replaces.iter().any(|name| name == new.name) {
        return Ok(false);
    }
    Err(PackageError::Conflict { path: path.clone(), first: owner.name.to_owned(), second: new.name.to_owned() })
}

fn divert(path: TreePath, package: &str, diversions: &[Diversion]) -> TreePath {
    diversions
        .iter()
        .find(|diversion| diversion.from == path && diversion.by.as_deref() != Some(package))
        .map_or(path, |diversion| diversion.to.clone())
}

fn entry_of(package: &Packed<'_>, number: usize, linked: &BTreeSet<u32>, origin: Origin) -> Option<Entry> {
    let index: &Index = &package.pack.index;
    let member = index.members.get(number)?;
    let meta = Metadata {
        mode: member.mode,
        uid: member.uid,
        gid: member.gid,
        mtime: member.mtime,
        xattrs: member.xattrs.clone(),
        origin,
    };
    let number = u32::try_from(number).ok()?;
    let kind = kind_of(package.pack, package.digest, number, linked, package.name)?;
    Some(Entry { kind, meta })
}

/// The tree's kind for member `number`; `linked` are the members other members are hard links to, and the link
/// groups are named after `group` and the first name's number.
pub(super) fn kind_of(pack: &Pack, digest: Digest, number: u32, linked: &BTreeSet<u32>, group: &str) -> Option<Kind> {
    let link = |first: u32| Some(LinkGroup(Arc::from(format!("{group}:{first}"))));
    let member = pack.index.members.get(usize::try_from(number).ok()?)?;
    Some(match &member.kind {
        MemberKind::Directory => Kind::Directory,
        MemberKind::File { .. } => {
            let link = if linked.contains(&number) { link(number) } else { None };
            Kind::File { content: pack.content(digest, number)?, link }
        }
        MemberKind::Hardlink(first) => Kind::File { content: pack.content(digest, number)?, link: link(*first) },
        MemberKind::Symlink(target) => Kind::Symlink(target.clone()),
        MemberKind::Device { kind, major, minor } => Kind::Device { kind: *kind, major: *major, minor: *minor },
        MemberKind::Fifo => Kind::Fifo,
    })
}
