//! Checks that no name in an image controls the terminal that shows it.

use super::report::{Check, Report};
use kiln_image::Kind;
use kiln_image::listing::{Listed, Listing};
use kiln_tree::has_controls;

pub(super) fn check(listing: &Listing, report: &mut Report) {
    let findings = listing.paths.values().flat_map(findings).collect();
    let what = format!("no control character in {} paths and their targets", listing.paths.len());
    report.add(Check::new("names", what, findings));
}

/// Names are as in the image; who prints them makes them printable.
fn findings(listed: &Listed) -> Vec<String> {
    let path = &listed.node.path;
    let named = has_controls(path).then(|| format!("/{path} has a control character in its path"));
    let target = match &listed.node.kind {
        Kind::Symlink(target) if has_controls(target) => {
            Some(format!("/{path} is a link to {target}, which has a control character"))
        }
        _ => None,
    };
    let attribute = listed.xattrs.keys().find(|name| has_controls(name));
    let attribute = attribute.map(|name| format!("/{path} has the attribute {name}, which has a control character"));
    named.into_iter().chain(target).chain(attribute).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use kiln_image::Node;
    use std::collections::BTreeMap;

    #[test]
    fn paths_and_targets_with_control_characters_are_found_and_shown_escaped() {
        let mut listing = Listing::default();
        for (path, target) in
            [("good-\\x2d-\u{20ac}", "../good"), ("new\nline", "a"), ("link", "\u{1b}[2J"), ("reversed", "a\u{202e}b")]
        {
            let kind = Kind::Symlink(target.into());
            let node = Node { path: path.into(), kind, mode: 0o777, uid: 0, gid: 0, mtime: 0 };
            listing.paths.insert(path.into(), Listed { node, sha256: None, xattrs: BTreeMap::new() });
        }
        let mut report = Report::default();
        check(&listing, &mut report);
        let shown = report.checks[0].to_string();
        assert_eq!(
            shown,
            "FAIL  names: 3 wrong\n        /link is a link to \\x1b[2J, which has a control character\n        \
             /new\\nline has a control character in its path\n        \
             /reversed is a link to a\\u{202e}b, which has a control character"
        );
        assert!(report.checks[0].findings[0].contains("\u{1b}[2J"), "JSON is exact");
    }
}
