//! One image as it is written to the archive, and the contents of its blobs.

use super::ImageError;
use crate::lock::LockedImage;
use kiln_oci::{Descriptor, Document, DocumentError, ImageManifest, MAX_CONFIG, MAX_DOCUMENT, Reference, for_arch};
use kiln_pack::{CopyError, Pack, Store};
use kiln_tree::{Content, Digest, ReadError};
use std::collections::{BTreeMap, BTreeSet};

/// How deep indexes may be nested: buildx puts an index into the archive's index.json.
const MAX_NESTING: usize = 3;

/// An image: its manifest, and everything that the manifest refers to.
#[derive(Debug)]
pub struct Image {
    /// The name that pods use.
    pub name: String,
    /// Its manifest.
    pub manifest: Descriptor,
    /// Manifest, configuration and layers.
    pub blobs: Vec<Blob>,
}

/// A blob: the concatenation of its parts.
#[derive(Debug)]
pub struct Blob {
    /// Its digest.
    pub digest: Digest,
    /// Size in bytes.
    pub size: u64,
    /// Its contents, in order.
    pub parts: Vec<Content>,
}

impl From<Content> for Blob {
    fn from(content: Content) -> Self {
        Self { digest: content.digest, size: content.size, parts: vec![content] }
    }
}

/// Returns the image `name` of the OCI archive `pack`, for `arch`.
pub(super) fn of_archive(
    name: &str,
    input: Digest,
    pack: &Pack,
    store: &Store,
    arch: &str,
) -> Result<Image, ImageError> {
    let document = |source| ImageError::Document { name: name.to_owned(), source };
    // The file names of blobs are ignored: their digests were computed when the archive was read.
    let (mut blobs, mut top) = (BTreeMap::new(), BTreeMap::new());
    for (number, member) in pack.index.members.iter().enumerate() {
        let number = u32::try_from(number).unwrap_or(u32::MAX);
        let Some(content) = pack.content(input, number) else { continue };
        match member.path.parent() {
            Some("") | None => drop(top.insert(member.path.as_str(), content)),
            Some(_) => drop(blobs.insert(content.digest, content)),
        }
    }
    let Some(index) = top.get("index.json") else {
        return Err(ImageError::NoIndex { name: name.to_owned(), docker: top.contains_key("manifest.json") });
    };
    let find = |wanted: &Descriptor| {
        let found = blobs.get(&wanted.digest).filter(|content| content.size == wanted.size).cloned();
        let (digest, size) = (wanted.digest, wanted.size);
        found.ok_or_else(|| ImageError::NoBlob { name: name.to_owned(), digest, size })
    };
    let mut parsed = Document::parse(&read(name, index, MAX_DOCUMENT, store)?).map_err(document)?;
    for nesting in 0..=MAX_NESTING {
        let manifests = match parsed {
            Document::Index(manifests) if nesting == 0 => named(manifests, name)?,
            Document::Index(manifests) => manifests,
            // index.json must be an index.
            Document::Manifest(_) => return Err(document(DocumentError::Ambiguous)),
        };
        let content = find(for_arch(&manifests, arch).map_err(document)?)?;
        parsed = Document::parse(&read(name, &content, MAX_DOCUMENT, store)?).map_err(document)?;
        if let Document::Manifest(manifest) = parsed {
            return image(name, content, &manifest, find, store, arch);
        }
    }
    Err(document(DocumentError::TooMuch(format!("{MAX_NESTING} indexes within each other"))))
}

/// Returns those descriptors of an archive's index that belong to the image `name`.
fn named(manifests: Vec<Descriptor>, name: &str) -> Result<Vec<Descriptor>, ImageError> {
    let tag = name.parse::<Reference>().ok().and_then(|reference| reference.tag);
    let names = |descriptor: &Descriptor| {
        let annotation = |key: &str| descriptor.annotations.get(key).cloned();
        [annotation("io.containerd.image.name"), annotation("org.opencontainers.image.ref.name")]
    };
    let is_named = |descriptor: &&Descriptor| {
        names(descriptor).iter().flatten().any(|found| found == name || Some(found) == tag.as_ref())
    };
    let found: Vec<Descriptor> = manifests.iter().filter(is_named).cloned().collect();
    let others: BTreeSet<String> = manifests.iter().flat_map(names).flatten().collect();
    match (found.is_empty(), others.len()) {
        (false, _) => Ok(found),
        // The only image of the archive: the profile gives it its name.
        (true, 0 | 1) => Ok(manifests),
        (true, _) => {
            let others: Vec<String> = others.into_iter().take(10).collect();
            Err(ImageError::OtherNames { name: name.to_owned(), found: others.join(", ") })
        }
    }
}

/// Returns the image whose manifest, configuration and layers were fetched according to `pinned`.
pub(super) fn of_registry(name: &str, pinned: &LockedImage, store: &Store, arch: &str) -> Result<Image, ImageError> {
    let document = |source| ImageError::Document { name: name.to_owned(), source };
    let blob = |digest: &Digest| {
        let found = store.pack(digest).and_then(|pack| pack.content(*digest, 0));
        found.ok_or_else(|| ImageError::NotLocked { name: name.to_owned(), digest: *digest })
    };
    let content = blob(&pinned.sha256)?;
    match Document::parse(&read(name, &content, MAX_DOCUMENT, store)?).map_err(document)? {
        Document::Manifest(manifest) => image(name, content, &manifest, |found| blob(&found.digest), store, arch),
        Document::Index(_) => Err(document(DocumentError::Ambiguous)),
    }
}

/// Returns the image of `manifest`, which is stored as `content`; `find` looks up the blobs.
fn image(
    name: &str,
    content: Content,
    manifest: &ImageManifest,
    find: impl Fn(&Descriptor) -> Result<Content, ImageError>,
    store: &Store,
    arch: &str,
) -> Result<Image, ImageError> {
    let config = read(name, &find(&manifest.config)?, MAX_CONFIG, store)?;
    manifest.check_config(&config, arch).map_err(|source| ImageError::Document { name: name.to_owned(), source })?;
    let descriptor = Descriptor {
        media_type: manifest.media_type.clone(),
        digest: content.digest,
        size: content.size,
        platform: None,
        annotations: BTreeMap::new(),
    };
    let mut blobs = vec![Blob::from(content)];
    for blob in manifest.blobs() {
        blobs.push(find(blob)?.into());
    }
    Ok(Image { name: name.to_owned(), manifest: descriptor, blobs })
}

/// Reads all bytes of a small content.
pub(super) fn read(name: &str, content: &Content, limit: u64, store: &Store) -> Result<Vec<u8>, ImageError> {
    if content.size > limit {
        let (name, size) = (name.to_owned(), content.size);
        return Err(ImageError::TooLarge { name, what: "a part of it", size, limit });
    }
    let mut bytes = Vec::new();
    store.copy(content, &mut bytes).map_err(|error| match error {
        CopyError::Read(source) => ImageError::Read { name: name.to_owned(), source },
        CopyError::Write(error) => {
            let source = ReadError { what: "memory".into(), why: error.to_string() };
            ImageError::Read { name: name.to_owned(), source }
        }
    })?;
    Ok(bytes)
}
