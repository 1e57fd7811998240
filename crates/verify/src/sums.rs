//! Checks `SHA256SUMS` and the sizes and digests of the outputs.

use super::listing::is_plain;
use super::report::{Check, Report};
use kiln_manifest::{FILE, Manifest, SUMS};
use kiln_tree::Digest;
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

/// The largest list that is read, in bytes.
const MAX_SUMS: u64 = 1 << 20;
/// The depth to which directories are read.
const MAX_DEPTH: usize = 8;

pub(super) fn check(directory: &Path, manifest: &Manifest, report: &mut Report) {
    let mut findings = Vec::new();
    match listed(directory) {
        Ok(sums) => {
            let digests: BTreeMap<&str, Digest> =
                manifest.outputs.iter().map(|output| (output.path.as_str(), output.sha256)).collect();
            findings.extend(compare_lists(&sums, &digests));
            match digest(&directory.join(FILE)) {
                Ok((_, digest)) if sums.get(FILE) == Some(&digest) => {}
                Ok(_) if !sums.contains_key(FILE) => findings.push(format!("{SUMS} does not list {FILE}")),
                Ok(_) => findings.push(format!("{FILE} does not have the digest that {SUMS} lists")),
                Err(error) => findings.push(format!("{FILE}: {error}")),
            }
        }
        Err(error) => findings.push(format!("{SUMS}: {error}")),
    }
    report.add(Check::new("sums", format!("{SUMS} matches the manifest"), findings));

    let outputs: Vec<_> = manifest.outputs.iter().filter(|output| is_plain(&output.path)).collect();
    let mut findings: Vec<String> = outputs
        .par_iter()
        .filter_map(|output| match digest(&directory.join(&output.path)) {
            Ok((size, _)) if size != output.size => {
                Some(format!("{} has {size} bytes, but should have {}", output.path, output.size))
            }
            Ok((_, digest)) if digest != output.sha256 => {
                Some(format!("{} has the sha256 {digest}, but should have {}", output.path, output.sha256))
            }
            Ok(_) => None,
            Err(error) => Some(format!("{}: {error}", output.path)),
        })
        .collect();
    let mut known: Vec<&str> = outputs.iter().map(|output| output.path.as_str()).collect();
    known.extend([FILE, SUMS]);
    strangers(directory, "", &known, 0, &mut findings);
    let bytes: u64 = outputs.iter().map(|output| output.size).sum();
    report.add(Check::new("outputs", format!("{} files, {bytes} bytes, and no others", outputs.len()), findings));
}

/// `SHA256SUMS` as sha256sum(1) writes it: digest, two spaces, path.
fn listed(directory: &Path) -> io::Result<BTreeMap<String, Digest>> {
    let invalid = |what: String| io::Error::new(io::ErrorKind::InvalidData, what);
    let mut text = String::new();
    open(&directory.join(SUMS))?.take(MAX_SUMS).read_to_string(&mut text)?;
    let mut sums = BTreeMap::new();
    for (line, number) in text.lines().zip(1..) {
        let entry = line.split_once("  ").and_then(|(digest, path)| Some((path.to_owned(), digest.parse().ok()?)));
        let (path, digest) = entry.ok_or_else(|| invalid(format!("line {number}: not a digest and a path")))?;
        if sums.insert(path, digest).is_some() {
            return Err(invalid(format!("line {number}: the path is listed a second time")));
        }
    }
    Ok(sums)
}

fn compare_lists(sums: &BTreeMap<String, Digest>, outputs: &BTreeMap<&str, Digest>) -> Vec<String> {
    let differing = outputs.iter().filter_map(|(path, digest)| match sums.get(*path) {
        Some(listed) if listed == digest => None,
        Some(_) => Some(format!("{SUMS} and {FILE} list different digests of {path}")),
        None => Some(format!("{SUMS} does not list {path}")),
    });
    let strange = sums.keys().filter(|path| *path != FILE && !outputs.contains_key(path.as_str()));
    differing.chain(strange.map(|path| format!("{SUMS} lists {path:?}, which is not an output"))).collect()
}

/// Opens a regular file; anything else could be endless.
fn open(path: &Path) -> io::Result<File> {
    if !fs::symlink_metadata(path)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    kiln_file::open(path)
}

fn digest(path: &Path) -> io::Result<(u64, Digest)> {
    let (digest, size) = Digest::of_reader(&mut open(path)?)?;
    Ok((size, digest))
}

/// Finds files below `directory` that are not listed: a set is copied to servers as a whole.
fn strangers(directory: &Path, prefix: &str, known: &[&str], depth: usize, findings: &mut Vec<String>) {
    let mut names = match fs::read_dir(directory) {
        Ok(entries) => entries.flatten().collect::<Vec<_>>(),
        Err(error) => return findings.push(format!("{prefix}: {error}")),
    };
    names.sort_by_key(fs::DirEntry::file_name);
    for entry in names {
        let path = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) && depth < MAX_DEPTH {
            strangers(&entry.path(), &format!("{path}/"), known, depth + 1, findings);
        } else if !known.contains(&path.as_str()) {
            findings.push(format!("{path} is not in {FILE}"));
        }
    }
}
