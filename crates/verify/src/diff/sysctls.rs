//! Kernel settings as systemd-sysctl(8) would make them, sysctl.d(5).

use super::Side;
use super::side::Texts;
use std::collections::BTreeMap;

/// Where settings are, the first in force.
const DIRECTORIES: [&str; 3] = ["etc/sysctl.d/", "usr/local/lib/sysctl.d/", "usr/lib/sysctl.d/"];

/// Whether `path` is a file of settings.
pub(super) fn is_setting(path: &str) -> bool {
    name(path).is_some()
}

fn name(path: &str) -> Option<&str> {
    let name = DIRECTORIES.iter().find_map(|directory| path.strip_prefix(directory))?;
    (name.ends_with(".conf") && !name.contains('/')).then_some(name)
}

/// The value each key has in the end.
pub(super) fn settings(side: &Side, texts: &Texts) -> BTreeMap<String, String> {
    // Files of one name stand in for one another, and are taken in the order of their names.
    let mut files: BTreeMap<&str, &str> = BTreeMap::new();
    for directory in DIRECTORIES {
        for path in side.files.keys().filter(|path| path.starts_with(directory)) {
            if let Some(name) = name(path) {
                files.entry(name).or_insert(path);
            }
        }
    }
    let mut settings = BTreeMap::new();
    for text in files.values().filter_map(|path| texts.get(*path)) {
        for line in text.lines().map(str::trim).filter(|line| !line.starts_with(['#', ';'])) {
            if let Some((key, value)) = line.split_once('=') {
                // A leading "-" only says that a failure does not matter.
                settings.insert(dotted(key.trim().trim_start_matches('-')), value.trim().to_owned());
            }
        }
    }
    settings
}

/// Keys may be written with slashes, and are then dots where they have slashes and slashes where they have dots.
fn dotted(key: &str) -> String {
    match key.find(['/', '.']) {
        Some(at) if key[at..].starts_with('/') => key
            .chars()
            .map(|char| match char {
                '/' => '.',
                '.' => '/',
                other => other,
            })
            .collect(),
        _ => key.to_owned(),
    }
}
