//! Prints changes as text and as JSON.

use super::super::units;
use kiln_tree::{Origin, Printable};
use kiln_verify::diff::{Change, Changes, FileChange, Side};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

/// The maximum number of lines shown of the difference of two texts.
const MAX_LINES: usize = 200;

pub(super) fn json(out: &mut impl Write, old: &Side, new: &Side, changes: &Changes) -> io::Result<()> {
    let text = serde_json::json!({"old": old.name, "new": new.name, "same": changes.is_empty(), "changes": changes});
    writeln!(out, "{text:#}")?;
    out.flush()
}

/// Prints additions with `+`, removals with `-` and changes with `~`. Files of packages that change
/// are only counted, unless `all`.
pub(super) fn text(out: &mut impl Write, changes: &Changes, all: bool) -> io::Result<()> {
    let mut packages = BTreeSet::new();
    for section in &changes.sections {
        writeln!(out, "{}", section.name)?;
        for change in &section.changes {
            writeln!(out, "  {}", Printable::new(&line(section.name, change)))?;
        }
        if section.name == "packages" || section.name == "artifacts" {
            packages.extend(section.changes.iter().map(|change| change.name.as_str()));
        }
    }
    if !changes.files.is_empty() {
        writeln!(out, "files")?;
    }
    let mut counted: BTreeMap<&str, [usize; 3]> = BTreeMap::new();
    for file in &changes.files {
        match input(file).filter(|input| !all && packages.contains(input)) {
            Some(input) => {
                let at = ["added", "removed", "changed"].iter().position(|change| *change == file.change);
                counted.entry(input).or_default()[at.unwrap_or(2)] += 1;
            }
            None => print_file(out, file)?,
        }
    }
    for (package, [added, removed, changed]) in counted {
        let package = Printable::new(package);
        writeln!(out, "  of {package}: {added} added, {removed} removed, {changed} changed")?;
    }
    for unknown in &changes.unknown {
        writeln!(out, "unknown: {}", Printable::sentence(unknown))?;
    }
    out.flush()
}

fn line(section: &str, change: &Change) -> String {
    let value = |value: &str| match (section, value.parse()) {
        ("sizes", Ok(bytes)) => units::bytes(bytes),
        _ => value.to_owned(),
    };
    let name = &change.name;
    // A parameter of the command line includes its name.
    let named = |value: String| if section == "command line" { value } else { format!("{name} {value}") };
    match (&change.old, &change.new) {
        (Some(old), Some(new)) => format!("~ {}", named(format!("{} -> {}", value(old), value(new)))),
        (Some(old), None) => format!("- {}", named(value(old))),
        (None, new) => format!("+ {}", named(new.as_deref().map(value).unwrap_or_default())),
    }
}

/// The package or artifact that a file belongs to.
fn input(file: &FileChange) -> Option<&str> {
    match file.origin.as_ref()? {
        Origin::Package(name) | Origin::Artifact(name) => name.split('=').next(),
        _ => None,
    }
}

fn print_file(out: &mut impl Write, file: &FileChange) -> io::Result<()> {
    let mark = match file.change {
        "added" => '+',
        "removed" => '-',
        _ => '~',
    };
    writeln!(out, "  {mark} /{}  {}", Printable::new(&file.path), Printable::new(&file.details.join(", ")))?;
    let lines: Vec<&str> = file.text.iter().flat_map(|text| text.lines()).collect();
    for line in lines.iter().take(MAX_LINES) {
        writeln!(out, "      {}", plain(line))?;
    }
    match lines.len().saturating_sub(MAX_LINES) {
        0 => Ok(()),
        hidden => writeln!(out, "      … {hidden} more lines; --json has them"),
    }
}

/// A line of a file without characters that could change the terminal. Backslashes and tabs stay:
/// this is not a name, and files have many.
fn plain(line: &str) -> String {
    line.split('\t').map(|part| Printable::sentence(part).to_string()).collect::<Vec<_>>().join("\t")
}
