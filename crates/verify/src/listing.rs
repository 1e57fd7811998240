//! Checks that the manifest is consistent.

use super::report::{Check, Report};
use kiln_manifest::{FileRecord, Manifest, VERSION};
use kiln_tree::has_controls;
use std::collections::BTreeSet;

pub(super) fn check(manifest: &Manifest, report: &mut Report) {
    let mut findings = Vec::new();
    if manifest.version != VERSION {
        findings.push(format!("it has version {}; this kiln reads version {VERSION}", manifest.version));
    }
    for pair in manifest.files.windows(2).filter(|pair| pair[0].path >= pair[1].path) {
        findings.push(format!("/{} and /{} are not in order", pair[0].path, pair[1].path));
    }
    let directories: BTreeSet<&str> =
        manifest.files.iter().filter(|record| record.kind == "directory").map(|record| record.path.as_str()).collect();
    for record in &manifest.files {
        if let Some(parent) = record.path.parent().filter(|parent| !directories.contains(parent)) {
            findings.push(format!("/{} is below /{parent}, which is not a directory", record.path));
        }
        if let Some(why) = malformed(record) {
            findings.push(format!("/{} {why}", record.path));
        }
    }
    let mut outputs = BTreeSet::new();
    for output in &manifest.outputs {
        if !is_plain(&output.path) {
            findings.push(format!("the output {:?} is not in the output directory", output.path));
        } else if !outputs.insert(&output.path) {
            findings.push(format!("the output {} is listed twice", output.path));
        }
    }
    let what = format!("{} paths, {} inputs, {} outputs", manifest.files.len(), manifest.inputs.len(), outputs.len());
    report.add(Check::new("manifest", what, findings));
}

/// Whether a path stays inside the directory that it is relative to.
pub(super) fn is_plain(path: &str) -> bool {
    path.split('/').all(|part| !matches!(part, "" | "." | "..")) && !has_controls(path)
}

fn malformed(record: &FileRecord) -> Option<String> {
    let has = (record.size.is_some(), record.sha256.is_some(), record.target.is_some());
    let wanted = match record.kind.as_str() {
        "file" => (true, true, false),
        "symlink" | "char" | "block" => (false, false, true),
        "directory" | "fifo" => (false, false, false),
        kind => return Some(format!("has the unknown type {kind:?}")),
    };
    if has != wanted {
        return Some(format!("is a {} but does not have the fields of one", record.kind));
    }
    match u32::from_str_radix(&record.mode, 8) {
        Ok(mode) if mode <= 0o7777 => None,
        _ => Some(format!("has the mode {:?}, which is not octal", record.mode)),
    }
}
