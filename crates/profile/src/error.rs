//! Why a profile cannot be used.

use super::key::Key;
use super::place::Place;
use std::path::PathBuf;

/// Why a profile cannot be used. Every message is one line, names the place and says what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProfileError {
    /// Unknown role.
    #[error("there is no role {role:?} in {dir}{hint}")]
    NoRole {
        /// The requested role.
        role: String,
        /// The directory of profiles.
        dir: PathBuf,
        /// The most similar role, or all roles.
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
    /// A file that profiles may not read.
    #[error("{why}")]
    OutOfReach {
        /// The file, why not, and what to do.
        why: String,
    },
    /// A file larger than the limit for a profile.
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
    /// An error in a profile, a release, a cluster or an option.
    #[error("{place}: {text}")]
    Value {
        /// Where it is written.
        place: Place,
        /// The key whose value is wrong; `None` when the file itself is wrong.
        key: Option<Key>,
        /// What is wrong with it.
        text: String,
        /// The source of the broken rule; `None` for one of kiln's own.
        rule: Option<&'static str>,
    },
}

impl ProfileError {
    /// The source of the broken rule (a page or a source file); `None` for one of kiln's own.
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
