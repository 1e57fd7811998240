//! dpkg's rules for paths that exist already.

use super::super::usr_merge::{is_merged_top, merge_path};
use super::{PackageError, Packed, kind_of, merged};
use crate::{Member, MemberKind};
use kiln_profile::Diversion;
use kiln_tree::{Entry, FileTree, Kind, LinkGroup, Metadata, Origin, TreeError, TreePath};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A tree into which packages are unpacked.
pub(super) struct Unpacker<'a> {
    tree: FileTree,
    diversions: Vec<Diversion>,
    /// The packages that ship each path of the tree: first the package of the entry, then packages
    /// that share a directory.
    owners: BTreeMap<TreePath, Vec<&'a Packed<'a>>>,
}

/// What happens to a member.
enum Verdict {
    /// It is added to the tree.
    Lay,
    /// The existing entry stays.
    Keep,
}

/// The members that one package has added so far.
#[derive(Default)]
struct Laid {
    /// The archive's spelling of paths that were moved in the tree.
    spellings: BTreeMap<TreePath, TreePath>,
    /// The names of files with several names, by the number of the first.
    names: BTreeMap<u32, Vec<TreePath>>,
}

impl<'a> Unpacker<'a> {
    pub(super) fn new(diversions: &[Diversion]) -> Self {
        Self { tree: FileTree::new(), diversions: merged(diversions), owners: BTreeMap::new() }
    }

    pub(super) fn finish(self) -> FileTree {
        self.tree
    }

    pub(super) fn unpack(&mut self, package: &'a Packed<'a>) -> Result<(), PackageError> {
        let origin = Origin::Package(format!("{}={}", package.name, package.version).into());
        let linked = package.pack.index.linked();
        let mut laid = Laid::default();
        for (number, member) in (0..).zip(&package.pack.index.members) {
            if is_merged_top(&member.path) {
                continue;
            }
            let path = self.place(package, member)?;
            let Some(mut entry) = entry_of(package, number, member, &linked, &origin) else { continue };
            if let MemberKind::Hardlink(first) = member.kind {
                self.link(&mut entry, package, first, &laid);
            }
            match self.judge(&path, &entry, package, member, &laid)? {
                Verdict::Lay => self.lay(path, entry, package, number, member, &mut laid)?,
                Verdict::Keep => {
                    if entry.is_dir() {
                        self.owners.entry(path.clone()).or_default().push(package);
                    }
                    if linked.contains(&number) {
                        laid.names.entry(number).or_default().push(path);
                    }
                }
            }
        }
        Ok(())
    }

    /// The path of `member` in the tree: usr-merged, diverted, and with links in it followed.
    fn place(&self, package: &Packed<'_>, member: &Member) -> Result<TreePath, PackageError> {
        let path = merge_path(member.path.clone());
        let is_diverted =
            |diversion: &&Diversion| diversion.from == path && diversion.by.as_deref() != Some(package.name);
        if member.kind != MemberKind::Directory
            && let Some(diversion) = self.diversions.iter().find(is_diverted)
        {
            return self.follow(diversion.to.clone(), package);
        }
        self.follow(path, package)
    }

    /// `path` with the links in it followed.
    fn follow(&self, mut path: TreePath, package: &Packed<'_>) -> Result<TreePath, PackageError> {
        let is_dir = |parent: &str| self.tree.get(parent).is_some_and(Entry::is_dir);
        while path.parent().is_some_and(|parent| !is_dir(parent)) {
            let there = path.ancestors().find_map(|parent| Some((parent, self.tree.get(parent)?)));
            let Some((link, entry)) = there.filter(|(_, entry)| !entry.is_dir()) else { break };
            let found = self.tree.resolve(link).filter(|(_, entry)| entry.is_dir());
            // An archive has no reason to write through its own link, so this is treated as an
            // attack.
            let Some((directory, _)) = found.filter(|_| !self.is_own(link, package)) else {
                let source = TreeError::ParentNotDirectory {
                    parent: TreePath::new(link).unwrap_or_else(|_| path.clone()),
                    kind: entry.kind.name(),
                    origin: entry.meta.origin.clone(),
                    path,
                };
                return Err(PackageError::Tree { package: package.name.to_owned(), source });
            };
            let target = directory.join(&path.as_str()[link.len()..]);
            path = target.map_err(|source| PackageError::Path { package: package.name.to_owned(), source })?;
        }
        Ok(path)
    }

    /// Whether the entry at `path` is from `package`.
    fn is_own(&self, path: &str, package: &Packed<'_>) -> bool {
        self.owners.get(path).and_then(|owners| owners.first()).is_some_and(|owner| owner.name == package.name)
    }

