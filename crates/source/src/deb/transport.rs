//! What a repository needs of the network: two ways to get bytes, implemented by the caller.

use kiln_tree::Digest;

/// Fetches files of a mirror.
pub trait Transport: Sync {
    /// Fetches `url` anew (never from a cache), at most `limit` bytes.
    ///
    /// # Errors
    /// [`TransportError::NotFound`] if the mirror has no such file, else [`TransportError::Failed`], also if it is larger.
    fn get(&self, url: &str, limit: u64) -> Result<Vec<u8>, TransportError>;

    /// Fetches the file with this digest and size from the first of `urls` that has it. An implementation may answer from a
    /// cache, since the bytes cannot differ; the caller checks them in any case.
    ///
    /// # Errors
    /// None of `urls` gave these bytes; the error is that of the last, or of the one that says most.
    fn get_by_digest(&self, urls: &[String], digest: &Digest, size: u64) -> Result<Vec<u8>, TransportError> {
        let mut first = None;
        for url in urls {
            let result = self.get(url, size).and_then(|bytes| match check(&bytes, digest, size) {
                Ok(()) => Ok(bytes),
                Err(why) => Err(TransportError::Failed { url: url.clone(), reason: format!("{url}: {why}").into() }),
            });
            match result {
                Ok(bytes) => return Ok(bytes),
                // What went wrong says more than that a second mirror has no such file.
                Err(error) if matches!(first, None | Some(TransportError::NotFound { .. })) => first = Some(error),
                Err(_) => {}
            }
        }
        Err(first.unwrap_or_else(|| TransportError::NotFound { url: digest.to_string() }))
    }
}

/// A file that a [`Transport`] could not get.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// The mirror answered that it has no such file.
    #[error("{url} does not exist; check the mirror's URL and the suite, or name another mirror (--mirror)")]
    NotFound {
        /// What was asked for.
        url: String,
    },
    /// Anything else.
    #[error("{reason}")]
    Failed {
        /// What was asked for.
        url: String,
        /// Why, with the URL.
        reason: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Bytes that are not those announced.
#[derive(Debug, Clone, Copy, thiserror::Error, PartialEq, Eq)]
pub enum DigestMismatch {
    /// Another number of bytes.
    #[error("it has {found} bytes where {wanted} were announced: it was cut short or changed")]
    Size {
        /// As announced.
        wanted: u64,
        /// As received.
        found: u64,
    },
    /// Other bytes.
    #[error("its sha256 is {found} where {wanted} was announced: it was changed, or the mirror is being updated")]
    Digest {
        /// As announced.
        wanted: Digest,
        /// As received.
        found: Digest,
    },
}

/// Whether bytes are those announced.
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
