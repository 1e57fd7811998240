//! The links of update-alternatives(1): `LINK` → `/etc/alternatives/NAME` → target.
//!
//! The profile gives the target of each link. Of the tool's state only the links are made: its
//! administrative files (`/var/lib/dpkg/alternatives/NAME`) record priorities and competitors for
//! the next package that is installed or removed, and no node installs or removes packages.

use super::Finalizer;
use super::input::{self, OutputError};
use kiln_profile::{AboutProfile, Alternative, Key, fields};
use kiln_tree::{Entry, FileTree, Kind, Origin, TreePath};
use std::collections::BTreeMap;

pub(crate) const FINALIZER: Finalizer = Finalizer { name: "alternatives", reads: &[] };
const DIR: &str = "etc/alternatives";

/// Why a link cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum AlternativesError {
    /// The name is not a file name.
    #[error("{}: {name:?} is not a name for a link in /{DIR}: it is empty, or has a slash or blank", key(link))]
    Name {
        /// The link.
        link: TreePath,
        /// The name.
        name: String,
    },
    /// The target is missing.
    #[error(
        "{}: the target {target} is not in the tree: add the package that has it, or choose another target",
        key(link)
    )]
    NoTarget {
        /// The link.
        link: TreePath,
        /// The target.
        target: String,
    },
    /// Something other than a link exists at the link's path.
    #[error("{}: a {kind} of {origin} already exists and is not replaced by a link", key(link))]
    Occupied {
        /// The link.
        link: TreePath,
        /// What is there.
        kind: &'static str,
        /// The origin of the existing entry.
        origin: Origin,
    },
    /// Two links give one name different targets.
    #[error("{}: {name:?} has the target {target} here and {other} for another link", key(link))]
    Contradiction {
        /// The link.
        link: TreePath,
        /// The name.
        name: String,
        /// The target of this link.
        target: String,
        /// The target of the other link.
        other: String,
    },
    /// A link cannot be put into the tree.
    #[error(transparent)]
    Output(#[from] OutputError),
}

/// The key of the link's target.
fn key(link: &TreePath) -> Key {
    fields::ALTERNATIVE.of(format_args!("/{link}"))
}

impl AboutProfile for AlternativesError {
    fn key(&self) -> Option<Key> {
        match self {
            Self::NoTarget { link, .. } => Some(key(link)),
            Self::Name { link, .. } | Self::Occupied { link, .. } | Self::Contradiction { link, .. } => {
                Some(key(link).at_name())
            }
            Self::Output(_) => None,
        }
    }
}

/// Makes the profile's alternatives.
///
/// # Errors
/// [`AlternativesError`].
pub fn finalize(tree: &mut FileTree, alternatives: &BTreeMap<TreePath, Alternative>) -> Result<(), AlternativesError> {
    let mut targets: BTreeMap<&str, &str> = BTreeMap::new();
    for (link, Alternative { name, target }) in alternatives {
        if name.is_empty() || name.contains(|c: char| c == '/' || c.is_whitespace()) {
            return Err(AlternativesError::Name { link: link.clone(), name: name.clone() });
        }
        if let Some(other) = targets.insert(name, target).filter(|other| other != target) {
            let (name, target, other) = (name.clone(), target.clone(), other.to_owned());
            return Err(AlternativesError::Contradiction { link: link.clone(), name, target, other });
        }
        if !target.starts_with('/') || tree.resolve(target).is_none() {
            return Err(AlternativesError::NoTarget { link: link.clone(), target: target.clone() });
        }
        if let Some(entry) = tree.get(link.as_str()).filter(|entry| !matches!(entry.kind, Kind::Symlink(_))) {
            let (kind, origin) = (entry.kind.name(), entry.meta.origin.clone());
            return Err(AlternativesError::Occupied { link: link.clone(), kind, origin });
        }
        let origin = FINALIZER.origin();
        let named = format!("{DIR}/{name}");
        input::put(tree, link.as_str(), Entry::symlink(format!("/{named}"), origin.clone()))?;
        input::put(tree, &named, Entry::symlink(target.as_str(), origin))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> FileTree {
        let mut tree = FileTree::new();
        let file = || Entry::file("", 0o755, Origin::Package("iptables=1".into()));
        input::put(&mut tree, "usr/sbin/iptables-nft", file()).expect("a free path");
        input::put(&mut tree, "usr/sbin/file", file()).expect("a free path");
        input::put(&mut tree, "sbin", Entry::symlink("usr/sbin", Origin::Generated("test".into())))
            .expect("a free path");
        tree
    }

    fn one(link: &str, name: &str, target: &str) -> BTreeMap<TreePath, Alternative> {
        let link = TreePath::new(link).expect("a path");
        BTreeMap::from([(link, Alternative { name: name.into(), target: target.into() })])
    }

    #[test]
    fn a_link_goes_through_etc_alternatives() {
        let mut tree = tree();
        finalize(&mut tree, &one("usr/sbin/iptables", "iptables", "/sbin/iptables-nft")).expect("made");
        assert_eq!(tree.resolve("sbin/iptables").map(|(path, _)| path.as_str()), Some("usr/sbin/iptables-nft"));
        assert_eq!(tree.get("usr/sbin/iptables").and_then(Entry::link_target), Some("/etc/alternatives/iptables"));
    }

    #[test]
    fn mistakes_are_rejected() {
        let message = |alternatives| finalize(&mut tree(), &alternatives).expect_err("rejected").to_string();
        assert_eq!(
            message(one("usr/sbin/x", "x", "/usr/sbin/none")),
            "alternatives./usr/sbin/x: the target /usr/sbin/none is not in the tree: add the package that has it, or choose another target"
        );
        assert_eq!(
            message(one("usr/sbin/file", "x", "/usr/sbin/iptables-nft")),
            "alternatives./usr/sbin/file: a file of package iptables=1 already exists and is not replaced by a link"
        );
        assert!(message(one("usr/sbin/x", "a/b", "/usr/sbin/file")).contains("is not a name for a link"));
        let mut two = one("usr/sbin/x", "x", "/usr/sbin/file");
        two.extend(one("usr/sbin/y", "x", "/usr/sbin/iptables-nft"));
        assert!(
            message(two).contains("has the target /usr/sbin/iptables-nft here and /usr/sbin/file for another link")
        );
    }
}
