//! Adds artifacts of the Kubernetes release and others to the tree.

use super::package::kind_of;
use super::usr_merge::{is_merged_top, merge_path};
use super::{LayerError, lay};
use crate::Pack;
use kiln_profile::{Artifact, ArtifactFormat, TarMember};
use kiln_tree::{Digest, Entry, FileTree, Kind, Metadata, Origin, PathError, TreePath};
use std::collections::BTreeMap;

/// Why an artifact cannot be added.
#[derive(Debug, thiserror::Error)]
pub enum ArtifactError {
    /// The archive has no such member.
    #[error(
        "artifact {artifact}: its archive has no member {member:?} to extract (it has {found}); correct \"extract\" in the profile or release"
    )]
    Missing {
        /// The artifact.
        artifact: String,
        /// The requested member.
        member: String,
        /// Some of its members.
        found: String,
    },
    /// A destination that is not a path.
    #[error("artifact {artifact}: {source}")]
    Path {
        /// The artifact.
        artifact: String,
        /// The cause.
        source: PathError,
    },
    /// Something else is at its destination.
    #[error("artifact {artifact}: {source}{}", advice(source))]
    Layer {
        /// The artifact.
        artifact: String,
        /// The cause.
        source: LayerError,
    },
}

impl ArtifactError {
    /// The artifact's name.
    pub fn artifact(&self) -> &str {
        match self {
            Self::Missing { artifact, .. } | Self::Path { artifact, .. } | Self::Layer { artifact, .. } => artifact,
        }
    }
}

/// The remedy for a path that leads through a file; a conflict has its own remedy.
fn advice(error: &LayerError) -> &'static str {
    match error {
        LayerError::Tree(_) => "; give it another destination",
        LayerError::Conflict { .. } => "",
    }
}

/// Lays `artifact`, opened as `pack`, over `tree`; its files belong to root. Where a package has
/// the same path, the artifact replaces it: a profile names an artifact exactly to use it instead.
/// Existing directories keep their metadata, whatever mode the archive has for them. Destinations
/// below `/bin`, `/sbin` and `/lib*` are moved to `/usr`.
///
/// # Errors
/// [`ArtifactError`].
pub fn lay_artifact(
    tree: &mut FileTree,
    artifact: &Artifact,
    digest: Digest,
    pack: &Pack,
) -> Result<(), ArtifactError> {
    let origin = Origin::Artifact(format!("{}={}", artifact.name, artifact.version).into());
    let entries = match &artifact.format {
        ArtifactFormat::Raw { destination, mode } => {
            let meta = Metadata::new(*mode, origin);
            pack.content(digest, 0)
                .map(|content| (destination.clone(), Entry { kind: Kind::File { content, link: None }, meta }))
                .into_iter()
                .collect()
        }
        ArtifactFormat::Tar { members } => {
            let mut entries = Vec::new();
            for member in members {
                take(&mut entries, artifact, member, digest, pack, &origin)?;
            }
            entries
        }
        // Laid together with the packages, by the rules for packages.
        ArtifactFormat::Deb => Vec::new(),
    };
    let entries = entries
        .into_iter()
        .filter(|(path, entry)| !(entry.is_dir() && is_merged_top(path)))
        .map(|(path, entry)| (merge_path(path), entry))
        .collect();
    let replaceable = |_: &TreePath, old: &Entry| !old.is_dir() && matches!(old.meta.origin, Origin::Package(_));
    lay(tree, entries, "give one of them another destination", replaceable)
        .map_err(|source| ArtifactError::Layer { artifact: artifact.name.clone(), source })
}

fn take(
    entries: &mut Vec<(TreePath, Entry)>,
    artifact: &Artifact,
    wanted: &TarMember,
    digest: Digest,
    pack: &Pack,
    origin: &Origin,
) -> Result<(), ArtifactError> {
    let member = wanted.member.trim_start_matches("./").trim_matches('/');
    let member = if member == "." { "" } else { member };
    let before = entries.len();
    let linked = pack.index.linked();
    for (number, found) in pack.index.members.iter().enumerate() {
        let path = found.path.as_str();
        let destination = if path == member {
            Ok(wanted.destination.clone())
        } else if member.is_empty() {
            wanted.destination.join(path)
        } else if let Some(rest) = path.strip_prefix(member).and_then(|rest| rest.strip_prefix('/')) {
            wanted.destination.join(rest)
        } else {
            continue;
        };
        let destination =
            destination.map_err(|source| ArtifactError::Path { artifact: artifact.name.clone(), source })?;
        let number = u32::try_from(number).unwrap_or(u32::MAX);
        let Some(kind) = kind_of(pack, digest, number, &linked, &artifact.name) else { continue };
        let meta = Metadata {
            uid: 0,
            gid: 0,
            mode: found.mode,
            mtime: found.mtime,
            xattrs: BTreeMap::new(),
            origin: origin.clone(),
        };
        entries.push((destination, Entry { kind, meta }));
    }
    if entries.len() == before {
        let found: Vec<&str> = pack.index.members.iter().take(8).map(|member| member.path.as_str()).collect();
        return Err(ArtifactError::Missing {
            artifact: artifact.name.clone(),
            member: wanted.member.clone(),
            found: if found.is_empty() { "nothing".into() } else { found.join(", ") },
        });
    }
    Ok(())
}
