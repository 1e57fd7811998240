//! Resolves wanted names to an exact set of packages.
//!
//! The set is the one that `apt-get install --no-install-recommends` would install into an empty
//! system: `marking` makes apt's choices. If these end in a contradiction, `sat` searches for a
//! consistent set close to them, or proves that there is none, which `explain` describes in words.
//!
//! Like apt, the resolver does not add essential packages by itself. The profile lists those that
//! every package may rely on without declaring it (`base-files`, `bash`, `coreutils`, …), because
//! it knows what a node needs. Recommended packages are never added.

mod explain;
mod marking;
mod request;
mod sat;

use super::index::{Index, RecordId};
use super::package::Package;
use request::Request;
use std::collections::BTreeSet;

/// Why there is no set of packages.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum ResolveError {
    /// Not `name` or `name=version`.
    #[error("wanted package {word:?} is not of the form \"name\" or \"name=version\": {reason}")]
    Malformed {
        /// As given.
        word: String,
        /// The defect.
        reason: String,
    },
    /// No package has the name.
    #[error("no package is named {name:?}{hint}")]
    Unknown {
        /// As given.
        name: String,
        /// The nearest names, or nothing.
        hint: String,
    },
    /// Several packages provide the name, but none has it.
    #[error("{name:?} is a virtual package: choose one of its providers: {providers}")]
    Virtual {
        /// As given.
        name: String,
        /// Their names.
        providers: String,
    },
    /// The package has other versions.
    #[error("package {name} has no version {version}; available: {available}")]
    NoSuchVersion {
        /// The package.
        name: String,
        /// As given.
        version: String,
        /// The versions in the archives, newest first.
        available: String,
    },
    /// `a=1` and `a=2`.
    #[error("only one version of a package can be installed, but {versions} are wanted")]
    TwoVersions {
        /// The words as given.
        versions: String,
    },
    /// The same name is wanted and excluded.
    #[error("package {name} is both wanted and excluded: remove it from one of the lists")]
    WantedAndExcluded {
        /// The package.
        name: String,
    },
    /// There is no consistent set.
    #[error("the wanted packages cannot be installed together: {}", .reasons.join("; "))]
    Impossible {
        /// One sentence each.
        reasons: Vec<String>,
    },
    /// The search took too long.
    #[error(
        "the dependencies of the wanted packages are too complex: pin some packages as \"name=version\" or exclude some"
    )]
    TooHard,
}

/// Finds the packages to install so that everything in `wanted` (`name` or `name=version`) is
/// included and every dependency is met. Sorted by name.
///
/// Packages in `exclude` are never installed. They count as installed in every requested version,
/// with everything that their newest version provides and without their own dependencies and
/// conflicts. A name that no package has may also be excluded.
///
/// # Errors
/// A wanted name or version does not exist, or there is no consistent set; the text says why.
pub fn resolve(
    index: &Index,
    wanted: &BTreeSet<String>,
    exclude: &BTreeSet<String>,
) -> Result<Vec<Package>, ResolveError> {
    let request = Request::new(index, wanted, exclude)?;
    let marked = marking::mark(index, &request).unwrap_or_default();
    let chosen = if is_consistent(index, &request, &marked) {
        marked
    } else {
        sat::solve(index, &request, &marked).map_err(|failure| match failure {
            sat::Failure::Impossible(reasons) => ResolveError::Impossible { reasons },
            sat::Failure::TooHard => ResolveError::TooHard,
        })?
    };
    let mut packages: Vec<Package> = chosen.into_iter().filter_map(|record| index.materialize(record)).collect();
    packages.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(packages)
}

/// Whether `chosen` contains everything wanted, meets every dependency and has no conflicts.
fn is_consistent(index: &Index, request: &Request, chosen: &BTreeSet<RecordId>) -> bool {
    let there = |record: &RecordId| {
        chosen.contains(record) || {
            let name = index.record(*record).name;
            request.assumed.contains(&name) && index.names[name.at()].versions.first() == Some(record)
        }
    };
    let wanted = request.wanted.values().all(|versions| versions.iter().any(|version| chosen.contains(version)));
    let depends = chosen.iter().all(|record| {
        index.depends(*record).all(|group| {
            group.iter().any(|target| {
                request.assumed.contains(&target.name) || index.matching(*record, target).any(|other| there(&other))
            })
        })
    });
    let conflicts = chosen.iter().any(|record| {
        let own = index.record(*record).name;
        let against = |target| index.matching(*record, target).filter(|other| index.record(*other).name != own);
        index.conflicts(*record).iter().any(|target| against(target).any(|other| chosen.contains(&other)))
    });
    wanted && depends && !conflicts
}

#[cfg(test)]
mod tests;
