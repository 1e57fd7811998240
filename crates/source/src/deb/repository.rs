//! Package indexes of an archive's suites: fetched, verified and unpacked.
//!
//! The chain of trust is keyring → signature of `InRelease` → its SHA-256 list → `Packages` → each
//! package. Nothing that a mirror sends is used before the previous link was verified. The caller's
//! [`Transport`] decides where bytes come from.

use super::control::{ControlError, Paragraphs};
use super::keyring::Keyring;
use super::package::Archive;
use super::release::{Release, ReleaseError, ReleaseFile, ReleaseMismatch};
use super::signature::{self, SignatureError, Signer};
use super::transport::{DigestMismatch, Transport, TransportError, check};
use super::unpack::{self, Compression, UnpackError};
use jiff::Timestamp;
use kiln_tree::Digest;
use kiln_url::Url;
use std::fmt;

/// The most bytes of an `InRelease`.
pub const MAX_RELEASE_BYTES: u64 = super::cleartext::MAX_MESSAGE_BYTES as u64;
/// The most bytes of a compressed `Packages` (Debian's: 10 MB).
pub const MAX_COMPRESSED_BYTES: u64 = 256 << 20;
/// The most bytes of an unpacked `Packages` (Debian's: 57 MB).
pub const MAX_PACKAGES_BYTES: u64 = 1 << 30;

/// A suite to load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SuiteRequest {
    /// Its role.
    pub kind: Archive,
    /// Its name below `dists/`.
    pub name: String,
    /// Mirrors, tried in order; `{snapshot}` stands for the snapshot's timestamp.
    pub mirrors: Vec<Url>,
}

/// The suites of a Debian release: `suite` and `suite-updates` of the main archive, and
/// `suite-security` of the security archive. A suite in development has only the first.
pub fn standard_suites(suite: &str, mirrors: &[Url], security_mirrors: &[Url]) -> Vec<SuiteRequest> {
    let request = |kind, suffix: &str, mirrors: &[Url]| SuiteRequest {
        kind,
        name: format!("{suite}{suffix}"),
        mirrors: mirrors.to_vec(),
    };
    let main = request(Archive::Main, "", mirrors);
    let Some(security) = kiln_debian::security_suffix(suite) else { return vec![main] };
    vec![
        main,
        request(Archive::Updates, kiln_debian::UPDATES, mirrors),
        request(Archive::Security, security, security_mirrors),
    ]
}

/// What to load, and which signatures to trust.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The suites, see [`standard_suites`].
    pub suites: &'a [SuiteRequest],
    /// Components, `main` first.
    pub components: &'a [String],
    /// Debian's name for the architecture; packages for all architectures are in the same index.
    pub architecture: &'a str,
    /// A snapshot's timestamp, which replaces `{snapshot}`; `Valid-Until` is then not checked.
    pub snapshot: Option<&'a str>,
    /// The trusted keys.
    pub keyring: &'a Keyring,
    /// The current time.
    pub now: Timestamp,
    /// Whether an expired index is rejected; ignored with a snapshot.
    pub check_valid_until: bool,
}

/// The verified indexes, in the order of the request.
#[derive(Debug, Clone)]
pub struct Index {
    /// The suites, at least one.
    pub suites: Vec<Suite>,
}

impl Index {
    /// The newest `Date` of all suites: a time that depends only on the inputs.
    pub fn date(&self) -> Timestamp {
        self.suites.iter().map(|suite| suite.release.date).max().unwrap_or(Timestamp::UNIX_EPOCH)
    }
}

/// The verified index of a suite.
#[derive(Debug, Clone)]
pub struct Suite {
    /// Its role.
    pub kind: Archive,
    /// Its name below `dists/`.
    pub name: String,
    /// The archive's declaration about it.
    pub release: Release,
    /// Who signed it.
    pub signers: Vec<Signer>,
    /// The digest of the fetched `InRelease`.
    pub in_release: Digest,
    /// The indexes, one per component.
    pub packages: Vec<PackagesIndex>,
}

/// A component's packages.
#[derive(Clone)]
pub struct PackagesIndex {
    /// `main`, …
    pub component: String,
    /// The text of `Packages`.
    pub text: String,
}

