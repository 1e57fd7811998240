//! Why inputs could not be fetched.

use super::Want;
use crate::http::HttpError;
use kiln_cache::CacheError;
use kiln_tree::Digest;
use std::fmt;
use std::io;

/// The number of names that are listed; the rest is only counted.
const LISTED: usize = 10;

/// Why not all inputs are in the cache.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// No location has these inputs (any longer): the lock is older than what the mirrors keep.
    #[error("{} no longer where the lock says: {}", if inputs.len() == 1 { "an input is" } else { "inputs are" }, listed(inputs, |input| format!("{} ({})", input.name, join(&input.from))))]
    Gone {
        /// The inputs, in the order of the request.
        inputs: Vec<MissingInput>,
    },
    /// The network must not be used, but the cache lacks inputs.
    #[error("--offline, and the cache lacks {} of {total} inputs: {}; run the same command once without --offline", missing.len(), listed(missing, |input| format!("{} ({})", input.name, join(&input.from))))]
    Offline {
        /// The missing inputs, in the order of the request.
        missing: Vec<MissingInput>,
        /// The number of all requested inputs.
        total: usize,
    },
    /// At least one location has bytes that differ from the lock, and none has the expected ones.
    #[error(
        "{name}: no location has the bytes with sha256 {expected}: {}; if it was replaced on purpose, run `kiln lock` (and correct its sha256 if the profile or release has one), otherwise name another mirror (--mirror)",
        tried_text(tried)
    )]
    WrongContent {
        /// The input.
        name: String,
        /// The expected digest.
        expected: Digest,
        /// The locations that were tried.
        tried: Vec<Tried>,
    },
    /// No location had it.
    #[error("{name}: {}", tried_text(tried))]
    Failed {
        /// The input.
        name: String,
        /// The locations that were tried.
        tried: Vec<Tried>,
    },
    /// The cache failed.
    #[error("{name}: {source}")]
    Cache {
        /// The input.
        name: String,
        /// The cause.
        source: CacheError,
    },
}

/// An input that cannot be obtained.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingInput {
    /// Its name.
    pub name: String,
    /// Its digest.
    pub digest: Digest,
    /// The locations where it should be, without secrets.
    pub from: Vec<String>,
}

impl From<&Want> for MissingInput {
    fn from(want: &Want) -> Self {
        Self { name: want.name.clone(), digest: want.digest, from: want.from.iter().map(ToString::to_string).collect() }
    }
}

/// One location that did not work.
#[derive(Debug)]
pub struct Tried {
    /// The URL (without secrets) or file.
    pub location: String,
    /// The reason.
    pub why: Why,
}

/// Why a location did not work.
#[derive(Debug)]
pub enum Why {
    /// The request failed.
    Http(HttpError),
    /// The file could not be read.
    File {
        /// The system's error.
        error: String,
    },
    /// The digest differs.
    WrongDigest {
        /// The expected digest.
        expected: Digest,
        /// The digest of the received bytes.
        found: Digest,
    },
    /// The size differs.
    WrongSize {
        /// The expected (or allowed) number of bytes.
        expected: u64,
        /// The announced or received number of bytes.
        found: u64,
    },
}

impl Why {
    pub(super) fn file(error: &io::Error) -> Self {
        Self::File { error: error.to_string() }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http(error) => error.fmt(f),
            Self::File { error } => {
                write!(f, "{error} (put the file there, or correct \"file\" in the profile or release)")
            }
            Self::WrongDigest { expected, found } => write!(f, "has sha256 {found}, expected {expected}"),
            Self::WrongSize { expected, found } => write!(f, "has {found} bytes, expected {expected}"),
        }
    }
}

impl FetchError {
    /// Returns the error that describes why none of these locations worked.
    pub(super) fn none_worked(want: &Want, tried: Vec<Tried>) -> Self {
        let gone = |tried: &Tried| matches!(&tried.why, Why::Http(error) if error.is_gone());
        let wrong = |tried: &Tried| matches!(tried.why, Why::WrongDigest { .. } | Why::WrongSize { .. });
        if !tried.is_empty() && tried.iter().all(gone) {
            return Self::Gone { inputs: vec![MissingInput::from(want)] };
        }
        let name = want.name.clone();
        if tried.iter().any(wrong) {
            return Self::WrongContent { name, expected: want.digest, tried };
        }
        Self::Failed { name, tried }
    }
}

/// The error to report: the first that is not [`FetchError::Gone`], or all inputs that are gone.
pub(super) fn combine(mut errors: Vec<(usize, FetchError)>) -> Option<FetchError> {
    errors.sort_by_key(|(index, _)| *index);
    let mut all_gone = Vec::new();
    for (_, error) in errors {
        match error {
            FetchError::Gone { inputs } => all_gone.extend(inputs),
            other => return Some(other),
        }
    }
    (!all_gone.is_empty()).then_some(FetchError::Gone { inputs: all_gone })
}

fn join(locations: &[String]) -> String {
    if locations.is_empty() { "no location is known".to_owned() } else { locations.join(", ") }
}

fn listed(inputs: &[MissingInput], text: impl Fn(&MissingInput) -> String) -> String {
    let mut names: Vec<String> = inputs.iter().take(LISTED).map(text).collect();
    if inputs.len() > LISTED {
        names.push(format!("and {} more", inputs.len() - LISTED));
    }
    names.join(", ")
}

/// Describes all tried locations and the reasons.
pub fn tried_text(tried: &[Tried]) -> String {
    if tried.is_empty() {
        return "no location is known".into();
    }
    let one = |tried: &Tried| match &tried.why {
        // The error contains the URL.
        Why::Http(error) => error.to_string(),
        why @ Why::File { .. } => format!("{}: {why}", tried.location),
        why => format!("{} {why}", tried.location),
    };
    tried.iter().map(one).collect::<Vec<_>>().join("; ")
}
