//! One attempt at one URL.

use super::Want;
use super::error::Why;
use crate::http::{HttpError, HttpErrorKind, Response};
use kiln_cache::{Cache, CacheError, Partial, Stored};
use kiln_progress::Phase;
use kiln_url::Url;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// The most bytes of an input of unknown size: more than any input has, but too few to fill a disk
/// unnoticed.
const MAX_SIZE: u64 = 16 << 30;

/// The result of an attempt, if the cache did not fail.
#[derive(Debug)]
pub(super) enum Attempt {
    /// The blob is in the cache.
    Complete(PathBuf),
    /// Stopped on request; the received bytes are kept.
    Stopped,
    /// This location failed.
    Failed(Why),
}

/// Requests the bytes starting at an offset.
pub(super) type Open<'a> = dyn Fn(u64) -> Result<Response, HttpError> + 'a;

/// The state of an attempt.
pub(super) struct Download<'a> {
    pub open: &'a Open<'a>,
    pub want: &'a Want,
    pub url: &'a Url,
    pub partial: &'a mut Partial,
    pub phase: &'a Phase,
    pub stop: &'a AtomicBool,
}

impl Download<'_> {
    /// Receives the missing bytes; starts again if they do not match those already received.
    pub(super) fn attempt(&mut self) -> Result<Attempt, CacheError> {
        let resumed = !self.partial.is_empty();
        let attempt = self.receive()?;
        let misfit = match &attempt {
            // The bytes may have come from another mirror, or from this one before it was updated.
            // A server that only announces a wrong size has not changed them, though.
            Attempt::Failed(Why::WrongDigest { .. } | Why::WrongSize { .. }) => self.partial.is_empty(),
            Attempt::Failed(Why::Http(error)) => matches!(error.kind, HttpErrorKind::BadRange { .. }),
            _ => false,
        };
        if !(resumed && misfit) {
            return Ok(attempt);
        }
        self.restart()?;
        self.receive()
    }

    fn restart(&mut self) -> Result<(), CacheError> {
        self.phase.undo(self.partial.len());
        self.partial.restart()
    }

    fn receive(&mut self) -> Result<Attempt, CacheError> {
        let mut response = match (self.open)(self.partial.len()) {
            Ok(response) => response,
            Err(error) => return Ok(Attempt::Failed(Why::Http(error))),
        };
        if let (Some(expected), Some(found)) = (self.want.size, response.total)
            && expected != found
        {
            return Ok(Attempt::Failed(Why::WrongSize { expected, found }));
        }
        if response.offset == 0 && !self.partial.is_empty() {
            self.restart()?;
        }
        if let Some(end) = self.receive_body(&mut response)? {
            return Ok(end);
        }
        if let Some(expected) = self.want.size
            && self.partial.len() < expected
        {
            let why = format!("the body ends after {} of {expected} bytes", self.partial.len());
            let error = HttpError::new(self.url, HttpErrorKind::Transport { why, proxy: None });
            return Ok(Attempt::Failed(Why::Http(error)));
        }
        land(self.partial, self.phase)
    }

    /// Returns `None` when the body was received completely.
    fn receive_body(&mut self, response: &mut Response) -> Result<Option<Attempt>, CacheError> {
        let limit = self.want.size.unwrap_or(MAX_SIZE);
        let mut buffer = vec![0; 128 * 1024];
        loop {
            if self.stop.load(Relaxed) {
                return Ok(Some(Attempt::Stopped));
            }
            let count = match response.read(&mut buffer) {
                Ok(0) => return Ok(None),
                Ok(count) => count,
                Err(error) => return Ok(Some(Attempt::Failed(Why::Http(error)))),
            };
            let found = self.partial.len() + count as u64;
            if found > limit {
                self.restart()?;
                return Ok(Some(Attempt::Failed(Why::WrongSize { expected: limit, found })));
            }
            self.partial.append(&buffer[..count])?;
            self.phase.inc(count as u64);
        }
    }
}

/// Stores a completely received partial as the blob; empties it if it is wrong.
pub(super) fn land(partial: &mut Partial, phase: &Phase) -> Result<Attempt, CacheError> {
    match partial.land() {
        Ok(path) => Ok(Attempt::Complete(path)),
        Err(CacheError::Mismatch { expected, found, .. }) if expected != found => {
            phase.undo(partial.len());
            partial.restart()?;
            Ok(Attempt::Failed(Why::WrongDigest { expected, found }))
        }
        Err(CacheError::Mismatch { expected_size, found_size, .. }) => {
            phase.undo(partial.len());
            partial.restart()?;
            Ok(Attempt::Failed(Why::WrongSize { expected: expected_size.unwrap_or(found_size), found: found_size }))
        }
        Err(error) => Err(error),
    }
}

/// Receives something whose digest is not known. The outer error is the cache's, the inner one the
/// server's.
pub(super) fn unpinned(open: &Open<'_>, cache: &Cache, url: &Url) -> Result<Result<Stored, HttpError>, CacheError> {
    let mut response = match open(0) {
        Ok(response) => response,
        Err(error) => return Ok(Err(error)),
    };
    let mut writer = cache.blob_writer()?;
    let mut buffer = vec![0; 128 * 1024];
    let mut total = 0;
    loop {
        match response.read(&mut buffer) {
            Ok(0) => return writer.finish().map(Ok),
            Ok(count) => {
                total += count as u64;
                if total > MAX_SIZE {
                    return Ok(Err(HttpError::new(url, HttpErrorKind::TooLarge { limit: MAX_SIZE })));
                }
                writer.append(&buffer[..count])?;
            }
            Err(error) => return Ok(Err(error)),
        }
    }
}
