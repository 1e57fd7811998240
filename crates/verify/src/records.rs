//! Compares the contents of an image with the manifest's records.

use kiln_image::listing::{Listed, Listing};
use kiln_manifest::FileRecord;
use std::collections::{BTreeMap, BTreeSet};

/// Returns all differences between `listing` and `records`. Paths in `extra` may be only in the
/// image.
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
    let shown = |value: Option<String>| value.unwrap_or_else(|| "none".into());
    let xattrs = |of: &BTreeMap<String, String>| {
        let words: Vec<String> = of.iter().map(|(name, value)| format!("{name}={value}")).collect();
        if words.is_empty() { "none".into() } else { words.join(" ") }
    };
    let pairs = [
        ("type", node.kind.name().to_owned(), record.kind.clone()),
        ("mode", format!("{:04o}", node.mode), record.mode.clone()),
        ("owner", node.uid.to_string(), record.uid.to_string()),
        ("group", node.gid.to_string(), record.gid.to_string()),
        ("time", node.mtime.to_string(), record.mtime.to_string()),
        ("target", shown(node.kind.target()), shown(record.target.clone())),
        ("size", shown(node.kind.size().map(|size| size.to_string())), shown(record.size.map(|size| size.to_string()))),
        ("sha256", shown(listed.sha256.map(String::from)), shown(record.sha256.map(String::from))),
        ("extended attributes", xattrs(&listed.xattrs_in_hex()), xattrs(&record.xattrs)),
    ];
    let differing = pairs.into_iter().filter(|(_, found, wanted)| found != wanted);
    differing.map(|(what, found, wanted)| format!("{what} {found}, but should be {wanted}")).collect()
}
