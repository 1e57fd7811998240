//! The lock: a profile's inputs, each with its digest, as `Cargo.lock` is to `Cargo.toml`.
//!
//! It names no mirror: a package is a path in the archive's pool, a size and a digest, wherever it
//! is fetched from. Only a [`Locked`] profile can be built, and only this module makes one, so an
//! unpinned input cannot reach an image.

mod inputs;
mod older;
mod pin;
mod series;
mod validate;

pub use inputs::{Fetched, InputRole, LockedInput};
pub use older::Older;
pub use pin::{ChangedFile, Mirrors, PinError, Sources, pin, repin_files};
pub use series::SeriesError;

use kiln_profile::{Arch, Artifact, ArtifactSource, ImageSource, Place, Profile};
use kiln_source::deb::package::Archive;
use kiln_tree::Digest;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Version of the file's format.
const VERSION: u32 = 1;
/// The largest lock that is read, in bytes; a package takes about 300.
const MAX_LOCK: u64 = 16 << 20;

/// The contents of a lock file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Lock {
    version: u32,
    /// The role of the profile.
    pub role: String,
    /// Debian suite.
    pub suite: String,
    /// Architecture.
    pub arch: Arch,
    /// Kubernetes release.
    pub release: String,
    /// Digest of what the profile asked for; a different one means that the lock is stale.
    request: Digest,
    /// The image's time: that of the newest `Release` file used, in seconds since 1970.
    pub epoch: u32,
    /// The time of each suite's `Release` file, in seconds since 1970, by the suite's name.
    #[serde(default)]
    pub dates: BTreeMap<String, u32>,
    /// Debian packages by name.
    pub packages: Vec<LockedPackage>,
    /// Artifacts by name.
    pub artifacts: Vec<LockedArtifact>,
    /// Container images by name, without those made from a program in the image.
    #[serde(default)]
    pub images: Vec<LockedImage>,
}

/// One pinned package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct LockedPackage {
    /// Package name.
    pub name: String,
    /// Exact version.
    pub version: String,
    /// The mirrors that have it: those of `main` or of `security`.
    pub archive: Archive,
    /// Path below the mirror, `pool/…`.
    pub filename: String,
    /// Size of the .deb in bytes.
    pub size: u64,
    /// Its digest.
    pub sha256: Digest,
}

/// One pinned artifact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct LockedArtifact {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its digest.
    pub sha256: Digest,
    /// Size in bytes, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
}

/// One pinned container image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct LockedImage {
    /// Its name.
    pub name: String,
    /// Digest of the archive or program it is made from, or of its manifest if it is from a
    /// registry.
    pub sha256: Digest,
    /// Size in bytes, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Its configuration and layers if it is from a registry.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub blobs: Vec<LockedBlob>,
}

/// A part of a container image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct LockedBlob {
    /// Its digest.
    pub sha256: Digest,
    /// Size in bytes.
    pub size: u64,
}

