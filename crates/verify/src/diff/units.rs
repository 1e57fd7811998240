//! Compares systemd units: which exist, which are enabled, which are masked.

use super::Side;
use std::collections::{BTreeMap, BTreeSet};

/// The directories of units, in order of precedence (systemd.unit(5)).
const DIRECTORIES: [&str; 2] = ["etc/systemd/system/", "usr/lib/systemd/system/"];
/// The suffixes of directories of links through which a unit starts others.
const LINKS: [&str; 3] = ["wants", "requires", "upholds"];

/// The state of every unit in words: `enabled (multi-user.target)`, `masked`, `not enabled`, `link
/// to …`.
pub(super) fn states(side: &Side) -> BTreeMap<String, String> {
    let mut states = BTreeMap::new();
    let mut wanted: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for directory in DIRECTORIES {
        for (path, entry) in &side.files {
            let Some(name) = path.strip_prefix(directory) else { continue };
            match name.split_once('/') {
                None if entry.kind != "directory" => {
                    let state = match entry.target.as_deref() {
                        Some("/dev/null") => "masked".to_owned(),
                        Some(target) => format!("link to {}", target.rsplit('/').next().unwrap_or(target)),
                        None => "not enabled".to_owned(),
                    };
                    states.entry(name.to_owned()).or_insert(state);
                }
                Some((from, unit)) => {
                    if let Some((by, kind)) = from.rsplit_once('.')
                        && LINKS.contains(&kind)
                    {
                        wanted.entry(unit).or_default().insert(by);
                    }
                }
                None => {}
            }
        }
    }
    for (unit, by) in wanted {
        let by: Vec<&str> = by.into_iter().collect();
        // An instance uses the file of its template.
        let state = states.entry(unit.to_owned()).or_insert_with(|| "not enabled".to_owned());
        if state == "not enabled" {
            *state = format!("enabled ({})", by.join(" "));
        }
    }
    states
}