    fn judge(
        &self,
        path: &TreePath,
        new: &Entry,
        package: &Packed<'_>,
        member: &Member,
        laid: &Laid,
    ) -> Result<Verdict, PackageError> {
        let Some(old) = self.tree.get(path.as_str()) else { return Ok(Verdict::Lay) };
        let own = !old.is_dir() && self.is_own(path.as_str(), package);
        let first = laid.spellings.get(path).unwrap_or(path);
        if own && *first != member.path {
            let (first, second) = (first.clone(), member.path.clone());
            return Err(PackageError::Alias { package: package.name.to_owned(), first, second });
        }
        let leads_to_directory =
            || self.tree.resolve(path.as_str()).filter(|(_, entry)| entry.is_dir()).map(|(path, _)| path);
        let unchanged = match (&new.kind, &old.kind) {
            (Kind::Directory | Kind::Symlink(_), Kind::Directory) => true,
            // Within one package, the later member wins.
            _ if own => return Ok(Verdict::Lay),
            (Kind::Directory, Kind::Symlink(_)) => leads_to_directory().is_some(),
            (Kind::Symlink(target), Kind::Symlink(_)) => leads_to_directory()
                .is_some_and(|there| self.target(path, target).is_some_and(|(other, _)| other == there)),
            _ => false,
        };
        if unchanged {
            return Ok(Verdict::Keep);
        }
        self.takes_over(path, new, old, package)
    }

    /// The entry that a link at `path` to `target` would lead to.
    fn target(&self, path: &TreePath, target: &str) -> Option<(&TreePath, &Entry)> {
        let from = if target.starts_with('/') { "" } else { path.parent().unwrap_or("") };
        self.tree.resolve(&format!("{from}/{target}"))
    }

    /// Applies `Replaces` between `new` and all packages that ship `old`.
    fn takes_over(
        &self,
        path: &TreePath,
        new: &Entry,
        old: &Entry,
        package: &Packed<'_>,
    ) -> Result<Verdict, PackageError> {
        let replaces = |a: &Packed<'_>, b: &Packed<'_>| a.replaces.iter().any(|name| name == b.name);
        let mut verdict = Verdict::Lay;
        for owner in self.owners.get(path).into_iter().flatten().filter(|owner| owner.name != package.name) {
            if replaces(package, owner) {
                continue;
            }
            if replaces(owner, package) {
                verdict = Verdict::Keep;
                continue;
            }
            let (first, second) = (owner.name.to_owned(), package.name.to_owned());
            return Err(match (old.is_dir(), new.is_dir()) {
                (true, _) => PackageError::Directory {
                    path: path.clone(),
                    directory: first,
                    kind: new.kind.name(),
                    other: second,
                },
                (_, true) => PackageError::Directory {
                    path: path.clone(),
                    directory: second,
                    kind: old.kind.name(),
                    other: first,
                },
                _ => PackageError::Conflict { path: path.clone(), first, second },
            });
        }
        Ok(verdict)
    }

    fn lay(
        &mut self,
        path: TreePath,
        entry: Entry,
        package: &'a Packed<'a>,
        number: u32,
        member: &Member,
        laid: &mut Laid,
    ) -> Result<(), PackageError> {
        let first = match (&entry.kind, &member.kind) {
            (_, MemberKind::Hardlink(first)) => Some(*first),
            (Kind::File { link: Some(_), .. }, _) => Some(number),
            _ => None,
        };
        if let Some(first) = first {
            let names = laid.names.entry(first).or_default();
            // One inode has one set of metadata; tar(1) and dpkg apply the metadata of every
            // member, so the last wins.
            for name in names.iter() {
                if let Some(other) = self.tree.get_mut(name.as_str()) {
                    other.meta = Metadata { origin: other.meta.origin.clone(), ..entry.meta.clone() };
                }
            }
            names.push(path.clone());
        }
        if !entry.is_dir() && path != member.path {
            laid.spellings.insert(path.clone(), member.path.clone());
        }
        self.owners.insert(path.clone(), vec![package]);
        self.tree
            .insert(path, entry)
            .map_err(|source| PackageError::Tree { package: package.name.to_owned(), source })?;
        Ok(())
    }

    /// A hard link whose first name was taken by a package that replaces this one becomes a link to
    /// the existing file.
    fn link(&mut self, entry: &mut Entry, package: &Packed<'_>, first: u32, laid: &Laid) {
        let Some(path) = laid.names.get(&first).and_then(|names| names.first()) else { return };
        if self.is_own(path.as_str(), package) {
            return;
        }
        let Some(there) = self.tree.get_mut(path.as_str()) else { return };
        if let Kind::File { link, .. } = &mut there.kind {
            link.get_or_insert_with(|| LinkGroup(Arc::from(format!("{}:{first}", package.name))));
            entry.kind = there.kind.clone();
            entry.meta.xattrs.clone_from(&there.meta.xattrs);
        }
    }
}

fn entry_of(
    package: &Packed<'_>,
    number: u32,
    member: &Member,
    linked: &BTreeSet<u32>,
    origin: &Origin,
) -> Option<Entry> {
    let meta = Metadata {
        mode: member.mode,
        uid: member.uid,
        gid: member.gid,
        mtime: member.mtime,
        xattrs: member.xattrs.clone(),
        origin: origin.clone(),
    };
    let kind = kind_of(package.pack, package.digest, number, linked, package.name)?;
    Some(Entry { kind, meta })
}
