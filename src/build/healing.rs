//! Builds that find their cache damaged.

use super::{BuildError, Means, told_once};

/// Damage hides damage: an input is only read once what was derived from it is gone.
const ATTEMPTS: usize = 4;

/// Tries again what failed because of damaged files in the cache: each is removed when it is found, so the next try fetches
/// or makes it anew.
///
/// # Errors
/// That of the last attempt.
pub(super) fn healing<T>(means: &Means<'_>, attempt: impl Fn() -> Result<T, BuildError>) -> Result<T, BuildError> {
    let cache = means.cache();
    let mut known = cache.damage_found();
    for _ in 0..ATTEMPTS {
        let result = attempt();
        let found = cache.damage_found();
        match result {
            Err(error) if found > known && !cache.is_read_only() => {
                means
                    .progress
                    .warn(format_args!("a file in the cache was damaged and is replaced ({})", told_once(&error)));
                known = found;
            }
            result => return result,
        }
    }
    attempt()
}
