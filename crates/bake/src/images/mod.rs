//! Container images that nodes have from the start: one OCI archive of all of them, with each blob
//! once, and a list of the images in it.

mod archive;
mod binary;
mod error;
mod image;

pub use error::ImageError;
pub use image::Image;

use crate::lock::{self, Locked};
use kiln_cache::Cache;
use kiln_manifest::InputRecord;
use kiln_pack::Store;
use kiln_profile::{ImageSource, Program};
use kiln_tree::{Entry, FileTree, Kind, Metadata, Origin, TreePath};
use std::fmt::Write as _;

/// The directory of the archive and the list on a node.
const DIRECTORY: &str = "usr/lib/kiln/images";

/// Adds the archive of the profile's images and their list (a line with name and digest for each)
/// to `tree`, which has the packages and artifacts; adds nothing if there are no images. Returns
/// the images that were added.
///
/// # Errors
/// [`ImageError`].
pub(super) fn lay(
    tree: &mut FileTree,
    locked: &Locked,
    store: &mut Store,
    cache: &Cache,
) -> Result<Vec<InputRecord>, ImageError> {
    let images = images(tree, locked, store, cache)?;
    if images.is_empty() {
        return Ok(Vec::new());
    }
    let content = archive::archive(&images, store, cache)?;
    // It changes when inputs change, like artifacts, not when kiln's own output does.
    let origin = || Origin::Artifact("container-images".into());
    let file = Entry { kind: Kind::File { content, link: None }, meta: Metadata::new(0o644, origin()) };
    let mut list = String::new();
    for image in &images {
        writeln!(list, "{} sha256:{}", image.name, image.manifest.digest).ok();
    }
    for (name, entry) in [("images.tar", file), ("list", Entry::file(list, 0o644, origin()))] {
        let placed = TreePath::new(&format!("{DIRECTORY}/{name}"))
            .map_err(|error| error.to_string())
            .and_then(|path| tree.insert(path, entry).map_err(|error| error.to_string()));
        placed.map_err(|why| ImageError::Place { why })?;
    }
    let record = |image: Image| super::record("image", &image.name, "", image.manifest.digest);
    Ok(images.into_iter().map(record).collect())
}

/// Returns every image of the profile, by name.
fn images(tree: &FileTree, locked: &Locked, store: &Store, cache: &Cache) -> Result<Vec<Image>, ImageError> {
    let profile = locked.profile();
    let arch = profile.arch.as_str();
    let mut images = Vec::new();
    for (name, source) in &profile.images {
        let pinned = lock::pinned_images(locked).find(|(_, pinned)| pinned.name == *name).map(|(_, pinned)| pinned);
        let fetched = pinned.and_then(|pinned| Some((pinned.sha256, store.pack(&pinned.sha256)?)));
        let absent = || ImageError::NotFetched { name: name.clone() };
        images.push(match source {
            ImageSource::Archive(_) => {
                let (digest, pack) = fetched.ok_or_else(absent)?;
                image::of_archive(name, digest, pack, store, arch)?
            }
            ImageSource::Registry(_) => image::of_registry(name, pinned.ok_or_else(absent)?, store, arch)?,
            ImageSource::Binary(binary) => {
                let content = match &binary.program {
                    Program::File(_) => fetched.and_then(|(digest, pack)| pack.content(digest, 0)),
                    Program::Node(path) => {
                        let found = tree.resolve(path.as_str()).and_then(|(_, entry)| entry.content().cloned());
                        Some(found.ok_or_else(|| ImageError::NoProgram { name: name.clone(), path: path.clone() })?)
                    }
                };
                binary::image(name, binary, &content.ok_or_else(absent)?, store, cache, profile.arch)?
            }
        });
    }
    Ok(images)
}
