//! Fetches the inputs of a lock into the cache.

use super::BuildError;
use kiln_bake::lock::{Fetched, InputRole, Locked, Mirrors};
use kiln_source::fetch::{FetchError, Fetcher, MissingInput};

/// Fetches every input of `locked` that the cache does not have.
///
/// # Errors
/// [`BuildError::Gone`] and [`BuildError::Fetch`].
pub(super) fn fetch(fetcher: &Fetcher, mirrors: &Mirrors, locked: &Locked) -> Result<Fetched, BuildError> {
    let wants = locked.wants(mirrors);
    match fetcher.fetch_all(&wants) {
        Ok(files) => Ok(wants.iter().map(|want| want.digest).zip(files).collect()),
        Err(FetchError::Gone { inputs }) => {
            let advice = advice(locked, &inputs);
            Err(BuildError::Gone { source: Box::new(FetchError::Gone { inputs }), advice })
        }
        Err(error) => Err(BuildError::Fetch(error)),
    }
}

/// What to do about missing inputs: the URLs of packages come from the lock, those of all other
/// inputs from the profile.
fn advice(locked: &Locked, gone: &[MissingInput]) -> String {
    let inputs = locked.inputs();
    let mut packages = inputs.iter().filter(|input| matches!(input.role, InputRole::Package(_)));
    if packages.any(|package| gone.iter().any(|missing| missing.digest == package.digest)) {
        format!("pin what the mirror has now with \"kiln lock {}\"", locked.profile().role)
    } else {
        "correct the url in the profile or release".to_owned()
    }
}
