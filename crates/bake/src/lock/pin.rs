//! Makes a lock: asks the archive which packages satisfy the profile, and pins them.

use super::series::{SeriesError, check_series};
use super::{Lock, LockedArtifact, LockedBlob, LockedImage, LockedPackage, artifacts, wanted_packages};
use jiff::Timestamp;
use kiln_cache::CacheError;
use kiln_profile::{AboutProfile, ArtifactSource, ImageSource, Key, Place, Profile, fields};
use kiln_progress::{Progress, Unit};
use kiln_source::deb::index::Index;
use kiln_source::deb::keyring::Keyring;
use kiln_source::deb::package::Archive;
use kiln_source::deb::packages::PackagesError;
use kiln_source::deb::repository::{self, RepositoryError, Request};
use kiln_source::deb::resolver::{self, ResolveError};
use kiln_source::deb::transport::{self, Transport, TransportError};
use kiln_source::fetch::{FetchError, Fetcher, Location, Tried, Want, Why, tried_text};
use kiln_source::http::{Client, Purpose};
use kiln_source::registry::RegistryError;
use kiln_tree::Digest;
use kiln_url::Url;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

/// Mirrors of Debian's archives, tried in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mirrors {
    /// For the main archive.
    pub main: Vec<Url>,
    /// For the security archive.
    pub security: Vec<Url>,
}

impl Mirrors {
    /// Returns the mirrors that have the packages of `archive`.
    pub fn of(&self, archive: Archive) -> &[Url] {
        match archive {
            Archive::Main | Archive::Updates => &self.main,
            Archive::Security => &self.security,
        }
    }
}

/// What pinning reads from.
#[derive(Debug)]
pub struct Sources<'a> {
    /// Fetches through the cache.
    pub fetcher: &'a Fetcher,
    /// Fetches without the cache.
    pub http: &'a Client,
    /// Debian's mirrors.
    pub mirrors: &'a Mirrors,
    /// The keys that Debian's indexes may be signed with.
    pub keyring: &'a Keyring,
    /// The current time.
    pub now: Timestamp,
    /// Whether an index past its `Valid-Until` is rejected.
    pub check_valid_until: bool,
}

