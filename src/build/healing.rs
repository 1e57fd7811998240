//! Repeats builds that find damaged files in the cache.

use super::{BuildError, Means, format_error};

/// More than one, because an input is read only after damaged data derived from it was removed.
const ATTEMPTS: usize = 4;

/// Repeats `attempt` when it fails because of damaged files in the cache: each is removed when it
/// is found, so the next attempt fetches or makes it again.
///
/// # Errors
/// The error of the last attempt.
pub(super) fn retry_after_damage<T>(
    means: &Means<'_>,
    attempt: impl Fn() -> Result<T, BuildError>,
) -> Result<T, BuildError> {
    let cache = means.cache();
    let mut known = cache.damage_found();
    for _ in 0..ATTEMPTS {
        let result = attempt();
        let found = cache.damage_found();
        match result {
            Err(error) if found > known && !cache.is_read_only() => {
                means
                    .progress
                    .warn(format_args!("a file in the cache was damaged and is replaced ({})", format_error(&error)));
                known = found;
            }
            result => return result,
        }
    }
    attempt()
}
