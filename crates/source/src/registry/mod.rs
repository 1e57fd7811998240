//! Container registries: pulls images with the OCI distribution specification, without a daemon.
//!
//! Every document and blob is named by its digest and verified against it; a tag is resolved only
//! once, when a lock is written.

mod auth;
mod credentials;

pub use credentials::{Credentials, CredentialsError};

use super::http::{Backoff, Client, Headers, HttpError, HttpErrorKind, Purpose, Response};
use kiln_oci::{Descriptor, Document, DocumentError, MAX_CONFIG, MAX_DOCUMENT, Reference, for_arch, media_type};
use kiln_tree::Digest;
use kiln_url::Url;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// The deepest nesting of indexes.
const MAX_NESTING: usize = 3;

/// A client of all registries; clones share authorizations.
#[derive(Debug, Clone)]
pub struct Registries {
    http: Client,
    credentials: Arc<Credentials>,
    /// The obtained `Authorization` by repository.
    authorizations: Arc<Mutex<BTreeMap<String, String>>>,
}

/// A document or blob of a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Registry and repository.
    pub reference: Reference,
    /// Its kind.
    pub kind: PartKind,
    /// Its digest.
    pub digest: Digest,
}

/// The kinds of content in a registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartKind {
    /// An index or manifest.
    Manifest,
    /// A configuration or layer.
    Blob,
}

/// An image in a registry for one architecture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// Digest of its manifest.
    pub manifest: Digest,
    /// The bytes of its manifest.
    pub size: u64,
    /// Digest and size of its configuration and layers.
    pub blobs: Vec<(Digest, u64)>,
}

/// Why an image could not be resolved.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// A request failed.
    #[error("{0}")]
    Http(#[from] HttpError),
    /// A document is invalid.
    #[error("{url}: {source}")]
    Document {
        /// Its URL.
        url: Url,
        /// The defect.
        source: DocumentError,
    },
    /// The bytes do not match the digest.
    #[error(
        "{url} has sha256 {found} and {size} bytes, expected {expected}; the registry is damaged or was tampered with"
    )]
    WrongContent {
        /// Its URL.
        url: Url,
        /// The expected digest, and the size if known.
        expected: String,
        /// The digest of the received bytes.
        found: Digest,
        /// The number of received bytes.
        size: u64,
    },
}

impl Part {
    /// Its URL.
    pub fn url(&self) -> Url {
        let kind = match self.kind {
            PartKind::Manifest => "manifests",
            PartKind::Blob => "blobs",
        };
        url(&self.reference, kind, &format!("sha256:{}", self.digest))
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Reference { registry, repository, .. } = &self.reference;
        write!(f, "{registry}/{repository}@sha256:{}", self.digest)
    }
}

/// TLS is omitted only on this host, as in containerd.
fn url(reference: &Reference, kind: &str, name: &str) -> Url {
    let scheme = if reference.is_local() { "http" } else { "https" };
    let host = match reference.registry.as_str() {
        "docker.io" => "registry-1.docker.io",
        host => host,
    };
    format!("{scheme}://{host}/v2/{}/{kind}/{name}", reference.repository).into()
}

impl Registries {
    /// Makes a client with `credentials`. `http` decides whether it may use the network.
    pub fn new(http: Client, credentials: Credentials) -> Self {
        Self { http: http.to(Purpose::Registry), credentials: Arc::new(credentials), authorizations: Arc::default() }
    }

    /// Makes one attempt to get `part` starting at byte `offset`.
    ///
    /// # Errors
    /// [`HttpError`].
    pub fn get(&self, part: &Part, offset: u64) -> Result<Response, HttpError> {
        self.get_url(&part.reference, &part.url(), part.kind, offset)
    }

    /// Resolves `reference` for linux on `arch`.
    ///
    /// # Errors
    /// [`RegistryError`].
    pub fn resolve(&self, reference: &Reference, arch: &str) -> Result<Resolved, RegistryError> {
        let name = match (&reference.digest, &reference.tag) {
            (Some(digest), _) => format!("sha256:{digest}"),
            (None, tag) => tag.clone().unwrap_or_else(|| "latest".into()),
        };
        let mut url = url(reference, "manifests", &name);
        let mut bytes = self.document(reference, &url, PartKind::Manifest, MAX_DOCUMENT)?;
        if let Some(digest) = &reference.digest {
            check(&url, &bytes, digest, None)?;
        }
        for _ in 0..=MAX_NESTING {
            let failed = |source| RegistryError::Document { url: url.clone(), source };
            match Document::parse(&bytes).map_err(failed)? {
                Document::Index(manifests) => {
                    let wanted = for_arch(&manifests, arch).map_err(failed)?;
                    (url, bytes) = self.described(reference, wanted, PartKind::Manifest, MAX_DOCUMENT)?;
                }
                Document::Manifest(manifest) => {
                    let (_, config) = self.described(reference, &manifest.config, PartKind::Blob, MAX_CONFIG)?;
                    manifest.check_config(&config, arch).map_err(failed)?;
                    let blobs = manifest.blobs().map(|blob| (blob.digest, blob.size)).collect();
                    return Ok(Resolved { manifest: Digest::of(&bytes), size: bytes.len() as u64, blobs });
                }
            }
        }
        let source = DocumentError::TooMuch(format!("{MAX_NESTING} indexes within each other"));
        Err(RegistryError::Document { url, source })
    }