impl fmt::Debug for PackagesIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} bytes", self.component, self.text.len())
    }
}

/// Why no index can be used.
#[derive(Debug, thiserror::Error)]
pub enum RepositoryError {
    /// A suite's list of mirrors is empty.
    #[error("there is no mirror for the suite {suite}")]
    NoMirror {
        /// The suite.
        suite: String,
        /// The role of the suite.
        kind: Archive,
    },
    /// A mirror's URL has `{snapshot}` but there is no snapshot, or the other way round.
    #[error("the mirror {mirror} {problem}")]
    Snapshot {
        /// The URL.
        mirror: Url,
        /// The problem.
        problem: &'static str,
    },
    /// No mirror gave a usable index.
    #[error("loading the package index of {suite}: {}", Attempts(.attempts))]
    NoIndex {
        /// The suite.
        suite: String,
        /// The mirrors that were tried, and why they were not used.
        attempts: Vec<(Url, MirrorError)>,
    },
}

/// Why a mirror's index of a suite was not used.
#[derive(Debug, thiserror::Error)]
pub enum MirrorError {
    /// `InRelease` could not be fetched.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// `InRelease` is not signed by a trusted key.
    #[error("InRelease is rejected: {0}")]
    Signature(#[from] SignatureError),
    /// `InRelease` is signed but malformed.
    #[error("InRelease is signed, but cannot be read: {0}; use another mirror (--mirror)")]
    Release(#[from] ReleaseError),
    /// `InRelease` is signed, but is not the wanted one.
    #[error("InRelease is rejected: {0}")]
    Mismatch(#[from] ReleaseMismatch),
    /// There is no such index.
    #[error(
        "the suite has no packages of component {component:?} for {architecture:?}; it has {offered}: correct debian.components in the profile"
    )]
    NoPackages {
        /// The requested component.
        component: String,
        /// The requested architecture.
        architecture: String,
        /// Components and architectures of the suite.
        offered: String,
    },
    /// An index whose announced size would exhaust memory.
    #[error("{path} is announced with {size} bytes, more than the accepted {limit}; use another mirror (--mirror)")]
    TooLarge {
        /// The file, below `dists/<suite>/`.
        path: String,
        /// The announced size.
        size: u64,
        /// The accepted size.
        limit: u64,
    },
    /// `Packages` does not match `InRelease`.
    #[error("{path} is rejected: {why}; use another mirror (--mirror)")]
    Digest {
        /// The file, below `dists/<suite>/`.
        path: String,
        /// The difference.
        why: DigestMismatch,
    },
    /// `Packages` cannot be decompressed.
    #[error("{path} is rejected: {why}; use another mirror (--mirror)")]
    Unpack {
        /// The file, below `dists/<suite>/`.
        path: String,
        /// The cause.
        why: UnpackError,
    },
    /// `Packages` is not UTF-8 or not deb822.
    #[error("{path} is rejected: {reason}; use another mirror (--mirror)")]
    Text {
        /// The file, below `dists/<suite>/`.
        path: String,
        /// The cause.
        reason: String,
    },
}

struct Attempts<'a>(&'a [(Url, MirrorError)]);

impl fmt::Display for Attempts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (mirror, error)) in self.0.iter().enumerate() {
            write!(f, "{}{mirror}: {error}", if index > 0 { "; " } else { "" })?;
        }
        Ok(())
    }
}

/// Loads the suites of a request in parallel.
///
/// For each suite, mirrors are tried in order until one has a valid `InRelease` whose indexes are
/// available: from that mirror or, because their digests are known, from the others.
///
/// # Errors
/// A suite has no mirror, or none of its mirrors gave a usable index; the error has the reason for
/// each.
pub fn load(transport: &dyn Transport, request: &Request<'_>) -> Result<Index, RepositoryError> {
    let results: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> =
            request.suites.iter().map(|suite| scope.spawn(move || load_suite(transport, request, suite))).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    });
    Ok(Index { suites: results.into_iter().collect::<Result<_, _>>()? })
}

