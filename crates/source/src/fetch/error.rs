//! Why inputs could not be fetched.

use super::Want;
use crate::http::HttpError;
use kiln_cache::CacheError;
use kiln_tree::Digest;
use std::fmt;
use std::io;

/// Names listed before the rest is only counted.
const LISTED: usize = 10;

/// Why not all inputs are in the cache.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// Every location of these inputs says that it does not have them (any longer): a lock that is older than what
    /// the mirrors keep.
    #[error("{} no longer where the lock says: {}", if inputs.len() == 1 { "an input is" } else { "inputs are" }, listed(inputs, |input| format!("{} ({})", input.name, join(&input.from))))]
    Gone {
        /// The inputs, in the order in which they were asked for.
        inputs: Vec<MissingInput>,
    },
    /// The network must not be used and the cache lacks something.
    #[error("--offline, and the cache lacks {} of {total} inputs: {}; run the same command once without --offline", missing.len(), listed(missing, |input| format!("{} ({})", input.name, join(&input.from))))]
    Offline {
        /// What is missing, in the order in which it was asked for.
        missing: Vec<MissingInput>,
        /// Inputs asked for in all.
        total: usize,
    },
    /// At least one location has other bytes than the lock says, and none has the right ones.
    #[error(
        "{name}: no location has the bytes with sha256 {expected}: {}; if it was replaced on purpose, run `kiln lock` (and correct its sha256 where the profile or release has one), else name another mirror (--mirror)",
        tried_text(tried)
    )]
    WrongContent {
        /// The input.
        name: String,
        /// Digest asked for.
        expected: Digest,
        /// What was tried.
        tried: Vec<Tried>,
    },
    /// No location could give it.
    #[error("{name}: {}", tried_text(tried))]
    Failed {
        /// The input.
        name: String,
        /// What was tried.
        tried: Vec<Tried>,
    },
    /// The cache failed.
    #[error("{name}: {source}")]
    Cache {
        /// The input.
        name: String,
        /// Why.
        source: CacheError,
    },
}

/// An input that is not to be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingInput {
    /// Its name.
    pub name: String,
    /// Where it should have been, without secrets.
    pub from: Vec<String>,
}

impl From<&Want> for MissingInput {
    fn from(want: &Want) -> Self {
        Self { name: want.name.clone(), from: want.from.iter().map(ToString::to_string).collect() }
    }
}

/// One location that did not work.
#[derive(Debug)]
pub struct Tried {
    /// The URL (without secrets) or file.
    pub location: String,
    /// Why it did not work.
    pub why: Why,
}

/// Why a location did not work.
#[derive(Debug)]
pub enum Why {
    /// The request failed.
    Http(HttpError),
    /// The file could not be read.
    File {
        /// What the system said.
        error: String,
    },
    /// Other bytes.
    WrongDigest {
        /// Digest asked for.
        expected: Digest,
        /// Digest of what came.
        found: Digest,
    },
    /// More or fewer bytes.
    WrongSize {
        /// Bytes asked for (or allowed).
        expected: u64,
        /// Bytes announced or received.
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
    /// What it means that none of these locations worked.
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

/// The one error to report: the first that is not [`FetchError::Gone`], or all that is gone.
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

/// All that was tried, and why it did not work.
pub fn tried_text(tried: &[Tried]) -> String {
    if tried.is_empty() {
        return "no location is known".into();
    }
    let one = |tried: &Tried| match &tried.why {
        // It names the URL itself.
        Why::Http(error) => error.to_string(),
        why @ Why::File { .. } => format!("{}: {why}", tried.location),
        why => format!("{} {why}", tried.location),
    };
    tried.iter().map(one).collect::<Vec<_>>().join("; ")
}
