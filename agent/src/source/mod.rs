//! Where a seed comes from. The first of [`SOURCES`] that has one wins.

mod credential;

use crate::net::Network;
use crate::root::{FileError, Root};
use crate::seed::{MAX_SIZE, Seed, SeedError};
use crate::yaml;
use serde_json::Value;
use std::path::PathBuf;
use zeroize::Zeroizing;

/// One way a seed can be delivered.
pub struct Source {
    /// How the console calls it.
    pub name: &'static str,
    read: fn(&Places<'_>) -> Result<Option<Found>, SourceError>,
}

/// All of them, in the order they are asked.
pub const SOURCES: [Source; 1] = [Source { name: "systemd credential kiln.seed", read: credential::read }];

/// Where sources look.
#[derive(Debug)]
pub struct Places<'a> {
    /// Files.
    pub root: &'a Root,
    /// systemd's directory of the service's credentials.
    pub credentials: Option<PathBuf>,
    /// Servers.
    pub network: &'a Network,
}

/// The bytes of a seed.
pub struct Found {
    /// The document.
    pub bytes: Zeroizing<Vec<u8>>,
    /// Which of several, as a path or an address; may be empty.
    pub place: String,
}

/// Why a source that is there gives no seed.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// A file.
    #[error("{0}")]
    File(#[from] FileError),
}

/// Why there is no seed to go by.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A source failed; whatever comes after it must not win because of that.
    #[error("{source_name}: {error}")]
    Source {
        /// Its name.
        source_name: &'static str,
        /// Why.
        error: SourceError,
    },
    /// The document is no seed.
    #[error("the seed from {0}: {1}")]
    Seed(String, SeedError),
}

/// A seed, and where it came from.
pub struct Loaded {
    /// What it says.
    pub seed: Seed,
    /// The same as a document.
    pub document: Value,
    /// How to call the place it came from.
    pub from: String,
}

/// Asks all sources; `None` if none of them has a seed.
///
/// # Errors
/// [`LoadError`].
pub fn load(places: &Places<'_>) -> Result<Option<Loaded>, LoadError> {
    for source in &SOURCES {
        let found = (source.read)(places).map_err(|error| LoadError::Source { source_name: source.name, error })?;
        let Some(found) = found else { continue };
        let from =
            if found.place.is_empty() { source.name.to_owned() } else { format!("{} {}", source.name, found.place) };
        let (seed, document) = parse(&found.bytes).map_err(|error| LoadError::Seed(from.clone(), error))?;
        return Ok(Some(Loaded { seed, document, from }));
    }
    Ok(None)
}

fn parse(bytes: &[u8]) -> Result<(Seed, Value), SeedError> {
    let seed = Seed::parse(bytes)?;
    let text = std::str::from_utf8(bytes).map_err(|_| SeedError::NotText)?;
    Ok((seed, yaml::parse(text, MAX_SIZE)?))
}
