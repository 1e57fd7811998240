//! Compares files: added, removed or changed.

use super::side::{Entry, Side};
use super::{Both, text};
use kiln_tree::Origin;
use serde::Serialize;
use std::collections::BTreeSet;

/// One path that differs between the sides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FileChange {
    /// Path without a leading slash.
    pub path: String,
    /// `added`, `removed` or `changed`.
    pub change: &'static str,
    /// Its type, or its changed properties: `mode 0644 -> 0600`.
    pub details: Vec<String>,
    /// The difference of a configuration's text, in unified format.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The origin of the file if it is known; for a removed file, the old origin.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
}

/// Paths at which anything except the origin differs.
pub(super) fn differing(old: &Side, new: &Side, shared: impl Fn(&str) -> bool) -> Vec<String> {
    let paths: BTreeSet<&String> = old.files.keys().chain(new.files.keys()).filter(|path| shared(path)).collect();
    let differs = |path: &&String| match (old.files.get(*path), new.files.get(*path)) {
        (Some(old), Some(new)) => !details(old, new).is_empty(),
        _ => true,
    };
    paths.into_iter().filter(differs).cloned().collect()
}

pub(super) fn compare(old: &Side, new: &Side, differing: &[String], texts: &Both) -> Vec<FileChange> {
    let change = |path: &String| {
        let (change, details, entry) = match (old.files.get(path), new.files.get(path)) {
            (Some(old), Some(new)) => ("changed", details(old, new), new),
            (None, Some(new)) => ("added", vec![described(new)], new),
            (Some(old), None) => ("removed", vec![described(old)], old),
            (None, None) => return None,
        };
        let text = match (texts.0.get(path), texts.1.get(path)) {
            // Some texts were read for other sections although they are equal.
            (Some(old), Some(new)) if old != new => text::unified(old, new),
            _ => None,
        };
        Some(FileChange { path: path.clone(), change, details, text, origin: entry.origin.clone() })
    };
    differing.iter().filter_map(change).collect()
}

fn described(entry: &Entry) -> String {
    let target = entry.target.as_ref().map(|target| format!(" -> {target}")).unwrap_or_default();
    let size = entry.size.map(|size| format!(", {size} bytes")).unwrap_or_default();
    format!("{} {}{target}{size}", entry.kind, entry.mode)
}

fn details(old: &Entry, new: &Entry) -> Vec<String> {
    let owner = |entry: &Entry| format!("{}:{}", entry.owner.0, entry.owner.1);
    let xattrs = |entry: &Entry| format!("{:?}", entry.xattrs);
    let target = |entry: &Entry| entry.target.clone().unwrap_or_default();
    let pairs = [
        ("type", old.kind.clone(), new.kind.clone()),
        ("mode", old.mode.clone(), new.mode.clone()),
        ("owner", owner(old), owner(new)),
        ("target", target(old), target(new)),
        ("attributes", xattrs(old), xattrs(new)),
    ];
    let mut details: Vec<String> = pairs
        .into_iter()
        .filter(|(_, old, new)| old != new)
        .map(|(what, old, new)| format!("{what} {old} -> {new}"))
        .collect();
    match (old.size, new.size) {
        (Some(old), Some(new)) if old != new => details.push(format!("{old} -> {new} bytes")),
        _ if old.sha256 != new.sha256 => details.push("different bytes".into()),
        _ => {}
    }
    details
}
