//! What is in an image against the manifest's records.

use crate::image::Kind;
use crate::image::listing::{Listed, Listing};
use crate::manifest::FileRecord;
use std::collections::{BTreeMap, BTreeSet};

/// Every difference between `listing` and `records`. `extra` may be in the image only.
pub(super) fn compare<'a>(
    listing: &Listing,
    records: impl Iterator<Item = &'a FileRecord>,
    extra: &[&str],
) -> Vec<String> {
    let mut findings = listing.oddities.clone();
    let mut known: BTreeSet<&str> = extra.iter().copied().collect();
    for record in records {
        known.insert(record.path.as_str());
        match listing.paths.get(record.path.as_str()) {
            Some(listed) => {
                let differences = differences(listed, record);
                findings.extend(differences.into_iter().map(|what| format!("/{}: {what}", record.path)));
            }
            None => findings.push(format!("/{} is missing", record.path)),
        }
    }
    let strange = listing.paths.keys().filter(|path| !known.contains(path.as_str()));
    findings.extend(strange.map(|path| format!("/{path} is not in the manifest")));
    findings
}

fn differences(listed: &Listed, record: &FileRecord) -> Vec<String> {
    let node = &listed.node;
    let (kind, size, target) = match &node.kind {
        Kind::Directory => ("directory", None, None),
        Kind::File { size, .. } => ("file", Some(*size), None),
        Kind::Symlink(target) => ("symlink", None, Some(target.clone())),
        Kind::Char { major, minor } => ("char", None, Some(format!("{major}:{minor}"))),
        Kind::Block { major, minor } => ("block", None, Some(format!("{major}:{minor}"))),
        Kind::Fifo => ("fifo", None, None),
        Kind::Socket => ("socket", None, None),
    };
    let shown = |value: Option<String>| value.unwrap_or_else(|| "none".into());
    let xattrs = |of: &BTreeMap<String, String>| {
        let words: Vec<String> = of.iter().map(|(name, value)| format!("{name}={value}")).collect();
        if words.is_empty() { "none".into() } else { words.join(" ") }
    };
    let hex = |value: &Vec<u8>| value.iter().map(|byte| format!("{byte:02x}")).collect();
    let found: BTreeMap<String, String> =
        listed.xattrs.iter().map(|(name, value)| (name.clone(), hex(value))).collect();
    let pairs = [
        ("type", kind.to_owned(), record.kind.clone()),
        ("mode", format!("{:04o}", node.mode), record.mode.clone()),
        ("owner", node.uid.to_string(), record.uid.to_string()),
        ("group", node.gid.to_string(), record.gid.to_string()),
        ("time", node.mtime.to_string(), record.mtime.to_string()),
        ("target", shown(target), shown(record.target.clone())),
        ("size", shown(size.map(|size| size.to_string())), shown(record.size.map(|size| size.to_string()))),
        ("sha256", shown(listed.sha256.map(String::from)), shown(record.sha256.map(String::from))),
        ("extended attributes", xattrs(&found), xattrs(&record.xattrs)),
    ];
    let differing = pairs.into_iter().filter(|(_, found, wanted)| found != wanted);
    differing.map(|(what, found, wanted)| format!("{what} {found}, should be {wanted}")).collect()
}
