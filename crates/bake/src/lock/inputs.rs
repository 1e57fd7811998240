//! The files that a locked profile is built from: one list in one order, for all code that fetches,
//! opens or names them.

use super::{Locked, LockedArtifact, LockedPackage, Mirrors, pinned, pinned_images};
use kiln_profile::{Artifact, ArtifactSource, ImageFile, ImageSource};
use kiln_source::fetch::{Location, Want};
use kiln_source::registry::{Part, PartKind};
use kiln_tree::Digest;
use kiln_url::Url;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The files of inputs in the cache, by the inputs' digests.
pub type Fetched = BTreeMap<Digest, PathBuf>;

/// One file that a build reads.
#[derive(Debug, Clone, Copy)]
pub struct LockedInput<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its version; empty for the files of a container image.
    pub version: &'a str,
    /// Its digest, which identifies it.
    pub digest: Digest,
    /// The size in bytes, if known.
    pub size: Option<u64>,
    /// Its role in the image.
    pub role: InputRole<'a>,
}

/// The role of an input in the image.
#[derive(Debug, Clone, Copy)]
pub enum InputRole<'a> {
    /// A Debian package.
    Package(&'a LockedPackage),
    /// An artifact.
    Artifact(&'a Artifact),
    /// The archive of a container image.
    ImageArchive(&'a ImageFile),
    /// The program that a container image is made from.
    ImageProgram(&'a ImageFile),
    /// A part of a container image from a registry.
    ImagePart(&'a kiln_oci::Reference, PartKind),
}

impl Locked {
    /// Returns every file that is fetched and read: packages first, then artifacts, then the files
    /// of container images, each in the order of the lock.
    pub fn inputs(&self) -> Vec<LockedInput<'_>> {
        let mut inputs: Vec<LockedInput<'_>> = self.lock.packages.iter().map(package).collect();
        inputs.extend(pinned(self).map(artifact));
        for (source, pinned) in pinned_images(self) {
            let input = |digest, size, role| LockedInput { name: &pinned.name, version: "", digest, size, role };
            let whole = |role| input(pinned.sha256, pinned.size, role);
            match source {
                ImageSource::Archive(file) => inputs.push(whole(InputRole::ImageArchive(file))),
                ImageSource::Binary(_) => {
                    inputs.extend(source.file().map(|file| whole(InputRole::ImageProgram(file))));
                }
                ImageSource::Registry(reference) => {
                    inputs.push(whole(InputRole::ImagePart(reference, PartKind::Manifest)));
                    let blob = InputRole::ImagePart(reference, PartKind::Blob);
                    inputs.extend(pinned.blobs.iter().map(|part| input(part.sha256, Some(part.size), blob)));
                }
            }
        }
        inputs
    }

    /// Returns what must be fetched before the profile can be built, with its sources.
    pub fn wants(&self, mirrors: &Mirrors) -> Vec<Want> {
        let snapshot = self.profile.debian.snapshot.as_deref();
        self.inputs().iter().map(|input| input.want(mirrors, snapshot)).collect()
    }
}

impl LockedInput<'_> {
    /// Its name in messages, such as `bash 5.2.37-2`.
    pub fn title(&self) -> String {
        if self.version.is_empty() { self.name.to_owned() } else { format!("{} {}", self.name, self.version) }
    }

    fn want(&self, mirrors: &Mirrors, snapshot: Option<&str>) -> Want {
        let from = match self.role {
            InputRole::Package(package) => {
                let url = |mirror: &Url| {
                    let mirror = match snapshot {
                        Some(snapshot) => mirror.replace("{snapshot}", snapshot),
                        None => mirror.clone(),
                    };
                    Location::Mirror(mirror.under(&package.filename))
                };
                mirrors.of(package.archive).iter().map(url).collect()
            }
            InputRole::Artifact(artifact) => vec![location(&artifact.source)],
            InputRole::ImageArchive(file) | InputRole::ImageProgram(file) => vec![location(&file.source)],
            InputRole::ImagePart(reference, kind) => {
                vec![Location::Registry(Part { reference: reference.clone(), kind, digest: self.digest })]
            }
        };
        Want { name: self.title(), digest: self.digest, size: self.size, from }
    }
}

fn package(package: &LockedPackage) -> LockedInput<'_> {
    LockedInput {
        name: &package.name,
        version: &package.version,
        digest: package.sha256,
        size: Some(package.size),
        role: InputRole::Package(package),
    }
}

fn artifact<'a>((artifact, pinned): (&'a Artifact, &'a LockedArtifact)) -> LockedInput<'a> {
    LockedInput {
        name: &pinned.name,
        version: &pinned.version,
        digest: pinned.sha256,
        size: pinned.size,
        role: InputRole::Artifact(artifact),
    }
}

/// Returns the location of a file that the profile names.
fn location(source: &ArtifactSource) -> Location {
    match source {
        ArtifactSource::Url(url) => Location::Url(url.clone()),
        ArtifactSource::File(path) => Location::File(path.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Lock, artifacts};
    use super::*;
    use kiln_profile::{Arch, Overrides};
    use kiln_source::deb::package::Archive;
    use std::path::Path;

    fn locked() -> Locked {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../profiles");
        let profile =
            kiln_profile::load(&dir, "worker", &Overrides::default(), Some(Path::new("/home/user")), Arch::Amd64);
        let profile = profile.expect("a profile");
        let package = |name: &str, archive| LockedPackage {
            name: name.into(),
            version: "1".into(),
            archive,
            filename: format!("pool/{name}.deb"),
            size: 1,
            sha256: Digest::of(name.as_bytes()),
        };
        let artifact = |artifact: &Artifact| LockedArtifact {
            name: artifact.name.clone(),
            version: artifact.version.clone(),
            sha256: artifact.sha256.unwrap_or_else(|| Digest::of(artifact.name.as_bytes())),
            size: None,
        };
        let packages = vec![package("zsh", Archive::Security), package("bash", Archive::Main)];
        let artifacts = artifacts(&profile).map(artifact).collect();
        let lock = Lock::new(&profile, BTreeMap::new(), packages, artifacts, Vec::new());
        lock.apply(profile, Path::new("worker.lock")).expect("a lock of this profile")
    }

    #[test]
    fn packages_come_first_and_every_input_has_the_digest_that_the_lock_pins() {
        let locked = locked();
        let inputs = locked.inputs();
        assert_eq!(inputs.len(), 2 + locked.lock().artifacts.len());
        assert!(inputs.len() > 3, "the shipped worker has artifacts");
        let is_package = |input: &LockedInput<'_>| matches!(input.role, InputRole::Package(_));
        assert_eq!(inputs.iter().position(|input| !is_package(input)), Some(2));
        assert_eq!([inputs[0].title(), inputs[1].title()], ["bash 1", "zsh 1"]);
        let lock = locked.lock();
        let packages = lock.packages.iter().map(|package| (package.name.as_str(), package.sha256));
        let artifacts = lock.artifacts.iter().map(|artifact| (artifact.name.as_str(), artifact.sha256));
        let pinned: BTreeMap<&str, Digest> = packages.chain(artifacts).collect();
        for input in &inputs {
            assert_eq!(Some(&input.digest), pinned.get(input.name), "{}", input.name);
        }
    }

    #[test]
    fn a_new_password_does_not_make_a_lock_stale() {
        let from = |url: &str| {
            let mut profile = locked().profile().clone();
            for artifact in profile.release.components.values_mut() {
                artifact.source = ArtifactSource::Url(url.into());
            }
            profile
        };
        let artifacts = locked().lock().artifacts.clone();
        let lock =
            Lock::new(&from("https://me:old@h/a?signature=old"), BTreeMap::new(), Vec::new(), artifacts, Vec::new());
        assert_eq!(lock.stale(&from("https://me:new@h/a?signature=new")), None);
        assert!(lock.stale(&from("https://me:old@h/b?signature=old")).is_some());
    }

    #[test]
    fn packages_are_fetched_from_the_mirrors_of_their_archive() {
        let mirrors = Mirrors { main: vec!["http://a/debian/".into()], security: vec!["http://b/security".into()] };
        let wants = locked().wants(&mirrors);
        assert_eq!(wants[0].from, [Location::Mirror("http://a/debian/pool/bash.deb".into())]);
        assert_eq!(wants[1].from, [Location::Mirror("http://b/security/pool/zsh.deb".into())]);
    }
}
