//! Adds packages to the tree as dpkg would unpack them into an empty root.

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
    /// Its contents.
    pub pack: &'a Pack,
    /// The names of packages whose files it may replace (`Replaces`, already checked against their
    /// versions).
    pub replaces: &'a [String],
}

/// Why packages conflict.
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
    /// A path is a directory in some packages and something else in another.
    #[error(
        "/{path} is a directory of {directory} and a {kind} of {other}; exclude one of the packages, or add to the profile: \
         diversions: {{/{path}: {{to: /{path}.{other}}}}}"
    )]
    Directory {
        /// The path.
        path: TreePath,
        /// The package with the directory.
        directory: String,
        /// The type in the other package.
        kind: &'static str,
        /// The other package.
        other: String,
    },
    /// A package ships one path of a usr-merged tree under two names.
    #[error(
        "package {package} ships both /{first} and /{second}, which are one path in an image (usr-merge); use another version \
         of the package, or exclude it"
    )]
    Alias {
        /// The package.
        package: String,
        /// The first name.
        first: TreePath,
        /// The other name.
        second: TreePath,
    },
    /// A path goes through something that is not a directory.
    #[error("package {package}: {source}; exclude one of the packages, or divert the path (diversions in the profile)")]
    Tree {
        /// The package.
        package: String,
        /// The obstacle.
        source: TreeError,
    },
    /// Links lead to an invalid path.
    #[error("package {package}: {source}")]
    Path {
        /// The package.
        package: String,
        /// The defect.
        source: PathError,
    },
}

/// Unpacks `packages` one after another into an empty tree with the usr-merge links.
///
/// Conflicts follow dpkg (its `tarobject()`; `tests/it/layers` compares the trees):
/// - directories are shared, and the first package to ship one decides its metadata;
/// - a package that `Replaces` another gets its files in any order; if both replace each other, the
///   later package wins;
/// - a diverted path moves unless its package is the diverter;
/// - a link to a directory at the path of a directory, and a directory at the path of a link to a
///   directory, change nothing; paths below such a link are moved to its target;
/// - any other path in two packages is an error, even with equal bytes.
///
/// It rejects some cases that dpkg accepts: two spellings of one path on a merged tree (`/bin/x`,
/// `/usr/bin/x`) in two packages, and a file in place of a directory that has contents. Owners are
/// the archive's numbers; names are never looked up on this machine. PAX headers are read, and
/// missing parents are added. A diversion applies to both spellings of its path (dpkg diverts only
/// the one that it names) and not to directories (dpkg fails on a diverted directory).
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

/// The tree's kind for member `number`. `linked` contains the members that other members are hard
/// links to; link groups are named after `group` and the number of the first name.
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

/// The diversions with both paths usr-merged.
fn merged(diversions: &[Diversion]) -> Vec<Diversion> {
    let merge = |diversion: &Diversion| Diversion {
        from: merge_path(diversion.from.clone()),
        to: merge_path(diversion.to.clone()),
        by: diversion.by.clone(),
    };
    diversions.iter().map(merge).collect()
}
