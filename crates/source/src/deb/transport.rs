//! The repository's interface to the network: two ways to fetch bytes, which the caller implements.

use kiln_tree::Digest;
use kiln_url::Url;

/// Fetches files of a mirror.
pub trait Transport: Sync {
    /// Fetches `url` from the network, never from a cache, and at most `limit` bytes.
    ///
    /// # Errors
    /// [`TransportError::NotFound`] if the mirror has no such file, otherwise
    /// [`TransportError::Failed`], also if the file is larger.
    fn get(&self, url: &Url, limit: u64) -> Result<Vec<u8>, TransportError>;

    /// Fetches the file with this digest and size from the first of `urls` that has it. An
    /// implementation may answer from a cache, because the bytes cannot differ; the caller verifies
    /// them in any case.
    ///
    /// # Errors
    /// None of `urls` gave these bytes; the error is the last one or the most informative one.
    fn get_by_digest(&self, urls: &[Url], digest: &Digest, size: u64) -> Result<Vec<u8>, TransportError> {
        let mut first = None;
        for url in urls {
            let result = self.get(url, size).and_then(|bytes| match check(&bytes, digest, size) {
                Ok(()) => Ok(bytes),
                Err(why) => Err(TransportError::Failed { url: url.clone(), reason: format!("{url}: {why}").into() }),
            });
            match result {
                Ok(bytes) => return Ok(bytes),
                // Another failure is more informative than that a second mirror has no such file.
                Err(error) if matches!(first, None | Some(TransportError::NotFound { .. })) => first = Some(error),
                Err(_) => {}
            }
        }
        Err(first.unwrap_or_else(|| TransportError::NotFound { url: digest.to_string().into() }))
    }
}

/// Why a [`Transport`] could not fetch a file.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// The mirror answered that it has no such file.
    #[error("{url} does not exist; check the mirror's URL and the suite, or name another mirror (--mirror)")]
    NotFound {
        /// The requested URL.
        url: Url,
    },
    /// Anything else.
    #[error("{reason}")]
    Failed {
        /// The requested URL.
        url: Url,
        /// The cause, with the URL.
        reason: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Why bytes do not match the announcement.
#[derive(Debug, Clone, Copy, thiserror::Error, PartialEq, Eq)]
pub enum DigestMismatch {
    /// The size differs.
    #[error("it has {found} bytes, but {wanted} were announced: it was cut short or changed")]
    Size {
        /// The announced size.
        wanted: u64,
        /// The received size.
        found: u64,
    },
    /// The digest differs.
    #[error("its sha256 is {found}, but {wanted} was announced: it was changed, or the mirror is being updated")]
    Digest {
        /// The announced digest.
        wanted: Digest,
        /// The received digest.
        found: Digest,
    },
}

/// Checks that bytes match the announced digest and size.
///
/// # Errors
/// Size or digest differ.
pub fn check(bytes: &[u8], digest: &Digest, size: u64) -> Result<(), DigestMismatch> {
    let found = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    if found != size {
        return Err(DigestMismatch::Size { wanted: size, found });
    }
    let found = Digest::of(bytes);
    if found == *digest { Ok(()) } else { Err(DigestMismatch::Digest { wanted: *digest, found }) }
}