/// Why a profile cannot be pinned.
#[derive(Debug, thiserror::Error)]
pub enum PinError {
    /// The archive's index cannot be obtained or is not trusted.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    /// An archive has no mirror.
    #[error("{key}: {source}; name one there, or with {option}")]
    NoMirror {
        /// The key that can name one.
        key: Key,
        /// The option that can name one.
        option: &'static str,
        /// The archive.
        source: RepositoryError,
    },
    /// The mirrors cannot serve the snapshot.
    #[error("{key}: {source}")]
    Snapshot {
        /// The key of the snapshot.
        key: Key,
        /// Why.
        source: RepositoryError,
    },
    /// The package index is malformed.
    #[error("reading the archive's package index: {0}")]
    Packages(#[from] PackagesError),
    /// No set of packages satisfies the profile.
    #[error("resolving the packages of role {role} on {suite}: {source}")]
    Resolve {
        /// The role.
        role: String,
        /// The suite.
        suite: String,
        /// The key that asks for the package that is wrong by itself.
        key: Option<Key>,
        /// Why.
        source: Box<ResolveError>,
    },
    /// The suite's containerd is not the one that the release configures.
    #[error(transparent)]
    Series(#[from] Box<SeriesError>),
    /// A local artifact cannot be read.
    #[error("artifact {source}")]
    Artifact {
        /// The key of the artifact.
        key: Key,
        /// Why.
        source: Box<FetchError>,
    },
    /// A registry's image cannot be obtained or used.
    #[error("{key}: resolving {reference}: {source}")]
    Image {
        /// The key of the image.
        key: Key,
        /// The reference.
        reference: String,
        /// Why.
        source: Box<RegistryError>,
    },
    /// An artifact or image from the network has no digest.
    #[error("{key}: it has a url but no sha256; add the digest that its publisher announces")]
    Unpinned {
        /// The key of the artifact or image.
        key: Key,
    },
    /// A setting of the profile turned out to be wrong.
    #[error("{place}: {source}")]
    Profile {
        /// The place in the profile.
        place: Place,
        /// What is wrong.
        source: Box<PinError>,
    },
}

impl AboutProfile for PinError {
    fn key(&self) -> Option<Key> {
        match self {
            Self::NoMirror { key, .. }
            | Self::Snapshot { key, .. }
            | Self::Artifact { key, .. }
            | Self::Image { key, .. }
            | Self::Unpinned { key } => Some(key.clone()),
            Self::Resolve { key, .. } => key.clone(),
            Self::Series(error) => error.key(),
            Self::Repository(_) | Self::Packages(_) | Self::Profile { .. } => None,
        }
    }
}

/// Adds the key of the profile that `error` is about, if any.
fn unusable(error: RepositoryError) -> PinError {
    match &error {
        RepositoryError::NoMirror { kind, .. } => {
            let (key, option) = match kind {
                Archive::Security => (fields::DEBIAN_SECURITY_MIRRORS, "--security-mirror"),
                Archive::Main | Archive::Updates => (fields::DEBIAN_MIRRORS, "--mirror"),
            };
            PinError::NoMirror { key: key.into(), option, source: error }
        }
        RepositoryError::Snapshot { .. } => PinError::Snapshot { key: fields::DEBIAN_SNAPSHOT.into(), source: error },
        RepositoryError::NoIndex { .. } => error.into(),
    }
}

/// Converts the resolver's error and adds the key that asks for the package it names.
fn unresolved(profile: &Profile, source: ResolveError) -> PinError {
    let key = match &source {
        ResolveError::Malformed { word: name, .. }
        | ResolveError::Unknown { name, .. }
        | ResolveError::Virtual { name, .. }
        | ResolveError::WantedAndExcluded { name } => profile.package_key(name),
        ResolveError::NoSuchVersion { name, version, .. } => profile.package_key(&format!("{name}={version}")),
        ResolveError::TwoVersions { .. } | ResolveError::Impossible { .. } | ResolveError::TooHard => None,
    };
    PinError::Resolve { role: profile.role.clone(), suite: profile.debian.suite.clone(), key, source: Box::new(source) }
}

/// Pins every input of `profile`.
///
/// # Errors
/// [`PinError`].
pub fn pin(profile: &Profile, sources: &Sources<'_>, progress: &Progress) -> Result<Lock, PinError> {
    pin_unplaced(profile, sources, progress).map_err(|error| match error.key() {
        Some(key) => PinError::Profile { place: profile.places.nearest(&key), source: Box::new(error) },
        None => error,
    })
}

/// Like [`pin`], but its errors do not have the place in the profile yet.
fn pin_unplaced(profile: &Profile, sources: &Sources<'_>, progress: &Progress) -> Result<Lock, PinError> {
    let phase = progress.phase("resolve", Unit::Items, 0);
    let debian = &profile.debian;
    let suites = repository::standard_suites(&debian.suite, &sources.mirrors.main, &sources.mirrors.security);
    let transport = CachedTransport { fetcher: sources.fetcher, http: sources.http };
    let verified = repository::load(
        &transport,
        &Request {
            suites: &suites,
            components: &debian.components,
            architecture: profile.arch.as_str(),
            snapshot: debian.snapshot.as_deref(),
            keyring: sources.keyring,
            now: sources.now,
            check_valid_until: sources.check_valid_until,
        },
    )
    .map_err(unusable)?;
    let mut dates = BTreeMap::new();
    let mut texts = Vec::new();
    for suite in verified.suites {
        dates.insert(suite.name.clone(), u32::try_from(suite.release.date.as_second()).unwrap_or(0));
        progress.detail(format_args!("{}: signed by {}", suite.name, signers(&suite.signers)));
        texts.extend(suite.packages.into_iter().map(|packages| (suite.kind, packages.text)));
    }
    let index = Index::read(profile.arch.as_str(), texts)?;
    let packages = resolver::resolve(&index, &wanted_packages(profile), &debian.exclude)
        .map_err(|source| unresolved(profile, source))?;
    let packages: Vec<LockedPackage> = packages
        .into_iter()
        .map(|package| LockedPackage {
            name: package.name,
            version: package.version.as_str().to_owned(),
            archive: package.archive.pool(),
            filename: package.filename,
            size: package.size,
            sha256: package.sha256,
        })
        .collect();
    check_series(profile, &packages).map_err(Box::new)?;
    let artifacts = pin_artifacts(profile, sources.fetcher)?;
    phase.finish();
    let images = pin_images(profile, sources.fetcher)?;
    Ok(Lock::new(profile, dates, packages, artifacts, images))
}

fn pin_artifacts(profile: &Profile, fetcher: &Fetcher) -> Result<Vec<LockedArtifact>, PinError> {
    let mut pinned = Vec::new();
    for artifact in artifacts(profile) {
        let key = || profile.artifact_key(&artifact.name);
        let (sha256, size) = pin_file(&artifact.name, key, &artifact.source, artifact.sha256, fetcher)?;
        pinned.push(LockedArtifact { name: artifact.name.clone(), version: artifact.version.clone(), sha256, size });
    }
    Ok(pinned)
}

/// A local file that changed after it was pinned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangedFile {
    /// `artifact kubelet`.
    pub what: String,
    /// The file.
    pub path: PathBuf,
}

impl std::fmt::Display for ChangedFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {} has changed since it was pinned", self.what, self.path.display())
    }
}

