//! Why a profile cannot be used.

use super::key::Key;
use super::place::Place;
use std::path::PathBuf;

/// Why a profile cannot be used; every text is one line and names the place and the way out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProfileError {
    /// There is no such role.
    #[error("there is no role {role:?} in {dir}{hint}")]
    NoRole {
        /// What was asked for.
        role: String,
        /// Where profiles are looked for.
        dir: PathBuf,
        /// The nearest role, or those there are.
        hint: String,
    },
    /// The directory of profiles cannot be read.
    #[error("reading {dir}: {source}; run kiln where the profiles are, or name their directory with --profiles")]
    NoProfiles {
        /// The directory.
        dir: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file or directory cannot be read.
    #[error("reading {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file that is no profile by its size.
    #[error("{path}: is larger than 1 MiB, the limit for a profile")]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// A file that is not text.
    #[error("{path}: is not UTF-8 (byte {offset})")]
    NotUtf8 {
        /// The file.
        path: PathBuf,
        /// The first bad byte, from 0.
        offset: usize,
    },
    /// Something written in a profile, a release or an option is wrong.
    #[error("{place}: {text}")]
    Value {
        /// Where it is written.
        place: Place,
        /// The key whose value is wrong, if it is a value.
        key: Option<Key>,
        /// What is wrong with it.
        text: String,
        /// The page or source that has the broken rule, when it is not one of kiln's own.
        rule: Option<&'static str>,
    },
}

impl ProfileError {
    /// The page or source that has the broken rule, when it is not one of kiln's own.
    pub fn rule(&self) -> Option<&'static str> {
        match self {
            Self::Value { rule, .. } => *rule,
            _ => None,
        }
    }

    /// The key whose value is wrong.
    pub fn key(&self) -> Option<&Key> {
        match self {
            Self::Value { key, .. } => key.as_ref(),
            _ => None,
        }
    }
}
