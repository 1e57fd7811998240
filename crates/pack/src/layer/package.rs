//! Packages into the tree, as dpkg would have unpacked them into an empty root.

use super::usr_merge::{merge_path, usr_merge_links};
use crate::{MemberKind, Pack};
use kiln_profile::Diversion;
use kiln_tree::{Digest, FileTree, Kind, LinkGroup, PathError, TreeError, TreePath};
use std::collections::BTreeSet;
use std::sync::Arc;

mod unpack;

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
         or add to the profile: diversions: {{/{path}: {{to: /{path}.{second}, by: {first}}}}}"
    )]
    Conflict {
        /// The path.
        path: TreePath,
        /// The package unpacked first.
        first: String,
        /// The other.
        second: String,
    },
    /// A package wants something else where others have a directory, or a directory where another has something else.
    #[error(
        "/{path} is a directory of {directory} and a {kind} of {other}; exclude one of the packages, or add to the profile: \
         diversions: {{/{path}: {{to: /{path}.{other}}}}}"
    )]
    Directory {
        /// The path.
        path: TreePath,
        /// Who has (or wants) the directory.
        directory: String,
        /// What the other has (or wants).
        kind: &'static str,
        /// The other package.
        other: String,
    },
    /// A package ships one file of a merged tree under two names.
    #[error(
        "package {package} ships both /{first} and /{second}, which are one path in an image (usr-merge); take another version \
         of the package, or exclude it"
    )]
    Alias {
        /// The package.
        package: String,
        /// The name it ships first.
        first: TreePath,
        /// The other name.
        second: TreePath,
    },
    /// A path goes through something that is not a directory.
    #[error("package {package}: {source}; exclude one of the packages, or divert the path (diversions in the profile)")]
    Tree {
        /// The package.
        package: String,
        /// What is in the way.
        source: TreeError,
    },
    /// Links lead to a path that cannot be.
    #[error("package {package}: {source}")]
    Path {
        /// The package.
        package: String,
        /// What is wrong with it.
        source: PathError,
    },
}

/// Unpacks `packages` one after another into an empty tree with the usr-merge links.
///
/// Conflicts follow dpkg (its `tarobject()`; `tests/it/layers` compares the trees):
/// - directories are shared, and the first package to ship one decides its metadata;
/// - a package that `Replaces` another takes over its files whichever comes first; if both replace each other, the later wins;
/// - a diverted path moves unless its package is the diverter;
/// - a link to a directory in a directory's place, and a directory in the place of a link to one, change nothing;
///   paths below such a link are where it leads;
/// - anything else that is in two packages is an error, even with the same bytes.
///
/// Where it differs, it refuses what dpkg lets happen: two spellings of one path on a merged tree (`/bin/x`, `/usr/bin/x`) in two packages, a
/// file in place of a directory that has contents. Owners are the archive's numbers, never names looked up on this machine; PAX headers
/// are read; missing parents are made; a diversion counts for both spellings of its path (dpkg diverts the one it has), and not for
/// directories (dpkg breaks on a diverted one).
///
/// # Errors
/// [`PackageError`].
pub fn lay_packages(packages: &[Packed<'_>], diversions: &[Diversion]) -> Result<FileTree, PackageError> {
    let mut unpacker = unpack::Unpacker::new(diversions);
    for package in packages {
        unpacker.unpack(package)?;
    }
    let mut tree = unpacker.finish();
    usr_merge_links(&mut tree).map_err(|source| PackageError::Tree { package: "usr-merge".into(), source })?;
    Ok(tree)
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

/// The diversions with both ends usr-merged.
fn merged(diversions: &[Diversion]) -> Vec<Diversion> {
    let merge = |diversion: &Diversion| Diversion {
        from: merge_path(diversion.from.clone()),
        to: merge_path(diversion.to.clone()),
        by: diversion.by.clone(),
    };
    diversions.iter().map(merge).collect()
}
