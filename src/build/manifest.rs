//! The manifest of a build.

use super::directory::DirectoryError;
use super::outputs::Made;
use kiln_artifact::kernel::{KernelError, kernel};
use kiln_bake::Baked;
use kiln_bake::lock::Locked;
use kiln_manifest::Manifest;
use std::path::Path;

/// Makes the manifest of the image `baked` with the outputs `made`.
///
/// # Errors
/// [`KernelError`] when the tree does not have exactly one kernel.
pub(super) fn of(locked: &Locked, baked: &Baked, made: Made) -> Result<Manifest, KernelError> {
    let (profile, lock) = (locked.profile(), locked.lock());
    let Made { files, root_hash, disk } = made;
    Ok(Manifest {
        version: kiln_manifest::VERSION,
        kiln: env!("CARGO_PKG_VERSION").to_owned(),
        role: profile.role.clone(),
        image: profile.image.clone(),
        arch: profile.arch,
        suite: profile.debian.suite.clone(),
        release: profile.release.name.clone(),
        kernel: kernel(&baked.tree)?.0.to_owned(),
        cmdline: profile.kernel.cmdline.join(" "),
        epoch: lock.epoch,
        inputs: baked.inputs.clone(),
        pruned: baked.pruned.clone(),
        privileged: profile.privileged.clone(),
        not_for_production: baked.not_for_production.clone(),
        files: kiln_manifest::records(&baked.tree, lock.epoch),
        outputs: files,
        root_hash,
        disk,
    })
}

/// Writes the manifest and the list of digests into `directory`.
///
/// # Errors
/// [`DirectoryError::Write`].
pub(super) fn write(manifest: &Manifest, directory: &Path) -> Result<(), DirectoryError> {
    let text = manifest.to_text();
    for (name, text) in [(kiln_manifest::SUMS, manifest.sums(&text)), (kiln_manifest::FILE, text)] {
        let path = directory.join(name);
        std::fs::write(&path, text).map_err(|source| DirectoryError::Write { path, source })?;
    }
    Ok(())
}
