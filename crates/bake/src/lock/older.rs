//! Whether a new lock goes back in time: a mirror, or whoever stands between, that serves an old index
//! with valid signatures takes away security updates without a trace (rollback and freeze attacks,
//! <https://theupdateframework.io/docs/security/>).

use super::Lock;
use jiff::Timestamp;
use std::collections::BTreeMap;

/// A suite whose index is older than the one that an earlier lock was made from.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the mirror has {suite} as of {new}, but the lock was made from it as of {old}: its packages would be {days} days older; \
     use another mirror (--mirror, --security-mirror), or allow this with \"kiln lock {role} --allow-older\""
)]
pub struct Older {
    /// The suite.
    suite: String,
    /// The date of the new index.
    new: String,
    /// The date of the old one.
    old: String,
    /// The difference, rounded up.
    days: u32,
    /// The role of the lock.
    role: String,
}

impl Lock {
    /// Returns the first suite of which this lock has an older index than `earlier` has.
    pub fn older_than(&self, earlier: &Self) -> Option<Older> {
        let (old, new) = (earlier.known_dates(), self.known_dates());
        let (suite, new, old) = new
            .iter()
            .find_map(|(suite, new)| old.get(suite).filter(|old| *old > new).map(|old| (suite, *new, *old)))?;
        Some(Older {
            suite: (*suite).to_owned(),
            new: day(new),
            old: day(old),
            days: (old - new).div_ceil(24 * 60 * 60),
            role: self.role.clone(),
        })
    }

    /// The dates by suite. A lock from before they were recorded has one for all its suites.
    fn known_dates(&self) -> BTreeMap<&str, u32> {
        if self.dates.is_empty() {
            return BTreeMap::from([(self.suite.as_str(), self.epoch)]);
        }
        self.dates.iter().map(|(suite, date)| (suite.as_str(), *date)).collect()
    }
}

fn day(seconds: u32) -> String {
    Timestamp::from_second(seconds.into()).map_or_else(|_| seconds.to_string(), |time| time.strftime("%F").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use kiln_profile::Arch;
    use kiln_tree::Digest;

    fn lock(suite: &str, dates: &[(&str, u32)], epoch: u32) -> Lock {
        Lock {
            version: super::super::VERSION,
            role: "worker".into(),
            suite: suite.into(),
            arch: Arch::Amd64,
            release: "v1.36.4".into(),
            request: Digest::of(b""),
            epoch,
            dates: dates.iter().map(|(suite, date)| ((*suite).to_owned(), *date)).collect(),
            packages: Vec::new(),
            artifacts: Vec::new(),
            images: Vec::new(),
        }
    }

    #[test]
    fn each_suite_is_compared_with_itself() {
        const DAY: u32 = 24 * 60 * 60;
        let old = lock("trixie", &[("trixie", 400 * DAY), ("trixie-security", 500 * DAY)], 500 * DAY);
        let same = old.clone();
        assert_eq!(same.older_than(&old), None);
        // Security is frozen while the suite itself moves on.
        let frozen = lock("trixie", &[("trixie", 600 * DAY), ("trixie-security", 500 * DAY - 1)], 600 * DAY);
        let error = frozen.older_than(&old).expect("older").to_string();
        assert!(error.starts_with("the mirror has trixie-security as of 1971-05-15, but"), "{error}");
        assert!(error.contains("1 days older") && error.contains("kiln lock worker --allow-older"), "{error}");
        assert_eq!(old.older_than(&frozen), Some(old.older_than(&frozen).expect("older")));
        // Another suite, and a suite that was not used before.
        assert_eq!(lock("bookworm", &[("bookworm", DAY)], DAY).older_than(&old), None);
        assert_eq!(old.older_than(&lock("trixie", &[("trixie", 400 * DAY)], 400 * DAY)), None);
        // A lock without dates.
        let earlier = lock("trixie", &[], 500 * DAY);
        assert!(old.older_than(&earlier).is_some(), "the date of one suite was that of all");
    }
}
