//! Makes the finished tree from a locked profile and its fetched inputs.

use crate::lock::{Fetched, InputRole, Locked, LockedInput};
use kiln_cache::Cache;
use kiln_finalize::{self, FinalizeError};
use kiln_manifest::InputRecord;
use kiln_manifest::Pruned;
use kiln_pack::layer::{
    self, ArtifactError, LayerError, Overlay, OverlayError, PackageError, PruneError, lay_artifact, lay_overlay, prune,
};
use kiln_pack::{Input, InputFormat, PackError, Packer, Store};
use kiln_profile::{AboutProfile, ArtifactFormat, Place, Profile};
use kiln_progress::{Progress, Unit};
use kiln_render::{self, KubeletFileError, RenderError};
use kiln_source::deb::control::ControlError;
use kiln_source::deb::dependency::RelationError;
use kiln_tree::{Digest, FileTree, Origin};
use std::collections::BTreeMap;

pub mod images;
pub mod lock;
pub mod packages;

use images::ImageError;
use packages::Deb;

/// A finished tree and what it was made from.
#[derive(Debug)]
pub struct Baked {
    /// The complete root file system.
    pub tree: FileTree,
    /// Contents of its files.
    pub store: Store,
    /// What was removed, by prune rule.
    pub pruned: BTreeMap<String, Pruned>,
    /// All inputs.
    pub inputs: Vec<InputRecord>,
    /// Overlays that make an image unfit for production, and the reasons.
    pub not_for_production: BTreeMap<String, String>,
}

