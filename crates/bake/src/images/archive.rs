//! The archive of all images: an OCI image layout as a tar archive, with the same bytes for the
//! same images.

use super::ImageError;
use super::image::{Blob, Image};
use kiln_cache::{Cache, CacheError};
use kiln_oci::{OCI_LAYOUT, index};
use kiln_pack::{CopyError, Store};
use kiln_tree::{Content, Digest};
use std::collections::BTreeMap;
use std::io::Write;
use tar::{EntryType, Header};

/// Version of the archive's format: increment it when the same images would give other bytes.
const VERSION: u32 = 1;
/// Headers and contents fill whole records of this size, in bytes.
const RECORD: u64 = 512;
/// Two empty records end an archive.
pub(super) const END: usize = 1024;
/// Its kind in the cache.
const KIND: &str = "images";

/// Returns the archive of `images`, from the cache if it was made before.
pub(super) fn archive(images: &[Image], store: &mut Store, cache: &Cache) -> Result<Content, ImageError> {
    let named: Vec<_> = images.iter().map(|image| (image.name.clone(), image.manifest.clone())).collect();
    // The manifests in the index name everything else by digest.
    let index = index(&named);
    let key = Digest::of(format!("{VERSION} {}", Digest::of(&index)).as_bytes());
    if cache.open_derived(KIND, &key).is_none() {
        write(images, index, store, cache, &key)?;
    }
    let lost = || ImageError::Open(std::io::ErrorKind::NotFound.into());
    let derived = cache.open_derived(KIND, &key).ok_or_else(lost)?;
    store.add_derived(&derived).map_err(ImageError::Open)
}

fn write(images: &[Image], index: Vec<u8>, store: &Store, cache: &Cache, key: &Digest) -> Result<(), ImageError> {
    let mut out = cache.derived_writer(KIND, key)?;
    let failed = |error| ImageError::Cache(CacheError::writing(cache.root(), error));
    let mut blobs: BTreeMap<Digest, (&str, &Blob)> = BTreeMap::new();
    for image in images {
        blobs.extend(image.blobs.iter().map(|blob| (blob.digest, (image.name.as_str(), blob))));
    }
    let documents = [("oci-layout", OCI_LAYOUT.into()), ("index.json", index)];
    let documents =
        documents.map(|(path, bytes): (_, Vec<u8>)| (path.to_owned(), "", Blob::from(Content::inline(bytes))));
    let documents = documents.iter().map(|(path, name, blob)| (path.clone(), *name, blob));
    let blobs = blobs.into_iter().map(|(digest, (name, blob))| (format!("blobs/sha256/{digest}"), name, blob));
    for (path, name, blob) in documents.chain(blobs) {
        // All paths are short enough for a header.
        let Some(header) = header(&path, EntryType::Regular, 0o444, blob.size) else { continue };
        out.write_all(header.as_bytes()).map_err(failed)?;
        for part in &blob.parts {
            store.copy(part, &mut out).map_err(|error| match error {
                CopyError::Read(source) => ImageError::Read { name: name.to_owned(), source },
                CopyError::Write(error) => failed(error),
            })?;
        }
        out.write_all(&vec![0; padding(blob.size)]).map_err(failed)?;
    }
    out.write_all(&[0; END]).map_err(failed)?;
    out.finish()?;
    Ok(())
}

/// Returns the number of bytes that fill the last record of `size` bytes.
pub(super) fn padding(size: u64) -> usize {
    usize::try_from(size.next_multiple_of(RECORD) - size).unwrap_or(0)
}

/// Returns a ustar header (POSIX.1-1988), owned by root, with time 0; `None` when `path` or `size`
/// does not fit.
pub(super) fn header(path: &str, kind: EntryType, mode: u32, size: u64) -> Option<Header> {
    /// The largest size that the octal digits of the field can hold.
    const MAX_SIZE: u64 = (8 << 30) - 1;
    let mut header = Header::new_ustar();
    header.set_path(path).ok()?;
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(size);
    header.set_cksum();
    (size <= MAX_SIZE).then_some(header)
}