/// Why a lock cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// It cannot be read.
    #[error("reading lock {path}: {source}")]
    Read {
        /// The lock.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is not a lock.
    #[error("{path}:{line}:{column}: {why}; run \"kiln lock\" to write it again")]
    Parse {
        /// The lock.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// What is wrong.
        why: String,
    },
    /// It cannot be written.
    #[error("writing lock {path}: {source}")]
    Write {
        /// The lock.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Its packages do not match the release.
    #[error("{place}: {source} ({path} pins it)")]
    Series {
        /// The place of the release's containerd series.
        place: Place,
        /// The lock.
        path: PathBuf,
        /// The mismatch.
        source: Box<SeriesError>,
    },
    /// It does not pin what the profile asks for.
    #[error("lock {path} is stale: {why}; run \"kiln lock {role}\"")]
    Stale {
        /// The lock.
        path: PathBuf,
        /// What differs.
        why: String,
        /// The role.
        role: String,
    },
}

impl Lock {
    /// Makes a lock for what `profile` asks for, from suites with `Release` files of these `dates`.
    pub fn new(
        profile: &Profile,
        dates: BTreeMap<String, u32>,
        mut packages: Vec<LockedPackage>,
        mut artifacts: Vec<LockedArtifact>,
        mut images: Vec<LockedImage>,
    ) -> Self {
        packages.sort_by(|a, b| a.name.cmp(&b.name));
        artifacts.sort_by(|a, b| a.name.cmp(&b.name));
        images.sort_by(|a, b| a.name.cmp(&b.name));
        Self {
            version: VERSION,
            role: profile.role.clone(),
            suite: profile.debian.suite.clone(),
            arch: profile.arch,
            release: profile.release.name.clone(),
            request: request(profile),
            epoch: dates.values().copied().max().unwrap_or(0),
            dates,
            packages,
            artifacts,
            images,
        }
    }

    /// Reads the lock at `path`; returns `None` if it does not exist.
    ///
    /// # Errors
    /// [`LockError::Read`] and [`LockError::Parse`].
    pub fn read(path: &Path) -> Result<Option<Self>, LockError> {
        let read = |source| LockError::Read { path: path.to_owned(), source };
        let text = match kiln_file::read_text(path, MAX_LOCK) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(read(error)),
        };
        Self::parse(&text, path).map(Some)
    }

    /// Parses `text`, the contents of the file at `path`.
    fn parse(text: &str, path: &Path) -> Result<Self, LockError> {
        let defect = |line, column, why| LockError::Parse { path: path.to_owned(), line, column, why };
        let lock: Self = serde_json::from_str(text)
            .map_err(|error| defect(error.line(), error.column(), without_position(&error)))?;
        if lock.version != VERSION {
            let why = format!("its format has version {}, but this kiln reads version {VERSION}", lock.version);
            return Err(defect(1, 1, why));
        }
        match validate::defect(&lock, text) {
            Some((line, why)) => Err(defect(line, 1, why)),
            None => Ok(lock),
        }
    }

    /// Writes the lock to `path`, completely or not at all.
    ///
    /// # Errors
    /// [`LockError::Write`].
    pub fn write(&self, path: &Path) -> Result<(), LockError> {
        let write = |source| LockError::Write { path: path.to_owned(), source };
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut file = tempfile::Builder::new()
            .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))
            .tempfile_in(directory)
            .map_err(write)?;
        file.as_file_mut().write_all(self.to_text().as_bytes()).map_err(write)?;
        file.as_file().sync_all().map_err(write)?;
        file.persist(path).map_err(|error| write(error.error))?;
        Ok(())
    }

    /// Returns the file's text: JSON with one line for each input, so that a diff shows which
    /// changed.
    pub fn to_text(&self) -> String {
        let lines = |items: Vec<String>| {
            if items.is_empty() { String::new() } else { format!("\n    {}\n  ", items.join(",\n    ")) }
        };
        // Exhaustive: a new field that is not written does not compile.
        let Self { version, role, suite, arch, release, request, epoch, dates, packages, artifacts, images } = self;
        format!(
            "{{\n  \"version\": {version},\n  \"role\": {},\n  \"suite\": {},\n  \"arch\": {},\n  \"release\": {},\n  \
             \"request\": {},\n  \"epoch\": {epoch},\n  \"dates\": {},\n  \"packages\": [{}],\n  \"artifacts\": [{}],\n  \"images\": [{}]\n}}\n",
            json(role),
            json(suite),
            json(arch),
            json(release),
            json(request),
            json(dates),
            lines(packages.iter().map(json).collect()),
            lines(artifacts.iter().map(json).collect()),
            lines(images.iter().map(json).collect()),
        )
    }

    /// Combines the lock, read from `path`, with the `profile` it pins.
    ///
    /// # Errors
    /// [`LockError::Stale`] when the profile asks for something else, [`LockError::Series`] when
    /// its release needs another containerd.
    pub fn apply(self, profile: Profile, path: &Path) -> Result<Locked, LockError> {
        match self.stale(&profile) {
            Some(why) => Err(LockError::Stale { path: path.to_owned(), why, role: profile.role }),
            None => match series::check_series(&profile, &self.packages) {
                Ok(()) => Ok(Locked { profile, lock: self }),
                Err(source) => {
                    let place = profile.places.nearest(&series::KEY.into());
                    Err(LockError::Series { place, path: path.to_owned(), source: Box::new(source) })
                }
            },
        }
    }

    /// Returns an entry that does not have the version or the digest that the profile states: the lock
    /// was edited, because the digest of the request covers only the profile's side.
    fn other_pin(&self, profile: &Profile) -> Option<String> {
        let other = |what: &str, name: &str, pinned: &str, stated: &str| {
            (pinned != stated)
                .then(|| format!("it pins {name} with the {what} {pinned:?}, but the profile states {stated:?}"))
        };
        let digest = |name: &str, pinned: &Digest, stated: Option<Digest>| {
            stated.and_then(|stated| other("sha256", name, &pinned.to_string(), &stated.to_string()))
        };
        let artifacts = self.artifacts.iter().filter_map(|pinned| {
            let artifact = artifacts(profile).find(|artifact| artifact.name == pinned.name)?;
            other("version", &pinned.name, &pinned.version, &artifact.version)
                .or_else(|| digest(&pinned.name, &pinned.sha256, artifact.sha256))
        });
        let images = self.images.iter().filter_map(|pinned| {
            let file = profile.images.get(&pinned.name)?.file()?;
            digest(&pinned.name, &pinned.sha256, file.sha256)
        });
        artifacts.chain(images).next()
    }

    /// Returns the first difference between the lock and what `profile` asks for, if any.
    pub fn stale(&self, profile: &Profile) -> Option<String> {
        let differs = |what: &str, locked: &str, asked: &str| {
            (locked != asked).then(|| format!("it pins {what} {locked}, but the profile asks for {asked}"))
        };
        differs("suite", &self.suite, &profile.debian.suite)
            .or_else(|| differs("release", &self.release, &profile.release.name))
            .or_else(|| (self.arch != profile.arch).then(|| "it is for another architecture".to_owned()))
            .or_else(|| {
                let have: BTreeSet<&str> = self.artifacts.iter().map(|artifact| artifact.name.as_str()).collect();
                let missing = artifacts(profile).find(|artifact| !have.contains(artifact.name.as_str()))?;
                Some(format!("it does not pin artifact {}", missing.name))
            })
            .or_else(|| self.other_pin(profile))
            .or_else(|| {
                (self.request != request(profile))
                    .then(|| "the profile's packages, artifacts or images have changed since".to_owned())
            })
    }
}

