//! One binary package of an archive, with the fields that building an image needs.

use super::version::Version;
use kiln_tree::Digest;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The archive of a suite that has a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Archive {
    /// The suite itself: `trixie`.
    Main,
    /// Its updates between point releases: `trixie-updates`.
    Updates,
    /// Its security updates: `trixie-security`, on a separate mirror.
    Security,
}

impl Archive {
    /// The archive whose mirrors have its packages: updates are in the pool of the suite itself.
    pub fn pool(self) -> Self {
        match self {
            Self::Main | Self::Updates => Self::Main,
            Self::Security => Self::Security,
        }
    }
}

impl fmt::Display for Archive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Main => "main",
            Self::Updates => "updates",
            Self::Security => "security",
        })
    }
}

/// A package's priority (Debian Policy 2.5), from most to least important.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Priority {
    /// dpkg would not work without it.
    Required,
    /// Expected on any Unix.
    Important,
    /// A reasonably small system in text mode.
    Standard,
    /// Nearly everything.
    Optional,
    /// Deprecated; also used for a missing or unknown value.
    Extra,
}

impl Priority {
    pub(super) fn parse(text: &str) -> Self {
        match text {
            "required" => Self::Required,
            "important" => Self::Important,
            "standard" => Self::Standard,
            "optional" => Self::Optional,
            _ => Self::Extra,
        }
    }
}

/// `Multi-Arch`, as in deb-control(5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum MultiArch {
    /// Absent, or `no`.
    No,
    /// Installable beside itself for other architectures.
    Same,
    /// Satisfies dependencies of any architecture.
    Foreign,
    /// Satisfies dependencies qualified with `:any`.
    Allowed,
}

impl MultiArch {
    pub(super) fn parse(text: &str) -> Self {
        match text {
            "same" => Self::Same,
            "foreign" => Self::Foreign,
            "allowed" => Self::Allowed,
            _ => Self::No,
        }
    }
}

/// An exact package: what a lock pins and a build fetches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: Version,
    /// The target architecture, or `all`.
    pub architecture: String,
    /// Name of the source package it was built from.
    pub source: String,
    /// The source package's version.
    pub source_version: Version,
    /// Path below the archive's root, `pool/main/…`: relative, without `..`, of characters that
    /// need no quoting in a URL.
    pub filename: String,
    /// Size of the `.deb` in bytes.
    pub size: u64,
    /// Digest of the `.deb`.
    pub sha256: Digest,
    /// The archive that has it; the first given archive if several have it.
    pub archive: Archive,
    /// Whether dpkg calls it essential.
    pub essential: bool,
    /// Its priority.
    pub priority: Priority,
    /// Its `Multi-Arch`.
    pub multi_arch: MultiArch,
    /// Relations in the spelling of the archive's index, for [`super::dependency::Relations`];
    /// empty if there are none.
    pub relations: RelationFields,
}

/// The relation fields that are needed after a package was chosen.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct RelationFields {
    /// `Pre-Depends`.
    pub pre_depends: String,
    /// `Depends`.
    pub depends: String,
    /// `Provides`.
    pub provides: String,
    /// `Conflicts`.
    pub conflicts: String,
    /// `Breaks`.
    pub breaks: String,
    /// `Replaces`: the packages whose files it may replace.
    pub replaces: String,
}

impl fmt::Display for Package {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.version)
    }
}
