//! Layers of the tree, bottom to top: packages, artifacts, rendered files, overlays.
//!
//! Each layer is a function from the tree below it to the tree that includes it. Two sources that
//! write the same path are an error unless one declares that it replaces the other.

mod artifact;
mod overlay;
mod package;
mod prune;
mod usr_merge;

pub use artifact::{ArtifactError, lay_artifact};
pub use overlay::{Overlay, OverlayError, lay_overlay};
pub use package::{PackageError, Packed, lay_packages};
pub use prune::{PruneError, prune, remove_paths};
pub use usr_merge::{merge_path, usr_merge_links};

use kiln_tree::{Entry, FileTree, Origin, TreeError, TreePath};

/// Why an entry cannot be laid over the tree.
#[derive(Debug, thiserror::Error)]
pub enum LayerError {
    /// Two sources have the path and neither declares that it replaces the other.
    #[error("/{path} is in {new} and in {old}; {remedy}")]
    Conflict {
        /// The path.
        path: TreePath,
        /// The new source.
        new: Origin,
        /// The source that has it.
        old: Origin,
        /// The remedy.
        remedy: &'static str,
    },
    /// The tree cannot hold it.
    #[error(transparent)]
    Tree(#[from] TreeError),
}

/// Lays `entries` over `tree`. Directories merge (the tree's metadata stays), also with links to
/// directories; equal contents are not a conflict; a path is only replaced where `may_replace`
/// allows it.
/// conflict; and a path is only replaced where `may_replace` says so.
///
/// # Errors
/// [`LayerError`].
pub fn lay(
    tree: &mut FileTree,
    entries: Vec<(TreePath, Entry)>,
    remedy: &'static str,
    may_replace: impl Fn(&TreePath, &Entry) -> bool,
) -> Result<(), LayerError> {
    for (path, entry) in entries {
        if entry.is_dir() && is_link_to_directory(tree, &path) {
            continue;
        }
        if let Some(old) = tree.get(path.as_str())
            && !may_replace(&path, old)
        {
            if entry.is_dir() && old.is_dir() || entry.kind == old.kind {
                continue;
            }
            let (new, old) = (entry.meta.origin, old.meta.origin.clone());
            return Err(LayerError::Conflict { path, new, old, remedy });
        }
        tree.insert(path, entry)?;
    }
    Ok(())
}

fn is_link_to_directory(tree: &FileTree, path: &TreePath) -> bool {
    tree.get(path.as_str()).is_some_and(|entry| entry.link_target().is_some())
        && tree.resolve(path.as_str()).is_some_and(|(_, there)| there.is_dir())
}