/// A profile and the lock that pins all its inputs.
#[derive(Debug, Clone)]
pub struct Locked {
    profile: Profile,
    lock: Lock,
}

impl Locked {
    /// The profile.
    pub fn profile(&self) -> &Profile {
        &self.profile
    }

    /// The lock.
    pub fn lock(&self) -> &Lock {
        &self.lock
    }
}

/// Returns everything that a profile fetches besides Debian's packages, by name.
pub fn artifacts(profile: &Profile) -> impl Iterator<Item = &Artifact> {
    profile.release.components.values().chain(&profile.artifacts)
}

/// Returns the artifacts of a locked profile, each with its pin, in the order of the lock.
fn pinned(locked: &Locked) -> impl Iterator<Item = (&Artifact, &LockedArtifact)> {
    locked.lock.artifacts.iter().filter_map(|pinned| {
        let artifact = artifacts(&locked.profile).find(|artifact| artifact.name == pinned.name)?;
        Some((artifact, pinned))
    })
}

/// Returns the container images of a locked profile that are fetched, each with its pin, in the
/// order of the lock.
pub(crate) fn pinned_images(locked: &Locked) -> impl Iterator<Item = (&ImageSource, &LockedImage)> {
    locked.lock.images.iter().filter_map(|pinned| Some((locked.profile.images.get(&pinned.name)?, pinned)))
}

/// Returns all packages that a profile asks for by name: its own, the kernel, and the release's.
pub fn wanted_packages(profile: &Profile) -> BTreeSet<String> {
    let mut wanted = profile.debian.packages.clone();
    wanted.insert(profile.kernel.package.clone());
    wanted.extend(profile.release.packages.iter().cloned());
    wanted
}

/// Returns a digest of everything that decides which inputs are chosen.
fn request(profile: &Profile) -> Digest {
    #[derive(Serialize)]
    struct Request<'a> {
        suite: &'a str,
        components: &'a [String],
        arch: Arch,
        packages: BTreeSet<String>,
        exclude: &'a BTreeSet<String>,
        artifacts: BTreeMap<&'a str, (&'a str, String, &'a Option<Digest>)>,
        #[serde(skip_serializing_if = "BTreeMap::is_empty")]
        images: BTreeMap<&'a str, (String, Option<Digest>)>,
    }
    // A local file is identified by its name, so that a profile has the same lock in every checkout
    // and home directory.
    let source = |source: &ArtifactSource| match source {
        // As it is shown: a new password or signature does not change what is asked for, which
        // `sha256` says.
        ArtifactSource::Url(url) => url.to_string(),
        ArtifactSource::File(path) => path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
    };
    let image = |image: &ImageSource| match (image, image.file()) {
        (ImageSource::Registry(reference), _) => Some((reference.to_string(), None)),
        (_, file) => file.map(|file| (source(&file.source), file.sha256)),
    };
    let request = Request {
        suite: &profile.debian.suite,
        components: &profile.debian.components,
        arch: profile.arch,
        packages: wanted_packages(profile),
        exclude: &profile.debian.exclude,
        artifacts: artifacts(profile)
            .map(|artifact| {
                (artifact.name.as_str(), (artifact.version.as_str(), source(&artifact.source), &artifact.sha256))
            })
            .collect(),
        images: profile.images.iter().filter_map(|(name, source)| Some((name.as_str(), image(source)?))).collect(),
    };
    // Plain strings and maps always serialize.
    Digest::of(&serde_json::to_vec(&request).unwrap_or_default())
}

/// Formats serde_json's message without "at line … column …", which the place already says.
fn without_position(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rfind(" at line ") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}

/// Formats `value` as one line of JSON.
fn json(value: &impl Serialize) -> String {
    // Plain strings and numbers always serialize.
    serde_json::to_string(value).unwrap_or_default()
}