    /// Fetches what a descriptor describes; returns it with its URL.
    fn described(
        &self,
        reference: &Reference,
        wanted: &Descriptor,
        kind: PartKind,
        limit: u64,
    ) -> Result<(Url, Vec<u8>), RegistryError> {
        let url = Part { reference: reference.clone(), kind, digest: wanted.digest }.url();
        let bytes = self.document(reference, &url, kind, limit)?;
        check(&url, &bytes, &wanted.digest, Some(wanted.size))?;
        Ok((url, bytes))
    }

    /// Fetches a small document with retries.
    fn document(&self, reference: &Reference, url: &Url, kind: PartKind, limit: u64) -> Result<Vec<u8>, HttpError> {
        let mut backoff = Backoff::new(&self.http.config().retry, url);
        loop {
            let error = match self.get_url(reference, url, kind, 0).and_then(|response| response.bytes(limit)) {
                Ok(bytes) => return Ok(bytes),
                Err(error) => error,
            };
            match backoff.after(&error) {
                Some(delay) => std::thread::sleep(delay),
                None => return Err(error.after_attempts(backoff.attempts())),
            }
        }
    }

    /// Makes one attempt, and another one if the registry requires an authorization.
    ///
    /// Only the registry itself is given one: not a server to which it redirects, whose challenge
    /// could name anybody as the one to send the password to.
    fn get_url(&self, reference: &Reference, url: &Url, kind: PartKind, offset: u64) -> Result<Response, HttpError> {
        let repository = format!("{}/{}", reference.registry, reference.repository);
        let accept = match kind {
            PartKind::Manifest => Some(media_type::DOCUMENTS.join(", ")),
            PartKind::Blob => None,
        };
        let known = self.authorizations().get(&repository).cloned();
        let mut headers = Headers { accept, authorization: known };
        let error = match self.http.get_with(url, offset, &headers) {
            Err(error) => error,
            response => return response,
        };
        let HttpErrorKind::Status { status: 401, challenges, .. } = &error.kind else { return Err(error) };
        if let (Some(elsewhere), true) = (&error.reached, challenges.is_empty()) {
            let why = format!(
                "{} redirects to {elsewhere}, which requires an authorization of its own; kiln sends credentials of a registry to nobody else",
                reference.registry
            );
            return Err(HttpError::new(url, HttpErrorKind::Unauthorized { why }));
        }
        // The token may have expired; then a new one is obtained.
        let authorization = auth::authorize(&self.http, &self.credentials, reference, challenges)
            .map_err(|why| HttpError::new(url, HttpErrorKind::Unauthorized { why }))?;
        self.authorizations().insert(repository, authorization.clone());
        headers.authorization = Some(authorization);
        self.http.get_with(url, offset, &headers).map_err(|error| match error.kind {
            HttpErrorKind::Status { status: 401, .. } if error.reached.is_none() => {
                let Reference { registry, repository, .. } = reference;
                let why = format!("{registry} answers 401 to what it asked for; check that the user in config.json may pull from {repository}");
                HttpError::new(url, HttpErrorKind::Unauthorized { why })
            }
            _ => error,
        })
    }

    fn authorizations(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, String>> {
        // The map is valid even after a panic.
        self.authorizations.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn check(url: &Url, bytes: &[u8], digest: &Digest, size: Option<u64>) -> Result<(), RegistryError> {
    let (found, length) = (Digest::of(bytes), bytes.len() as u64);
    if found == *digest && size.is_none_or(|size| size == length) {
        return Ok(());
    }
    let expected = match size {
        Some(size) => format!("{digest} and {size} bytes"),
        None => digest.to_string(),
    };
    Err(RegistryError::WrongContent { url: url.clone(), expected, found, size: length })
}
