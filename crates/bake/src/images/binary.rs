//! Makes an image with one layer from a static program.

use super::image::{Blob, Image, read};
use super::{ImageError, archive};
use kiln_cache::Cache;
use kiln_finalize::elf::Elf;
use kiln_oci::{Descriptor, ImageConfig, manifest, media_type};
use kiln_pack::Store;
use kiln_profile::{Arch, Binary};
use kiln_tree::{Content, Digest, TreePath};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use tar::EntryType;

/// `p_type` of the segment that names the dynamic linker (elf(5)).
const PT_INTERP: u32 = 3;
/// The largest program, in bytes.
const MAX_PROGRAM: u64 = 1 << 30;
/// Docker's default for images without a PATH.
const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Returns the image of `binary`, whose program is `content`. The same program gives the same
/// image.
pub(super) fn image(
    name: &str,
    binary: &Binary,
    content: &Content,
    store: &Store,
    cache: &Cache,
    arch: Arch,
) -> Result<Image, ImageError> {
    let before = headers(&binary.entrypoint, content.size)
        .ok_or_else(|| ImageError::Entrypoint { name: name.to_owned(), path: binary.entrypoint.clone() })?;
    let after = vec![0; archive::padding(content.size) + archive::END];
    let size = (before.len() + after.len()) as u64 + content.size;
    let key = Digest::of(&[&before, content.digest.as_bytes().as_slice()].concat());
    // The layer is written with the archive, but its digest is needed earlier, to decide whether
    // the archive already exists.
    let known = cache.derived("layer", &key).and_then(|bytes| <[u8; 32]>::try_from(bytes).ok()).map(Digest::from);
    let digest = match known {
        Some(digest) => digest,
        None => {
            let program = read(name, content, MAX_PROGRAM, store)?;
            check(name, &program, arch)?;
            let mut hasher = Sha256::new();
            for part in [&before, &program, &after] {
                hasher.update(part);
            }
            let digest = Digest::finish(hasher);
            cache.put_derived("layer", &key, digest.as_bytes())?;
            digest
        }
    };
    let layer = Blob { digest, size, parts: vec![Content::inline(before), content.clone(), Content::inline(after)] };
    let config = ImageConfig {
        user: binary.user.clone(),
        env: vec![PATH.to_owned()],
        entrypoint: vec![format!("/{}", binary.entrypoint)],
        cmd: binary.args.clone(),
    };
    let config = Blob::from(Content::inline(config.document(arch.as_str(), &digest)));
    let manifest = manifest(descriptor(media_type::CONFIG, &config), vec![descriptor(media_type::LAYER, &layer)]);
    let manifest = Blob::from(Content::inline(manifest));
    let described = descriptor(media_type::MANIFEST, &manifest);
    Ok(Image { name: name.to_owned(), manifest: described, blobs: vec![manifest, config, layer] })
}

fn descriptor(media_type: &str, blob: &Blob) -> Descriptor {
    let (digest, size) = (blob.digest, blob.size);
    Descriptor { media_type: media_type.to_owned(), digest, size, platform: None, annotations: BTreeMap::new() }
}

/// Returns the bytes before the program in the layer; `None` when its path does not fit.
fn headers(entrypoint: &TreePath, size: u64) -> Option<Vec<u8>> {
    let directories: Vec<&str> = entrypoint.ancestors().filter(|ancestor| !ancestor.is_empty()).collect();
    let mut bytes = Vec::new();
    for directory in directories.into_iter().rev() {
        bytes.extend(archive::header(&format!("{directory}/"), EntryType::Directory, 0o755, 0)?.as_bytes());
    }
    bytes.extend(archive::header(entrypoint.as_str(), EntryType::Regular, 0o755, size)?.as_bytes());
    Some(bytes)
}

/// Checks that `program` runs on `arch` without any other file.
fn check(name: &str, program: &[u8], arch: Arch) -> Result<(), ImageError> {
    let name = || name.to_owned();
    let elf = Elf::parse(program).map_err(|source| ImageError::NotElf { name: name(), source })?;
    // e_machine of elf(5): EM_X86_64 and EM_AARCH64.
    let machine = match arch {
        Arch::Amd64 => 62,
        Arch::Arm64 => 183,
    };
    if elf.e_machine != machine {
        return Err(ImageError::Machine { name: name(), wanted: arch.as_str() });
    }
    match elf.segments().flatten().any(|segment| segment.p_type == PT_INTERP) {
        true => Err(ImageError::Dynamic { name: name() }),
        false => Ok(()),
    }
}
