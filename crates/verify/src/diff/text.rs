//! Line by line comparison of configuration.

use similar::{Algorithm, TextDiff};

/// The longest texts that are compared, in lines: the time is quadratic in the number of
/// differences.
const MAX_LINES: usize = 4000;

/// Directories with configuration that people write or read, as opposed to generated files and
/// documents.
const CONFIGURATION: [&str; 4] = ["etc/", "usr/lib/systemd/", "var/lib/", "opt/"];

pub(super) fn is_configuration(path: &str) -> bool {
    let drop_in = || path.strip_prefix("usr/lib/").and_then(|rest| rest.split_once(".d/")).is_some();
    CONFIGURATION.iter().any(|directory| path.starts_with(directory)) || path == "usr/lib/os-release" || drop_in()
}

/// The difference in unified format (diff -u), without file names. `None` if they are too long.
pub(super) fn unified(old: &str, new: &str) -> Option<String> {
    if old.lines().count().max(new.lines().count()) > MAX_LINES {
        return None;
    }
    let diff = TextDiff::configure().algorithm(Algorithm::Myers).diff_lines(old, new);
    Some(diff.unified_diff().context_radius(2).to_string())
}
