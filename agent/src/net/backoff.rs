//! The wait before the next attempt: longer each time, with jitter, so that five hundred nodes do
//! not retry at once.

use super::random;
use std::time::Duration;

/// The first wait, before jitter.
const FIRST: Duration = Duration::from_secs(1);

/// Waits that double from one second up to a bound; each is a random 50 to 100 % of the full value.
#[derive(Debug)]
pub struct Backoff {
    next: Duration,
    longest: Duration,
}

impl Backoff {
    /// Makes waits of at most `longest`.
    pub fn new(longest: Duration) -> Self {
        Self { next: FIRST.min(longest), longest }
    }

    /// The wait before the next attempt; at least `asked`, which a server may request
    /// (`Retry-After`).
    pub fn wait(&mut self, asked: Option<Duration>) -> Duration {
        let full = self.next;
        self.next = (full * 2).min(self.longest);
        let share = u32::from(u16::from_be_bytes(random()));
        let wait = full / 2 + full / 2 * share / u32::from(u16::MAX);
        wait.max(asked.unwrap_or_default().min(self.longest * 2))
    }

    /// Resets to short waits, after success.
    pub fn reset(&mut self) {
        self.next = FIRST.min(self.longest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_bound_and_differ() {
        let longest = Duration::from_secs(30);
        let mut backoff = Backoff::new(longest);
        let mut full = FIRST;
        for _ in 0..10 {
            let wait = backoff.wait(None);
            assert!(wait >= full / 2 && wait <= full, "{wait:?} of {full:?}");
            full = (full * 2).min(longest);
        }
        assert_ne!(backoff.wait(None), backoff.wait(None), "no jitter");
        assert_eq!(backoff.wait(Some(Duration::from_secs(45))), Duration::from_secs(45));
        assert_eq!(
            backoff.wait(Some(Duration::from_secs(86_400))),
            longest * 2,
            "a server cannot stop a node for a day"
        );
        backoff.reset();
        assert!(backoff.wait(None) <= FIRST);
    }
}