/// Why a tree cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum BakeError {
    /// An input is not among the fetched files.
    #[error("{name} with sha256 {digest} was not fetched; this is a bug in kiln")]
    NotFetched {
        /// The input.
        name: String,
        /// Its digest.
        digest: Digest,
    },
    /// An input is damaged.
    #[error(transparent)]
    Pack(#[from] PackError),
    /// A package's control file is malformed.
    #[error("package {package}: its control file: {source}")]
    Control {
        /// The package.
        package: String,
        /// What is wrong.
        source: ControlError,
    },
    /// A package is not the one that the lock names.
    #[error(
        "the lock names {locked}, but the package with its sha256 {digest} is {found}; run \"kiln lock\" to pin what the archive has"
    )]
    NotTheLocked {
        /// The lock's name, version and architecture.
        locked: String,
        /// Those in the package's control file.
        found: String,
        /// The package's digest.
        digest: Digest,
    },
    /// A package's `Replaces` is malformed.
    #[error("package {package}: Replaces: {source}")]
    Replaces {
        /// The package.
        package: String,
        /// What is wrong.
        source: RelationError,
    },
    /// Packages conflict.
    #[error(transparent)]
    Package(#[from] PackageError),
    /// An artifact cannot be laid into the tree.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// A container image cannot be preloaded.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The node's configuration cannot be rendered.
    #[error(transparent)]
    Render(#[from] RenderError),
    /// Rendered files conflict with others.
    #[error(transparent)]
    Layer(#[from] LayerError),
    /// An overlay cannot be laid into the tree.
    #[error(transparent)]
    Overlay(#[from] OverlayError),
    /// A file for kubelet is invalid.
    #[error(transparent)]
    KubeletFile(#[from] KubeletFileError),
    /// A prune rule is invalid.
    #[error(transparent)]
    Prune(#[from] PruneError),
    /// A finalizer failed.
    #[error(transparent)]
    Finalize(#[from] FinalizeError),
    /// A setting of the profile turned out to be wrong.
    #[error("{place}: {source}")]
    Profile {
        /// The place in the profile.
        place: Place,
        /// What is wrong.
        source: Box<BakeError>,
    },
}

impl BakeError {
    /// Adds the place of the key in `profile` that the error is about, if any.
    fn placed(self, profile: &Profile) -> Self {
        let key = match &self {
            Self::Artifact(error) => {
                let key = profile.artifact_key(error.artifact());
                Some(if matches!(error, ArtifactError::Missing { .. }) { key.below("extract") } else { key })
            }
            Self::Image(error) => error.image().map(|name| profile.image_key(name)),
            Self::Render(error) => error.key(),
            Self::Finalize(error) => error.key(),
            _ => None,
        };
        match key {
            Some(key) => Self::Profile { place: profile.places.nearest(&key), source: Box::new(self) },
            None => self,
        }
    }
}

/// Makes the tree of `locked` from `files`, the files of its inputs, and `overlays`, the contents
/// of the profile's overlays.
///
/// # Errors
/// [`BakeError`].
pub fn bake(
    locked: &Locked,
    files: &Fetched,
    overlays: Vec<Overlay>,
    cache: &Cache,
    threads: usize,
    progress: &Progress,
) -> Result<Baked, BakeError> {
    bake_unplaced(locked, files, overlays, cache, threads, progress).map_err(|error| error.placed(locked.profile()))
}

/// Like [`bake`], but its errors do not have the place in the profile yet.
fn bake_unplaced(
    locked: &Locked,
    files: &Fetched,
    overlays: Vec<Overlay>,
    cache: &Cache,
    threads: usize,
    progress: &Progress,
) -> Result<Baked, BakeError> {
    let (profile, lock) = (locked.profile(), locked.lock());
    let inputs = locked.inputs();
    let opened = inputs.iter().map(|input| file_of(input, files)).collect::<Result<Vec<_>, _>>()?;
    let phase = progress.phase("unpack", Unit::Bytes, opened.iter().map(|input| input.size).sum());
    let mut store = Packer::new(cache, threads, &kiln_finalize::reads()).open(&opened, &|bytes| phase.inc(bytes))?;
    phase.finish();

    let phase = progress.phase("assemble", Unit::Items, 0);
    let mut records = Vec::new();
    let mut tree = unpack(&inputs, &store, profile)?;
    for input in &inputs {
        match input.role {
            InputRole::Package(_) => records.push(record("package", input.name, input.version, input.digest)),
            InputRole::Artifact(artifact) => {
                if let Some(pack) = store.pack(&input.digest) {
                    lay_artifact(&mut tree, artifact, input.digest, pack)?;
                }
                records.push(record("artifact", input.name, input.version, input.digest));
            }
            // A container image is recorded as a whole.
            InputRole::ImageArchive(_) | InputRole::ImageProgram(_) | InputRole::ImagePart(..) => {}
        }
    }
    records.extend(images::lay(&mut tree, locked, &mut store, cache)?);
    let rendered = kiln_render::render(profile, &tree)?;
    let remedy = "set \"replace: true\" on the file in the profile if it should replace the other";
    layer::lay(&mut tree, rendered, remedy, |_, old| {
        matches!(old.meta.origin, Origin::Package(_) | Origin::Artifact(_))
    })?;
    let mut not_for_production = BTreeMap::new();
    for overlay in overlays {
        records.push(record("overlay", &overlay.name, "", overlay.digest()));
        if let Some(reason) = &overlay.not_for_production {
            not_for_production.insert(overlay.name.clone(), reason.clone());
        }
        lay_overlay(&mut tree, overlay)?;
    }
    kiln_render::check_kubelet_files(&tree, profile, &store)?;
    let mut pruned = kiln_finalize::finalize(&mut tree, profile, lock.epoch, &store, cache, progress)?;
    pruned.extend(prune(&mut tree, &profile.prune)?);
    phase.finish();
    Ok(Baked { tree, store, pruned, inputs: records, not_for_production })
}

fn unpack(inputs: &[LockedInput<'_>], store: &Store, profile: &Profile) -> Result<FileTree, BakeError> {
    let debs = inputs
        .iter()
        .filter(|input| format_of(input) == InputFormat::Deb)
        .filter_map(|input| {
            let LockedInput { name, version, digest, role, .. } = *input;
            let locked_for = matches!(role, InputRole::Package(_)).then_some(profile.arch);
            Some(Deb { name, version, digest, pack: store.pack(&digest)?, locked_for })
        })
        .collect();
    packages::unpack(debs, &profile.diversions)
}

/// Returns the file of `input`, ready to be opened.
fn file_of(input: &LockedInput<'_>, files: &Fetched) -> Result<Input, BakeError> {
    let absent = || BakeError::NotFetched { name: input.title(), digest: input.digest };
    let path = files.get(&input.digest).ok_or_else(absent)?;
    Ok(Input {
        name: input.title(),
        digest: input.digest,
        path: path.clone(),
        // Used only for progress and scheduling; a missing file is an error when it is opened.
        size: std::fs::metadata(path).map_or(0, |metadata| metadata.len()),
        format: format_of(input),
    })
}

fn format_of(input: &LockedInput<'_>) -> InputFormat {
    match input.role {
        InputRole::Package(_) => InputFormat::Deb,
        InputRole::Artifact(artifact) => match artifact.format {
            ArtifactFormat::Raw { .. } => InputFormat::Raw,
            ArtifactFormat::Tar { .. } => InputFormat::Tar,
            ArtifactFormat::Deb => InputFormat::Deb,
        },
        InputRole::ImageArchive(_) => InputFormat::Tar,
        InputRole::ImageProgram(_) | InputRole::ImagePart(..) => InputFormat::Raw,
    }
}

fn record(kind: &str, name: &str, version: &str, sha256: Digest) -> InputRecord {
    InputRecord { kind: kind.to_owned(), name: name.to_owned(), version: version.to_owned(), sha256 }
}
