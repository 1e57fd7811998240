//! Answers and their bodies, which must not stall.

use super::error::{HttpError, HttpErrorKind};
use super::retry;
use kiln_url::Url;
use std::io::{self, Read};
use std::time::{Duration, Instant};
use ureq::http::{HeaderMap, Uri};

/// A body with fewer bytes a second than this, over the stall time, counts as stalled: at that rate
/// a kernel takes a day.
const MIN_RATE: u64 = 1024;

/// The body of an answer while it is received.
#[derive(Debug)]
pub struct Response {
    url: Url,
    /// The offset of the body in the whole document: the requested offset, or 0 if the server
    /// ignored it.
    pub offset: u64,
    /// Length of the whole document, if the server sends it.
    pub total: Option<u64>,
    body: Body,
}

impl Response {
    pub(super) fn new(
        url: &Url,
        (redirected, is_asked_server): (Option<&Uri>, bool),
        response: ureq::http::Response<ureq::Body>,
        asked: u64,
        stall: Duration,
    ) -> Result<Self, HttpError> {
        let length = response.body().content_length();
        let (offset, total) = match response.status().as_u16() {
            200 => (0, length),
            206 if asked > 0 => match content_range(response.headers()) {
                Some((start, total)) if start == asked => (start, total),
                _ => return Err(HttpError::new(url, HttpErrorKind::BadRange { asked }).reached(redirected)),
            },
            416 if asked > 0 => return Err(HttpError::new(url, HttpErrorKind::BadRange { asked }).reached(redirected)),
            status => {
                // Only the asked server may say how its own credentials are used.
                let challenges = response.headers().get_all("www-authenticate").iter().filter(|_| is_asked_server);
                let challenges = challenges.filter_map(|value| Some(value.to_str().ok()?.to_owned())).collect();
                let retry_after = retry::retry_after(response.headers());
                let kind = HttpErrorKind::Status { status, retry_after, challenges };
                return Err(HttpError::new(url, kind).reached(redirected));
            }
        };
        let reader = response.into_body().into_reader();
        let body = Body { reader: Box::new(reader), stall, window_start: Instant::now(), window_bytes: 0 };
        Ok(Self { url: url.clone(), offset, total, body })
    }

    /// Reads some bytes of the body; returns 0 at its end, but never for a truncated body.
    ///
    /// # Errors
    /// [`HttpError`] of the kind [`HttpErrorKind::Transport`].
    pub fn read(&mut self, buffer: &mut [u8]) -> Result<usize, HttpError> {
        self.body.read(buffer).map_err(|error| HttpError::new(&self.url, HttpErrorKind::from_body(error)))
    }

    /// Reads the whole body of a small document.
    ///
    /// # Errors
    /// [`HttpErrorKind::TooLarge`] when it has more than `limit` bytes, or those of
    /// [`Response::read`].
    pub fn bytes(mut self, limit: u64) -> Result<Vec<u8>, HttpError> {
        let too_large = HttpErrorKind::TooLarge { limit };
        if self.total.is_some_and(|total| total > limit) {
            return Err(HttpError::new(&self.url, too_large));
        }
        let mut bytes = Vec::new();
        let read = (&mut self.body).take(limit.saturating_add(1)).read_to_end(&mut bytes);
        read.map_err(|error| HttpError::new(&self.url, HttpErrorKind::from_body(error)))?;
        if bytes.len() as u64 > limit {
            return Err(HttpError::new(&self.url, too_large));
        }
        Ok(bytes)
    }
}

/// `(first byte, whole length)` of a `Content-Range: bytes 100-199/200` (RFC 9110, 14.4).
fn content_range(headers: &HeaderMap) -> Option<(u64, Option<u64>)> {
    let (range, total) = headers.get("content-range")?.to_str().ok()?.strip_prefix("bytes ")?.split_once('/')?;
    let (start, _) = range.split_once('-')?;
    Some((start.trim().parse().ok()?, total.trim().parse().ok()))
}

/// A body that fails when it stalls or is too slow.
struct Body {
    reader: Box<dyn Read + Send>,
    stall: Duration,
    window_start: Instant,
    window_bytes: u64,
}

impl Read for Body {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // The window starts with the read, because the caller's time does not count.
        if self.window_bytes == 0 {
            self.window_start = Instant::now();
        }
        let count = self.reader.read(buffer)?;
        self.window_bytes += count as u64;
        let enough = u128::from(MIN_RATE) * self.stall.as_millis() / 1000;
        if u128::from(self.window_bytes) >= enough.max(1) {
            self.window_bytes = 0;
        } else if count > 0 && self.window_start.elapsed() > self.stall {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "the server sends less than a kilobyte a second"));
        }
        Ok(count)
    }
}

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Body").finish_non_exhaustive()
    }
}
