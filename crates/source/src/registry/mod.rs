//! Container registries: pulling by the OCI distribution specification, without a daemon.
//!
//! Every document and blob is named by digest and checked against it; only a tag is believed, once, when a lock is written.

mod auth;
mod credentials;

pub use credentials::{Credentials, CredentialsError};

use super::http::{Backoff, Client, Headers, HttpError, HttpErrorKind, Response};
use kiln_oci::{Descriptor, Document, DocumentError, MAX_CONFIG, MAX_DOCUMENT, Reference, for_arch, media_type};
use kiln_tree::Digest;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// How deep indexes may be nested.
const MAX_NESTING: usize = 3;

/// A client of all registries; clones share what they were authorized for.
#[derive(Debug, Clone)]
pub struct Registries {
    http: Client,
    credentials: Arc<Credentials>,
    /// `Authorization` by repository, once one was asked for.
    authorizations: Arc<Mutex<BTreeMap<String, String>>>,
}

/// A document or blob of a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Registry and repository.
    pub reference: Reference,
    /// What it is.
    pub kind: PartKind,
    /// Its digest.
    pub digest: Digest,
}

/// What a registry keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartKind {
    /// An index or manifest.
    Manifest,
    /// A configuration or layer.
    Blob,
}

/// An image as a registry has it for one architecture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// Digest of its manifest.
    pub manifest: Digest,
    /// Bytes of its manifest.
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
    /// A document is not what it should be.
    #[error("{url}: {source}")]
    Document {
        /// Where it is.
        url: String,
        /// What is wrong.
        source: DocumentError,
    },
    /// Not the bytes that were asked for.
    #[error(
        "{url} has sha256 {found} and {size} bytes, expected {expected}; the registry is damaged or was tampered with"
    )]
    WrongContent {
        /// Where it is.
        url: String,
        /// Digest, and size if known, asked for.
        expected: String,
        /// Digest of what came.
        found: Digest,
        /// Bytes that came.
        size: u64,
    },
}

impl Part {
    /// Its address.
    pub fn url(&self) -> String {
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

/// Without TLS only on this host, as containerd does.
fn url(reference: &Reference, kind: &str, name: &str) -> String {
    let scheme = if reference.is_local() { "http" } else { "https" };
    let host = match reference.registry.as_str() {
        "docker.io" => "registry-1.docker.io",
        host => host,
    };
    format!("{scheme}://{host}/v2/{}/{kind}/{name}", reference.repository)
}

impl Registries {
    /// A client that has `credentials`. Whether it may use the network is a setting of `http`.
    pub fn new(http: Client, credentials: Credentials) -> Self {
        Self { http, credentials: Arc::new(credentials), authorizations: Arc::default() }
    }

    /// One attempt to get `part` from byte `offset` on.
    ///
    /// # Errors
    /// [`HttpError`].
    pub fn get(&self, part: &Part, offset: u64) -> Result<Response, HttpError> {
        self.get_url(&part.reference, &part.url(), part.kind, offset)
    }

    /// What `reference` is for linux on `arch`.
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

    /// What a descriptor describes, and its address.
    fn described(
        &self,
        reference: &Reference,
        wanted: &Descriptor,
        kind: PartKind,
        limit: u64,
    ) -> Result<(String, Vec<u8>), RegistryError> {
        let url = Part { reference: reference.clone(), kind, digest: wanted.digest }.url();
        let bytes = self.document(reference, &url, kind, limit)?;
        check(&url, &bytes, &wanted.digest, Some(wanted.size))?;
        Ok((url, bytes))
    }

    /// All of a small document, with retries.
    fn document(&self, reference: &Reference, url: &str, kind: PartKind, limit: u64) -> Result<Vec<u8>, HttpError> {
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

    /// One attempt, and another one if the registry wants to know who asks.
    fn get_url(&self, reference: &Reference, url: &str, kind: PartKind, offset: u64) -> Result<Response, HttpError> {
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
        // A token may have expired meanwhile: then another one is as good as the first was.
        let authorization = auth::authorize(&self.http, &self.credentials, reference, challenges)
            .map_err(|why| HttpError::new(url, HttpErrorKind::Unauthorized { why }))?;
        self.authorizations().insert(repository, authorization.clone());
        headers.authorization = Some(authorization);
        self.http.get_with(url, offset, &headers)
    }

    fn authorizations(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, String>> {
        // A map that a panic left is as good as before.
        self.authorizations.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn check(url: &str, bytes: &[u8], digest: &Digest, size: Option<u64>) -> Result<(), RegistryError> {
    let (found, length) = (Digest::of(bytes), bytes.len() as u64);
    if found == *digest && size.is_none_or(|size| size == length) {
        return Ok(());
    }
    let expected = match size {
        Some(size) => format!("{digest} and {size} bytes"),
        None => digest.to_string(),
    };
    Err(RegistryError::WrongContent { url: url.to_owned(), expected, found, size: length })
}
