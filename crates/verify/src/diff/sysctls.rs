//! Kernel settings as systemd-sysctl(8) would make them, sysctl.d(5).

use super::Side;
use super::side::Texts;
use std::collections::BTreeMap;

/// The directories of settings, in order of precedence.
const DIRECTORIES: [&str; 3] = ["etc/sysctl.d/", "usr/local/lib/sysctl.d/", "usr/lib/sysctl.d/"];

/// Whether `path` is a file of settings.
pub(super) fn is_setting(path: &str) -> bool {
    name(path).is_some()
}

fn name(path: &str) -> Option<&str> {
    let name = DIRECTORIES.iter().find_map(|directory| path.strip_prefix(directory))?;
    (name.ends_with(".conf") && !name.contains('/')).then_some(name)
}

/// The effective value of each key.
pub(super) fn settings(side: &Side, texts: &Texts) -> BTreeMap<String, String> {
    // A file overrides files of the same name in later directories; files are read in the order of
    // their names.
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
                // A leading "-" only means that a failure is ignored.
                settings.insert(dotted(key.trim().trim_start_matches('-')), value.trim().to_owned());
            }
        }
    }
    settings
}

/// Keys may be written with slashes; then slashes and dots are exchanged.
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
