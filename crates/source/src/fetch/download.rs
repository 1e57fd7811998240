//! One attempt at one URL.

use super::Want;
use super::error::Why;
use crate::http::{HttpError, HttpErrorKind, Response};
use kiln_cache::{Cache, CacheError, Partial, Stored};
use kiln_progress::Phase;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Bytes an input of unknown size may have: more than any, less than what fills a disk unnoticed.
const MAX_SIZE: u64 = 16 << 30;

/// How an attempt ended, as far as the cache is sound.
#[derive(Debug)]
pub(super) enum Attempt {
    /// The blob is in the cache.
    Complete(PathBuf),
    /// Told to stop; what was received is kept.
    Stopped,
    /// Not from here, not now.
    Failed(Why),
}

/// Asks for the bytes from an offset on.
pub(super) type Open<'a> = dyn Fn(u64) -> Result<Response, HttpError> + 'a;

/// What an attempt works with.
pub(super) struct Download<'a> {
    pub open: &'a Open<'a>,
    pub want: &'a Want,
    pub url: &'a str,
    pub partial: &'a mut Partial,
    pub phase: &'a Phase,
    pub stop: &'a AtomicBool,
}

impl Download<'_> {
    /// Receives what is missing; starts over when that does not fit what is there.
    pub fn attempt(&mut self) -> Result<Attempt, CacheError> {
        let resumed = !self.partial.is_empty();
        let attempt = self.receive()?;
        let misfit = match &attempt {
            // What was there may have come from another mirror, or from this one before it was updated. A server
            // that only announces a wrong size has not spoilt it, though.
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

    /// `None` when the body has been received to its end.
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

/// Lands a partial that was received to its end; one that is wrong is emptied.
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

/// Receives something whose digest is not known. Outer error: the cache; inner: the server.
pub(super) fn unpinned(open: &Open<'_>, cache: &Cache, url: &str) -> Result<Result<Stored, HttpError>, CacheError> {
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