/// Pins local files whose digest is not in the profile again if they have changed since `lock` was
/// made; returns those. A file that no longer exists keeps its pin: the cache may have its bytes.
///
/// # Errors
/// [`PinError::Artifact`] when a file cannot be read.
pub fn repin_files(lock: &mut Lock, profile: &Profile) -> Result<Vec<ChangedFile>, PinError> {
    let place = |error: PinError| match error.key() {
        Some(key) => PinError::Profile { place: profile.places.nearest(&key), source: Box::new(error) },
        None => error,
    };
    let mut changed = Vec::new();
    for artifact in artifacts(profile) {
        let pinned = lock.artifacts.iter_mut().find(|pinned| pinned.name == artifact.name);
        let (Some(pinned), ArtifactSource::File(path), None) = (pinned, &artifact.source, artifact.sha256) else {
            continue;
        };
        let found = changed_file(path, &pinned.sha256);
        let key = || profile.artifact_key(&artifact.name);
        if let Some((sha256, size)) = found.map_err(|source| place(unreadable(&artifact.name, path, key(), &source)))? {
            (pinned.sha256, pinned.size) = (sha256, Some(size));
            changed.push(ChangedFile { what: format!("artifact {}", artifact.name), path: path.clone() });
        }
    }
    for (name, image) in &profile.images {
        let pinned = lock.images.iter_mut().find(|pinned| pinned.name == *name);
        let (Some(pinned), Some(file)) = (pinned, image.file()) else { continue };
        let (ArtifactSource::File(path), None) = (&file.source, file.sha256) else { continue };
        let found = changed_file(path, &pinned.sha256);
        if let Some((sha256, size)) =
            found.map_err(|source| place(unreadable(name, path, profile.image_key(name), &source)))?
        {
            (pinned.sha256, pinned.size) = (sha256, Some(size));
            changed.push(ChangedFile { what: format!("image {name}"), path: path.clone() });
        }
    }
    Ok(changed)
}

