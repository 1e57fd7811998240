//! From a locked profile and its fetched inputs to the finished tree.

use crate::lock::Locked;
use kiln_cache::Cache;
use kiln_finalize::{self, FinalizeError};
use kiln_manifest::InputRecord;
use kiln_manifest::Pruned;
use kiln_pack::layer::{
    self, ArtifactError, LayerError, Overlay, OverlayError, PackageError, PruneError, lay_artifact, lay_overlay, prune,
};
use kiln_pack::{Input, InputFormat, PackError, Packer, Store};
use kiln_profile::{Artifact, ArtifactFormat, ImageSource};
use kiln_progress::{Progress, Unit};
use kiln_render::{self, KubeletFileError, RenderError};
use kiln_source::deb::control::ControlError;
use kiln_source::deb::dependency::RelationError;
use kiln_tree::{FileTree, Origin};
use std::collections::BTreeMap;
use std::path::PathBuf;

pub mod images;
pub mod lock;
pub mod packages;

use images::ImageError;
use packages::Deb;

/// A finished tree and what it was made of.
#[derive(Debug)]
pub struct Baked {
    /// The root file system, complete.
    pub tree: FileTree,
    /// Contents of its files.
    pub store: Store,
    /// What was left out, by prune rule.
    pub pruned: BTreeMap<String, Pruned>,
    /// Everything that went in.
    pub inputs: Vec<InputRecord>,
    /// Overlays with which no image is for production, and why.
    pub not_for_production: BTreeMap<String, String>,
}

/// Why a tree cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum BakeError {
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
    /// A package's `Replaces` is malformed.
    #[error("package {package}: Replaces: {source}")]
    Replaces {
        /// The package.
        package: String,
        /// What is wrong.
        source: RelationError,
    },
    /// Packages do not fit together.
    #[error(transparent)]
    Package(#[from] PackageError),
    /// An artifact does not fit.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// A container image cannot be taken along.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The node's configuration cannot be rendered.
    #[error(transparent)]
    Render(#[from] RenderError),
    /// Rendered files collide with others.
    #[error(transparent)]
    Layer(#[from] LayerError),
    /// An overlay does not fit.
    #[error(transparent)]
    Overlay(#[from] OverlayError),
    /// A file for kubelet is wrong.
    #[error(transparent)]
    KubeletFile(#[from] KubeletFileError),
    /// A prune rule is broken.
    #[error(transparent)]
    Prune(#[from] PruneError),
    /// A finalizer failed.
    #[error(transparent)]
    Finalize(#[from] FinalizeError),
}

/// Makes the tree of `locked`. `files` are its inputs in the order of [`lock::wants`]; `overlays` those of the profile, read.
///
/// # Errors
/// [`BakeError`].
pub fn bake(
    locked: &Locked,
    files: &[PathBuf],
    overlays: Vec<Overlay>,
    cache: &Cache,
    threads: usize,
    progress: &Progress,
) -> Result<Baked, BakeError> {
    let (profile, lock) = (locked.profile(), locked.lock());
    let inputs = inputs(locked, files);
    let phase = progress.phase("unpack", Unit::Bytes, inputs.iter().map(|input| input.size).sum());
    let mut store = Packer::new(cache, threads, &kiln_finalize::reads()).open(&inputs, &|bytes| phase.inc(bytes))?;
    phase.finish();

    let phase = progress.phase("assemble", Unit::Items, 0);
    let mut records = Vec::new();
    let mut tree = unpack(locked, &store)?;
    for package in &lock.packages {
        records.push(record("package", &package.name, &package.version, package.sha256));
    }
    for (artifact, pinned) in lock::pinned(locked) {
        if let Some(pack) = store.pack(&pinned.sha256) {
            lay_artifact(&mut tree, artifact, pinned.sha256, pack)?;
        }
        records.push(record("artifact", &pinned.name, &pinned.version, pinned.sha256));
    }
    records.extend(images::lay(&mut tree, locked, &mut store, cache)?);
    let rendered = kiln_render::render(profile, &tree)?;
    let remedy = "set \"replace: true\" on the file in the profile if it is meant to win";
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

fn unpack(locked: &Locked, store: &Store) -> Result<FileTree, BakeError> {
    let debs = lock::pinned(locked).filter(|(artifact, _)| artifact.format == ArtifactFormat::Deb);
    let debs = locked
        .lock()
        .packages
        .iter()
        .map(|package| (&package.name, &package.version, package.sha256))
        .chain(debs.map(|(_, pinned)| (&pinned.name, &pinned.version, pinned.sha256)))
        .filter_map(|(name, version, digest)| Some(Deb { name, version, digest, pack: store.pack(&digest)? }))
        .collect();
    packages::unpack(debs, &locked.profile().diversions)
}

fn inputs(locked: &Locked, files: &[PathBuf]) -> Vec<Input> {
    let packages = locked
        .lock()
        .packages
        .iter()
        .map(|package| (format!("{} {}", package.name, package.version), package.sha256, InputFormat::Deb));
    let artifacts = lock::pinned(locked)
        .map(|(artifact, pinned)| (format!("{} {}", pinned.name, pinned.version), pinned.sha256, format_of(artifact)));
    let images = lock::pinned_images(locked).flat_map(|(image, pinned)| {
        let format = if matches!(image, ImageSource::Archive(_)) { InputFormat::Tar } else { InputFormat::Raw };
        let parts = std::iter::once(pinned.sha256).chain(pinned.blobs.iter().map(|blob| blob.sha256));
        parts.map(move |sha256| (pinned.name.clone(), sha256, format))
    });
    packages
        .chain(artifacts)
        .chain(images)
        .zip(files)
        .map(|((name, digest, format), path)| Input {
            name,
            digest,
            path: path.clone(),
            // Only for progress and scheduling; a file that vanished is an error when it is opened.
            size: std::fs::metadata(path).map_or(0, |metadata| metadata.len()),
            format,
        })
        .collect()
}

fn format_of(artifact: &Artifact) -> InputFormat {
    match artifact.format {
        ArtifactFormat::Raw { .. } => InputFormat::Raw,
        ArtifactFormat::Tar { .. } => InputFormat::Tar,
        ArtifactFormat::Deb => InputFormat::Deb,
    }
}

fn record(kind: &str, name: &str, version: &str, sha256: kiln_tree::Digest) -> InputRecord {
    InputRecord { kind: kind.to_owned(), name: name.to_owned(), version: version.to_owned(), sha256 }
}