fn load_suite(
    transport: &dyn Transport,
    request: &Request<'_>,
    suite: &SuiteRequest,
) -> Result<Suite, RepositoryError> {
    let mirrors: Vec<Url> =
        suite.mirrors.iter().map(|mirror| expand(mirror, request.snapshot)).collect::<Result<_, _>>()?;
    if mirrors.is_empty() {
        return Err(RepositoryError::NoMirror { suite: suite.name.clone(), kind: suite.kind });
    }
    let mut attempts = Vec::new();
    for (position, mirror) in mirrors.iter().enumerate() {
        // The files that an InRelease announces are fetched first from the same mirror.
        let others = mirrors.iter().enumerate().filter(|(other, _)| *other != position).map(|(_, mirror)| mirror);
        let sources: Vec<&Url> = std::iter::once(mirror).chain(others).collect();
        match load_from(transport, request, suite, &sources) {
            Ok(suite) => return Ok(suite),
            Err(error) => attempts.push((mirror.clone(), error)),
        }
    }
    Err(RepositoryError::NoIndex { suite: suite.name.clone(), attempts })
}

/// Loads a suite as the first of `mirrors` announces it.
fn load_from(
    transport: &dyn Transport,
    request: &Request<'_>,
    suite: &SuiteRequest,
    mirrors: &[&Url],
) -> Result<Suite, MirrorError> {
    let bases: Vec<Url> = mirrors.iter().map(|mirror| mirror.under(&format!("dists/{}", suite.name))).collect();
    let Some(base) = bases.first() else {
        return Err(TransportError::NotFound { url: suite.name.as_str().into() }.into());
    };
    let message = transport.get(&base.under("InRelease"), MAX_RELEASE_BYTES)?;
    let verified = signature::verify(&message, request.keyring, request.now)?;
    let release = Release::parse(&verified.text)?;
    release.check(&suite.name, request.now, request.check_valid_until && request.snapshot.is_none())?;
    let packages = request
        .components
        .iter()
        .map(|component| load_packages(transport, &release, &bases, component, request.architecture))
        .collect::<Result<_, _>>()?;
    Ok(Suite {
        kind: suite.kind,
        name: suite.name.clone(),
        signers: verified.signers,
        in_release: Digest::of(&message),
        release,
        packages,
    })
}

fn load_packages(
    transport: &dyn Transport,
    release: &Release,
    bases: &[Url],
    component: &str,
    architecture: &str,
) -> Result<PackagesIndex, MirrorError> {
    let plain = format!("{component}/binary-{architecture}/Packages");
    let Some((path, compression, file)) = Compression::ALL.iter().find_map(|compression| {
        let path = format!("{plain}{}", compression.suffix());
        release.files.get(&path).map(|file| (path, *compression, *file))
    }) else {
        let offered = format!("components {} for {}", release.components.join(", "), release.architectures.join(", "));
        return Err(MirrorError::NoPackages {
            component: component.to_owned(),
            architecture: architecture.to_owned(),
            offered,
        });
    };
    let announced = release.files.get(&plain);
    let limit = announced.map_or(MAX_PACKAGES_BYTES, |plain| plain.size);
    for (path, size, limit) in [(&path, file.size, MAX_COMPRESSED_BYTES), (&plain, limit, MAX_PACKAGES_BYTES)] {
        if size > limit {
            return Err(MirrorError::TooLarge { path: path.clone(), size, limit });
        }
    }
    let bytes = transport.get_by_digest(&locations(release, bases, &path, &file), &file.digest, file.size)?;
    check(&bytes, &file.digest, file.size).map_err(|why| MirrorError::Digest { path: path.clone(), why })?;
    let text =
        unpack::unpack(bytes, compression, limit).map_err(|why| MirrorError::Unpack { path: path.clone(), why })?;
    if let Some(announced) = announced {
        check(&text, &announced.digest, announced.size).map_err(|why| MirrorError::Digest { path: plain, why })?;
    }
    let text = String::from_utf8(text)
        .map_err(|error| MirrorError::Text { path: path.clone(), reason: error.utf8_error().to_string() })?;
    first_paragraph(&text).map_err(|error| MirrorError::Text { path, reason: error.to_string() })?;
    Ok(PackagesIndex { component: component.to_owned(), text })
}

