//! `/etc/pam.d/common-*`, as pam-auth-update(8) writes them on a fresh system.
//!
//! Packages bring profiles (`/usr/share/pam-configs`); those that are on by default are inserted by
//! priority into libpam-runtime's templates (`/usr/share/pam`). Without these files nobody can log
//! in and `user@.service` fails.

use super::Finalizer;
use super::input::{self, InputError, OutputError};
use kiln_tree::{ContentReader, Entry, FileTree};
use std::collections::BTreeMap;

pub(crate) const FINALIZER: Finalizer = Finalizer { name: "pam", reads: &[&[PROFILES, TEMPLATES]] };

const TYPES: [&str; 5] = ["auth", "account", "password", "session", "session-noninteractive"];
const PROFILES: &str = "usr/share/pam-configs";
const TEMPLATES: &str = "usr/share/pam";

/// Why the files cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum PamError {
    /// A file cannot be read.
    #[error(transparent)]
    Input(#[from] InputError),
    /// A profile is malformed.
    #[error("/{path}: {why}")]
    Profile {
        /// The profile.
        path: String,
        /// What is wrong.
        why: String,
    },
    /// A template lacks a marker.
    #[error("/{path} has no line that starts with {marker:?}: it is not a template of pam-auth-update")]
    Template {
        /// The template.
        path: String,
        /// The marker.
        marker: &'static str,
    },
    /// A file cannot be put into the tree.
    #[error(transparent)]
    Output(#[from] OutputError),
}

/// The fields of a profile; continuation lines are joined by newlines.
type Fields = BTreeMap<String, String>;

/// Writes `/etc/pam.d/common-*` where they are missing; does nothing in a tree without
/// libpam-runtime.
///
/// # Errors
/// [`PamError`].
pub fn finalize(tree: &mut FileTree, reader: &dyn ContentReader) -> Result<(), PamError> {
    if tree.resolve(&format!("{TEMPLATES}/common-auth")).is_none() {
        return Ok(());
    }
    let enabled = enabled_profiles(tree, reader)?;
    for kind in TYPES {
        let path = format!("etc/pam.d/common-{kind}");
        if tree.contains(&path) {
            continue;
        }
        let template = format!("{TEMPLATES}/common-{kind}");
        let text = render(&template, &input::text(tree, reader, &template)?, kind, &enabled)?;
        input::put(tree, &path, Entry::file(text, 0o644, FINALIZER.origin()))?;
    }
    Ok(())
}

/// Returns the profiles that are on by default, highest priority first, without those that conflict
/// with an earlier one.
fn enabled_profiles(tree: &FileTree, reader: &dyn ContentReader) -> Result<Vec<Fields>, PamError> {
    let mut profiles: Vec<(i64, String, Fields)> = Vec::new();
    for (path, _) in tree.children(PROFILES) {
        let name = path.name();
        if name.ends_with('~') || (name.starts_with('#') && name.ends_with('#')) {
            continue;
        }
        let bad = |why: String| PamError::Profile { path: path.to_string(), why };
        let fields = parse(&input::text(tree, reader, path.as_str())?).map_err(bad)?;
        let priority = fields.get("Priority").map(String::as_str).unwrap_or_default().trim();
        let priority = priority.parse().map_err(|_| bad(format!("the priority {priority:?} is not a number")))?;
        if fields.get("Default").is_some_and(|default| default == "yes") {
            profiles.push((priority, name.to_owned(), fields));
        }
    }
    profiles.sort_by(|a, b| (b.0, &b.1).cmp(&(a.0, &a.1)));
    let mut at = 0;
    while let Some((_, _, fields)) = profiles.get(at) {
        let conflicts: Vec<String> =
            fields.get("Conflicts").map(|list| list.split(", ").map(str::to_owned).collect()).unwrap_or_default();
        profiles.retain(|(_, name, _)| !conflicts.contains(name));
        at += 1;
    }
    Ok(profiles.into_iter().map(|(_, _, fields)| fields).collect())
}

fn parse(text: &str) -> Result<Fields, String> {
    let mut fields = Fields::new();
    let mut current: Option<String> = None;
    for line in text.lines() {
        let header = line.split_once(':').filter(|(name, rest)| {
            !name.is_empty()
                && !name.contains(char::is_whitespace)
                && (rest.is_empty() || rest.starts_with([' ', '\t']))
        });
        if let Some((name, value)) = header {
            let name = name.strip_suffix("-Final").unwrap_or(name);
            fields.insert(name.to_owned(), value.trim_start().to_owned());
            current = Some(name.to_owned());
        } else if !line.trim().is_empty() {
            let name = current.as_ref().ok_or_else(|| format!("{line:?} is not part of a field"))?;
            let value = fields.entry(name.clone()).or_default();
            if !value.is_empty() {
                value.push('\n');
            }
            value.push_str(line.trim());
        }
    }
    if fields.get("Session-Interactive-Only").is_none_or(|only| only.trim() != "yes") {
        for (from, to) in [
            ("Session-Type", "Session-noninteractive-Type"),
            ("Session", "Session-noninteractive"),
            ("Session-Initial", "Session-noninteractive-Initial"),
        ] {
            if let Some(value) = fields.get(from).cloned() {
                fields.insert(to.to_owned(), value);
            }
        }
    }
    Ok(fields)
}

/// Returns the template with the lines of the enabled profiles in its two blocks
/// (`create_from_template`).
fn render(path: &str, template: &str, kind: &str, enabled: &[Fields]) -> Result<String, PamError> {
    const MARKERS: [&str; 4] = [
        "# here are the per-package modules (the \"Primary\" block)",
        "# here's the fallback if no module succeeds",
        "# and here are more per-package modules (the \"Additional\" block)",
        "# end of pam-auth-update config",
    ];
    let mut out = String::new();
    let mut passed = 0;
    for line in template.lines() {
        let at_marker = MARKERS.get(passed).is_some_and(|marker| line.starts_with(marker));
        let in_block = passed == 1 || passed == 3;
        if in_block && !at_marker {
            continue;
        }
        out.push_str(line);
        out.push('\n');
        if at_marker {
            match passed {
                0 => out.push_str(&block(path, kind, "Primary", enabled)?),
                2 => out.push_str(&block(path, kind, "Additional", enabled)?),
                _ => {}
            }
            passed += 1;
        }
    }
    match MARKERS.get(passed) {
        Some(marker) => Err(PamError::Template { path: path.to_owned(), marker }),
        None => Ok(out),
    }
}

fn block(path: &str, kind: &str, position: &str, enabled: &[Fields]) -> Result<String, PamError> {
    let facility = kind.trim_end_matches("-noninteractive");
    let mut field = kind.to_owned();
    field[..1].make_ascii_uppercase();
    let in_block =
        enabled.iter().filter(|fields| fields.get(&format!("{field}-Type")).is_some_and(|kind| kind == position));
    let mut lines: Vec<&str> = Vec::new();
    for (index, fields) in in_block.enumerate() {
        let initial = fields.get(&format!("{field}-Initial")).filter(|lines| index == 0 && !lines.is_empty());
        lines.extend(initial.or_else(|| fields.get(&field)).map(|lines| lines.lines()).into_iter().flatten());
    }
    if lines.is_empty() && position == "Primary" {
        return Ok(format!("{facility}\t[default=1]\t\t\tpam_permit.so\n"));
    }
    // A jump to the end skips the lines that follow; the last line of the additional block has no
    // jump.
    let mut jump = lines.len() - usize::from(position == "Additional" && !lines.is_empty());
    let mut out = String::new();
    for line in lines {
        let bad =
            || PamError::Profile { path: path.to_owned(), why: format!("{line:?} is not \"CONTROL MODULE OPTIONS\"") };
        let (head, options) = split_line(line).ok_or_else(bad)?;
        let head = head.replace("end", &jump.to_string());
        out.push_str(&format!("{facility}\t{head} {}\n", options.split_whitespace().collect::<Vec<_>>().join(" ")));
        jump = jump.saturating_sub(1);
    }
    Ok(out)
}

/// Splits a line into `[control] module` and the options.
fn split_line(line: &str) -> Option<(&str, &str)> {
    let control = if line.starts_with('[') { line.find(']')? + 1 } else { line.find(char::is_whitespace)? };
    let rest = line.get(control..)?;
    let blank = rest.len() - rest.trim_start().len();
    let module = rest.trim_start().find(char::is_whitespace).unwrap_or(rest.trim_start().len());
    (blank > 0 && module > 0).then(|| line.split_at(control + blank + module))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn jumps_count_the_lines_that_follow() {
        let profile = |text| parse(text).expect("a profile");
        let enabled = [
            profile(
                "Priority: 9\nAuth-Type: Primary\nAuth:\n\t[success=end default=ignore]\tpam_a.so  x  y\nAuth-Initial:\n\t[success=end default=ignore]\tpam_a.so\n",
            ),
            profile("Priority: 1\nAuth-Type: Primary\nAuth:\n\t[success=end default=die]\tpam_b.so try\n"),
        ];
        assert_eq!(
            block("t", "auth", "Primary", &enabled).expect("lines"),
            "auth\t[success=2 default=ignore]\tpam_a.so \nauth\t[success=1 default=die]\tpam_b.so try\n"
        );
        assert_eq!(
            block("t", "account", "Primary", &enabled).expect("lines"),
            "account\t[default=1]\t\t\tpam_permit.so\n"
        );
        assert_eq!(block("t", "account", "Additional", &enabled).expect("lines"), "");
    }

    #[test]
    fn broken_files_are_named() {
        assert!(matches!(render("t", "nothing", "auth", &[]), Err(PamError::Template { .. })));
        assert_eq!(parse("stray\n"), Err("\"stray\" is not part of a field".into()));
        let broken = [parse("Auth-Type: Primary\nAuth:\n\trequired\n").expect("a profile")];
        assert!(block("t", "auth", "Primary", &broken).is_err());
    }

    proptest! {
        #[test]
        fn any_profile_is_rejected_or_read(text in "(Auth-Type: Primary\nAuth:\n)?(\t?\\PC{0,30}\n){0,4}") {
            if let Ok(fields) = parse(&text) {
                let _ = block("t", "auth", "Primary", &[fields]);
            }
        }
    }
}
