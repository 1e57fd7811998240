//! Compares two [`Side`]s: what a roll-out would change.
//!
//! A comparison is a list of [`Section`]s with named values that differ, and the files that differ.
//! Modification times do not count, because every rebuilt package has new ones.

mod cmdline;
mod files;
mod kubelet;
mod side;
mod sysctls;
mod text;
mod units;

pub use files::FileChange;
pub use side::{Contents, Entry, Side};

use serde::Serialize;
use side::Texts;
use std::collections::{BTreeMap, BTreeSet};

/// One named value that differs between the sides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    /// The name of the value.
    pub name: String,
    /// The old value; `None` if there was none.
    pub old: Option<String>,
    /// The new value; `None` if there is none now.
    pub new: Option<String>,
}

/// Changes of one kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Section {
    /// `packages`, `units`, `sysctls` …
    pub name: &'static str,
    /// The changes in the order of their names.
    pub changes: Vec<Change>,
}

/// Everything that a roll-out would change.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Changes {
    /// Only sections with changes.
    pub sections: Vec<Section>,
    /// Files, by path.
    pub files: Vec<FileChange>,
    /// What could not be compared and why.
    pub unknown: Vec<String>,
}

/// A side that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("reading {side}: {why}")]
pub struct DiffError {
    /// Its name.
    pub side: String,
    /// The cause.
    pub why: String,
}

impl Changes {
    /// Whether there are no changes.
    pub fn is_empty(&self) -> bool {
        self.sections.is_empty() && self.files.is_empty()
    }

    fn add(&mut self, name: &'static str, changes: Vec<Change>) {
        if !changes.is_empty() {
            self.sections.push(Section { name, changes });
        }
    }
}

/// Compares two sides.
///
/// # Errors
/// [`DiffError`] when files cannot be read.
pub fn diff(old: &Side, new: &Side) -> Result<Changes, DiffError> {
    let mut changes = Changes::default();
    // Paths that an image does not contain are not a difference.
    let shared = |path: &str| (old.has_boot && new.has_boot) || !side::is_boot(path);
    let differing = files::differing(old, new, shared);
    let texts = |side: &Side| side.texts(differing.iter().map(String::as_str));
    let texts = (texts(old)?, texts(new)?);

    facts(old, new, &mut changes);
    changes.add("kernel", values(&kernels(old), &kernels(new)));
    match (cmdline(old, new), cmdline(new, old)) {
        (Some(old), Some(new)) => changes.add("command line", cmdline::compare(old, new)),
        _ => changes.unknown.push("command line: a file system alone does not contain it".into()),
    }
    changes.add("units", values(&units::states(old), &units::states(new)));
    changes.add("sysctls", values(&sysctls::settings(old, &texts.0), &sysctls::settings(new, &texts.1)));
    changes.add("kubelet configuration", kubelet::compare(&texts.0, &texts.1));
    changes.add("sizes", values(&sizes(old, new), &sizes(new, old)));
    changes.files = files::compare(old, new, &differing, &texts);
    Ok(changes)
}

/// The command line of `side`: that of its disk if `other` is only a disk.
fn cmdline<'a>(side: &'a Side, other: &Side) -> Option<&'a String> {
    let of_disk = other.cmdline.as_ref().is_some_and(|line| line.contains("roothash="));
    side.disk_cmdline.as_ref().filter(|_| of_disk).or(side.cmdline.as_ref())
}

/// Compares what only a manifest or a profile contains.
fn facts(old: &Side, new: &Side, changes: &mut Changes) {
    match (&old.facts, &new.facts) {
        (Some(old), Some(new)) => {
            for name in ["image", "packages", "artifacts", "images", "overlays"] {
                let empty = BTreeMap::new();
                changes.add(name, values(old.get(name).unwrap_or(&empty), new.get(name).unwrap_or(&empty)));
            }
        }
        _ => changes.unknown.push("packages: an image alone does not list them; give its output directory".into()),
    }
}

/// The versions of kernels with installed modules.
fn kernels(side: &Side) -> BTreeMap<String, String> {
    let versions = side.files.keys().filter_map(|path| path.strip_prefix("usr/lib/modules/")?.split('/').next());
    let versions: BTreeSet<&str> = versions.collect();
    BTreeMap::from([("version".to_owned(), versions.into_iter().collect::<Vec<_>>().join(" "))])
}

/// The size of the tree and, for two outputs, of their artifacts.
fn sizes(side: &Side, other: &Side) -> BTreeMap<String, String> {
    let mut sizes = if other.outputs.is_empty() { BTreeMap::new() } else { side.outputs.clone() };
    let tree = side.files.iter().filter(|(path, _)| !side::is_boot(path)).filter_map(|(_, entry)| entry.size);
    sizes.insert("files".into(), tree.sum());
    sizes.into_iter().map(|(name, size)| (name, size.to_string())).collect()
}

/// Returns the values that differ.
fn values(old: &BTreeMap<String, String>, new: &BTreeMap<String, String>) -> Vec<Change> {
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let change =
        |name: &String| Change { name: name.clone(), old: old.get(name).cloned(), new: new.get(name).cloned() };
    names.into_iter().map(change).filter(|change| change.old != change.new).collect()
}

#[cfg(test)]
mod tests;

/// Both sides' texts.
type Both = (Texts, Texts);