/// Digest and size of the file at `path` if it exists and does not have the digest `pinned`.
fn changed_file(path: &Path, pinned: &Digest) -> io::Result<Option<(Digest, u64)>> {
    match kiln_file::open(path) {
        Ok(mut file) => Digest::of_reader(&mut file).map(|found| Some(found).filter(|(digest, _)| digest != pinned)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn unreadable(name: &str, path: &Path, key: Key, source: &io::Error) -> PinError {
    let tried = Tried { location: path.display().to_string(), why: Why::File { error: source.to_string() } };
    PinError::Artifact { key, source: Box::new(FetchError::Failed { name: name.to_owned(), tried: vec![tried] }) }
}

/// Returns the digest of a file and, if it had to be read, its size.
fn pin_file(
    name: &str,
    key: impl Fn() -> Key,
    source: &ArtifactSource,
    sha256: Option<Digest>,
    fetcher: &Fetcher,
) -> Result<(Digest, Option<u64>), PinError> {
    match (source, sha256) {
        (_, Some(sha256)) => Ok((sha256, None)),
        (ArtifactSource::Url(_), None) => Err(PinError::Unpinned { key: key() }),
        (ArtifactSource::File(path), None) => {
            let stored = fetcher
                .fetch_unpinned(name, &Location::File(path.clone()))
                .map_err(|source| PinError::Artifact { key: key(), source: Box::new(source) })?;
            Ok((stored.digest, Some(stored.size)))
        }
    }
}

fn pin_images(profile: &Profile, fetcher: &Fetcher) -> Result<Vec<LockedImage>, PinError> {
    let mut pinned = Vec::new();
    for (name, image) in &profile.images {
        if let Some(file) = image.file() {
            let key = || profile.image_key(name);
            let (sha256, size) = pin_file(name, key, &file.source, file.sha256, fetcher)?;
            pinned.push(LockedImage { name: name.clone(), sha256, size, blobs: Vec::new() });
        }
        if let ImageSource::Registry(reference) = image {
            let resolved =
                fetcher.registries().resolve(reference, profile.arch.as_str()).map_err(|source| PinError::Image {
                    key: profile.image_key(name),
                    reference: reference.to_string(),
                    source: Box::new(source),
                })?;
            let blobs = resolved.blobs.into_iter().map(|(sha256, size)| LockedBlob { sha256, size }).collect();
            let (sha256, size) = (resolved.manifest, Some(resolved.size));
            pinned.push(LockedImage { name: name.clone(), sha256, size, blobs });
        }
    }
    Ok(pinned)
}

fn signers(signers: &[kiln_source::deb::signature::Signer]) -> String {
    let names: Vec<String> =
        signers.iter().map(|signer| format!("{} ({})", signer.owner, signer.fingerprint)).collect();
    names.join(", ")
}

/// Takes indexes by digest from the cache and fetches everything else again.
struct CachedTransport<'a> {
    fetcher: &'a Fetcher,
    http: &'a Client,
}

impl Transport for CachedTransport<'_> {
    fn get(&self, url: &Url, limit: u64) -> Result<Vec<u8>, TransportError> {
        self.http.to(Purpose::Mirror).get_bytes(url, limit).map_err(|error| {
            if error.is_gone() {
                TransportError::NotFound { url: url.clone() }
            } else {
                TransportError::Failed { url: url.clone(), reason: Box::new(error) }
            }
        })
    }

    fn get_by_digest(&self, urls: &[Url], digest: &Digest, size: u64) -> Result<Vec<u8>, TransportError> {
        let url = || urls.first().cloned().unwrap_or_else(|| digest.to_string().into());
        let want = Want {
            name: url().to_string(),
            digest: *digest,
            size: Some(size),
            from: urls.iter().map(|url| Location::Mirror(url.clone())).collect(),
        };
        let failed = |reason: Box<dyn std::error::Error + Send + Sync>| TransportError::Failed { url: url(), reason };
        let fetch = || {
            let paths = match self.fetcher.fetch_all(std::slice::from_ref(&want)) {
                Ok(paths) => paths,
                Err(FetchError::Gone { .. }) => return Err(TransportError::NotFound { url: url() }),
                // No lock names an index, so the advice for packages does not apply here.
                Err(FetchError::WrongContent { tried, .. }) => {
                    let advice =
                        "the mirror is being updated or was changed; try again later, or name another (--mirror)";
                    return Err(failed(format!("{}: {advice}", tried_text(&tried)).into()));
                }
                Err(FetchError::Failed { tried, .. }) => return Err(failed(tried_text(&tried).into())),
                Err(error) => return Err(failed(Box::new(error))),
            };
            let read = |path: &PathBuf| {
                kiln_file::read(path, size)
                    .map_err(|error| failed(format!("reading {}: {error}", path.display()).into()))
            };
            paths.first().map_or_else(|| Ok(Vec::new()), read)
        };
        let bytes = fetch()?;
        if transport::check(&bytes, digest, size).is_ok() {
            return Ok(bytes);
        }
        // The file was damaged in the cache after it was fetched: remove it and fetch it again.
        match self.fetcher.cache().open_blob(digest) {
            Ok(_) | Err(CacheError::Damaged { .. }) => fetch(),
            Err(error) => Err(failed(Box::new(error))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_about_a_missing_mirror_names_key_and_option() {
        let error = |kind, suite: &str| unusable(RepositoryError::NoMirror { suite: suite.into(), kind });
        let security = error(Archive::Security, "trixie-security");
        assert_eq!(
            security.to_string(),
            "debian.securityMirrors: there is no mirror for the suite trixie-security; name one there, or with --security-mirror"
        );
        assert_eq!(security.key(), Some(fields::DEBIAN_SECURITY_MIRRORS.into()));
        assert_eq!(error(Archive::Updates, "a").key(), Some(fields::DEBIAN_MIRRORS.into()));
    }
}