/// Detects early that a file is not an index; all paragraphs are parsed later.
fn first_paragraph(text: &str) -> Result<(), ControlError> {
    Paragraphs::new(text).next().transpose()?.map_or(Ok(()), |paragraph| paragraph.require("Package").map(drop))
}

/// The locations of a file: on each mirror by its digest, where it stays while the mirror is
/// updated, then by its name.
fn locations(release: &Release, bases: &[Url], path: &str, file: &ReleaseFile) -> Vec<Url> {
    let directory = path.rsplit_once('/').map_or("", |(directory, _)| directory);
    let mut urls = Vec::new();
    for base in bases {
        if release.acquire_by_hash {
            urls.push(base.under(&format!("{directory}/by-hash/SHA256/{}", file.digest)));
        }
        urls.push(base.under(path));
    }
    urls
}

/// A mirror's URL without `{snapshot}`.
fn expand(mirror: &Url, snapshot: Option<&str>) -> Result<Url, RepositoryError> {
    const PLACEHOLDER: &str = "{snapshot}";
    let error = |problem| RepositoryError::Snapshot { mirror: mirror.clone(), problem };
    match (mirror.expose().contains(PLACEHOLDER), snapshot) {
        (false, None) => Ok(mirror.clone()),
        (true, Some(snapshot)) => Ok(mirror.replace(PLACEHOLDER, snapshot)),
        (true, None) => Err(error("has {snapshot} in its URL, but no snapshot is set")),
        (false, Some(_)) => Err(error("has no {snapshot} in its URL, although a snapshot is set")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_has_three_suites_and_unstable_one() {
        let (main, security) = (["http://m/debian".into()], ["http://s/debian-security".into()]);
        let suites = standard_suites("trixie", &main, &security);
        let names: Vec<_> = suites.iter().map(|suite| (suite.name.as_str(), suite.mirrors[0].expose())).collect();
        assert_eq!(
            names,
            [
                ("trixie", "http://m/debian"),
                ("trixie-updates", "http://m/debian"),
                ("trixie-security", "http://s/debian-security")
            ]
        );
        assert_eq!(standard_suites("sid", &main, &security).len(), 1);
    }

    #[test]
    fn snapshots_need_a_placeholder_in_the_url() {
        let expand = |mirror: &str, snapshot| super::expand(&mirror.into(), snapshot);
        let expanded = expand("http://m/archive/{snapshot}/debian", Some("20261101T000000Z")).expect("expands");
        assert_eq!(expanded, "http://m/archive/20261101T000000Z/debian".into());
        assert_eq!(expand("http://m/debian", None).expect("expands"), "http://m/debian".into());
        let error = expand("http://user:secret@m/debian", Some("20261101T000000Z")).expect_err("refused").to_string();
        assert!(error.starts_with("the mirror http://***@m/debian has no {snapshot}"), "{error}");
        assert!(expand("http://m/{snapshot}", None).is_err());
    }

    #[test]
    fn digests_come_before_names() {
        let digest = Digest::of(b"");
        let mut release = Release {
            origin: None,
            suite: None,
            codename: None,
            date: Timestamp::UNIX_EPOCH,
            valid_until: None,
            components: vec![],
            architectures: vec![],
            acquire_by_hash: true,
            files: [].into(),
        };
        let bases = ["http://a/dists/x".into(), "http://b/dists/x".into()];
        let file = ReleaseFile { digest, size: 0 };
        let path = "main/binary-amd64/Packages.xz";
        let by_hash = format!("main/binary-amd64/by-hash/SHA256/{digest}");
        assert_eq!(
            locations(&release, &bases, path, &file),
            [
                format!("http://a/dists/x/{by_hash}"),
                format!("http://a/dists/x/{path}"),
                format!("http://b/dists/x/{by_hash}"),
                format!("http://b/dists/x/{path}"),
            ]
            .map(Url::from)
        );
        release.acquire_by_hash = false;
        assert_eq!(locations(&release, &bases, path, &file).len(), 2);
    }
}
