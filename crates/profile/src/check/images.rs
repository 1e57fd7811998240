//! Preloaded container images.

use super::super::key::{Field, Key, fields};
use super::super::model::{Arch, Binary, ImageFile, ImageSource, Program};
use super::super::place::{At, Fault};
use super::super::raw::{Map, RawBinary, RawContainerImage, RawImageFile};
use super::release::Origin;
use super::{Context, absolute, required, text};
use kiln_oci::Reference;
use std::collections::BTreeMap;

/// The images of the release, overridden by those of the profile.
pub(super) fn images(
    release: &Map<At<RawContainerImage>>,
    profile: &Map<At<RawContainerImage>>,
    arch: Arch,
    context: &Context<'_>,
) -> Result<BTreeMap<String, ImageSource>, Fault> {
    let image = |(name, raw, list, key): (&At<String>, &At<RawContainerImage>, Field, Field)| {
        let name = text(name, list, tagged)?;
        let image = image(raw, &key.of(&name), arch, context)?;
        Ok((name, image))
    };
    let (list, key) = (fields::RELEASE_CONTAINER_IMAGES, fields::RELEASE_CONTAINER_IMAGE);
    let release = release.iter().map(|(name, raw)| (name, raw, list, key));
    let (list, key) = (fields::CONTAINER_IMAGES, fields::CONTAINER_IMAGE);
    let profile = profile.iter().map(|(name, raw)| (name, raw, list, key));
    release.chain(profile).map(image).collect()
}

/// Checks a name that pods use: containerd knows an image that it did not pull by its tag only.
fn tagged(name: &str) -> Result<(), String> {
    match name.parse::<Reference>() {
        Ok(Reference { digest: Some(_), .. }) => Err(format!(
            "{name:?} has a digest: pods find preloaded images by their tag; give the digest in \"registry\""
        )),
        Ok(Reference { tag: None, .. }) => Err(format!("{name:?} has no tag; give the tag that pods use")),
        Ok(_) => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}

fn image(raw: &At<RawContainerImage>, key: &Key, arch: Arch, context: &Context<'_>) -> Result<ImageSource, Fault> {
    let RawContainerImage { archive, registry, binary } = &raw.value;
    match (archive, registry, binary) {
        (Some(archive), None, None) => {
            let RawImageFile { url, file, sha256 } = &archive.value;
            let origin = Origin { url: url.as_ref(), file: file.as_ref(), sha256, version: None };
            let (source, sha256) = origin.resolve(&key.below("archive"), archive.pos, arch, context)?;
            Ok(ImageSource::Archive(ImageFile { source, sha256 }))
        }
        (None, Some(registry), None) => {
            let reference = registry.check(key, |text| pullable(text))?;
            Ok(ImageSource::Registry(reference))
        }
        (None, None, Some(raw)) => self::binary(raw, &key.below("binary"), arch, context).map(ImageSource::Binary),
        _ => Err(raw.fault_of(key, "give one of \"archive\", \"registry\" and \"binary\"")),
    }
}

fn pullable(name: &str) -> Result<Reference, String> {
    match name.parse::<Reference>() {
        Ok(Reference { tag: None, digest: None, .. }) => Err(format!("{name:?} has neither tag nor digest")),
        Ok(reference) => Ok(reference),
        Err(error) => Err(error.to_string()),
    }
}

fn binary(raw: &At<RawBinary>, key: &Key, arch: Arch, context: &Context<'_>) -> Result<Binary, Fault> {
    let RawBinary { program, url, file, sha256, entrypoint, args, user } = &raw.value;
    let program = match (program, url, file) {
        (Some(program), None, None) => {
            if let Some(digest) = sha256.keys().next() {
                return Err(digest.fault_of(key, "\"sha256\" is valid only with \"url\" or \"file\""));
            }
            Program::Node(absolute(program, key)?)
        }
        (None, Some(_), None) | (None, None, Some(_)) => {
            let origin = Origin { url: url.as_ref(), file: file.as_ref(), sha256, version: None };
            let (source, sha256) = origin.resolve(key, raw.pos, arch, context)?;
            Program::File(ImageFile { source, sha256 })
        }
        _ => return Err(raw.fault_of(key, "give one of \"program\", \"url\" and \"file\"")),
    };
    Ok(Binary {
        program,
        entrypoint: absolute(required(entrypoint, raw.pos, key, "entrypoint")?, key)?,
        args: args.iter().map(|arg| text(arg, key, argument)).collect::<Result<_, _>>()?,
        user: user.as_ref().map(|user| text(user, key, numbers)).transpose()?,
    })
}

fn argument(text: &str) -> Result<(), String> {
    match text.contains('\0') {
        true => Err("an argument cannot contain a NUL byte".to_owned()),
        false => Ok(()),
    }
}

/// Checks that a user is numeric: a name needs the image's `/etc/passwd`, which does not exist.
fn numbers(user: &str) -> Result<(), String> {
    let number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u32>().is_ok();
    match user.split(':').all(number) && user.split(':').count() <= 2 {
        true => Ok(()),
        false => Err(format!("{user:?} is not a user, or user and group, by number, such as \"65535:65535\"")),
    }
}
