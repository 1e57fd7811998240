//! Retries: exponential back-off with jitter, or the pause that the server requests.

use super::error::{HttpError, HttpErrorKind};
use jiff::fmt::rfc2822;
use kiln_tree::Digest;
use kiln_url::Url;
use std::time::Duration;
use ureq::http::HeaderMap;

/// The number of retries and the pauses between them.
#[derive(Debug, Clone)]
pub struct RetryPolicy {
    /// The total number of attempts, at least 1.
    pub attempts: u32,
    /// Pause after the first failure; it doubles with every further one.
    pub first_delay: Duration,
    /// The longest pause, also for a server's `Retry-After`.
    pub max_delay: Duration,
    /// The seed of the jitter, so that many machines do not retry at the same time.
    pub seed: u64,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self { attempts: 4, first_delay: Duration::from_millis(500), max_delay: Duration::from_secs(60), seed: 0 }
    }
}

/// The state of the attempts at one URL.
#[derive(Debug)]
pub struct Backoff {
    policy: RetryPolicy,
    attempts: u32,
    random: u64,
}

impl Backoff {
    /// Starts without attempts.
    pub fn new(policy: &RetryPolicy, url: &Url) -> Self {
        let mut first = [0; 8];
        first.copy_from_slice(&Digest::of(url.expose().as_bytes()).as_bytes()[..8]);
        Self { policy: policy.clone(), attempts: 0, random: u64::from_le_bytes(first) ^ policy.seed }
    }

    /// Counts a failed attempt; returns the pause before the next one, or `None` if there should be
    /// none.
    ///
    /// The pause is between half and all of the exponential delay, or the pause that the server
    /// requested.
    pub fn after(&mut self, error: &HttpError) -> Option<Duration> {
        self.attempts += 1;
        if self.attempts >= self.policy.attempts || !error.is_transient() {
            return None;
        }
        if let HttpErrorKind::Status { retry_after: Some(delay), .. } = error.kind {
            return Some(delay.min(self.policy.max_delay));
        }
        let doublings = (self.attempts - 1).min(16);
        let delay = self.policy.first_delay.saturating_mul(1 << doublings).min(self.policy.max_delay);
        Some(delay / 2 + delay.mul_f64(self.fraction() / 2.0))
    }

    /// Forgets failures after progress was made.
    pub fn reset(&mut self) {
        self.attempts = 0;
    }

    /// Failed attempts so far.
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// A number in 0..1, by SplitMix64: good enough for jitter.
    fn fraction(&mut self) -> f64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        f64::from(u32::try_from((mixed ^ (mixed >> 31)) >> 32).unwrap_or(0)) / (f64::from(u32::MAX) + 1.0)
    }
}

/// The pause that a server requests in `Retry-After`: seconds, or a date. The date is interpreted
/// relative to the server's `Date`, so it does not depend on our clock (RFC 9110, 10.2.3).
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get("retry-after")?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = rfc2822::parse(value).ok()?.timestamp();
    let now = rfc2822::parse(headers.get("date")?.to_str().ok()?.trim()).ok()?.timestamp();
    Some(u64::try_from(until.as_second() - now.as_second()).map_or(Duration::ZERO, Duration::from_secs))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused() -> HttpError {
        HttpError::new(
            &"http://h/".into(),
            HttpErrorKind::Status { status: 503, retry_after: None, challenges: vec![] },
        )
    }

    #[test]
    fn pauses_double_within_their_jitter_and_end() {
        let policy = RetryPolicy { attempts: 6, first_delay: Duration::from_secs(1), ..RetryPolicy::default() };
        let mut backoff = Backoff::new(&policy, &"http://h/".into());
        for full in [1, 2, 4, 8, 16] {
            let delay = backoff.after(&refused()).expect("another attempt");
            assert!(delay >= Duration::from_secs(full) / 2 && delay <= Duration::from_secs(full), "{delay:?} {full}");
        }
        assert_eq!(backoff.after(&refused()), None);
        assert_eq!(backoff.attempts(), 6);
        backoff.reset();
        assert!(backoff.after(&refused()).is_some());
    }

    #[test]
    fn jitter_depends_on_seed_and_url_only() {
        let delay = |seed, url: &str| {
            let policy = RetryPolicy { seed, ..RetryPolicy::default() };
            Backoff::new(&policy, &Url::from(url)).after(&refused())
        };
        assert_eq!(delay(1, "http://h/"), delay(1, "http://h/"));
        assert_ne!(delay(1, "http://h/"), delay(2, "http://h/"));
        assert_ne!(delay(1, "http://h/"), delay(1, "http://g/"));
    }

    #[test]
    fn a_server_can_request_a_pause_up_to_the_limit() {
        let policy = RetryPolicy::default();
        let after = |seconds| {
            let kind = HttpErrorKind::Status {
                status: 429,
                retry_after: Some(Duration::from_secs(seconds)),
                challenges: vec![],
            };
            Backoff::new(&policy, &"http://h/".into()).after(&HttpError::new(&"http://h/".into(), kind))
        };
        assert_eq!(after(7), Some(Duration::from_secs(7)));
        assert_eq!(after(100_000), Some(policy.max_delay));
    }

    #[test]
    fn permanent_failures_are_not_repeated() {
        for status in [400, 401, 403, 404, 410] {
            let error = HttpError::new(
                &"http://h/".into(),
                HttpErrorKind::Status { status, retry_after: None, challenges: vec![] },
            );
            assert_eq!(Backoff::new(&RetryPolicy::default(), &"http://h/".into()).after(&error), None, "{status}");
        }
    }

    proptest::proptest! {
        #[test]
        fn arbitrary_headers_never_panic(after in "[0-9A-Za-z:, +-]{0,40}", date in "[0-9A-Za-z:, +-]{0,40}") {
            let mut headers = HeaderMap::new();
            headers.insert("retry-after", after.parse().expect("a header"));
            headers.insert("date", date.parse().expect("a header"));
            let _ = retry_after(&headers);
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let parse = |after: &str, date: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("retry-after", after.parse().expect("a header"));
            headers.insert("date", date.parse().expect("a header"));
            retry_after(&headers)
        };
        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        assert_eq!(parse("120", date), Some(Duration::from_secs(120)));
        assert_eq!(parse("Sun, 06 Nov 1994 08:50:00 GMT", date), Some(Duration::from_secs(23)));
        assert_eq!(parse("Sun, 06 Nov 1994 08:00:00 GMT", date), Some(Duration::ZERO));
        assert_eq!(parse("soon", date), None);
        assert_eq!(parse("99999999999999999999999", date), None);
    }
}
