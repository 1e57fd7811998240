//! os-release(5): parses it, and records the image in it.

use super::Finalizer;
use super::input::{self, InputError, OutputError};
use kiln_profile::Image;
use kiln_tree::{ContentReader, Entry, FileTree};
use std::collections::BTreeMap;

pub(crate) const FINALIZER: Finalizer = Finalizer { name: "os-release", reads: &[&[PATH]] };

/// The path of the file; `/etc/os-release` is a link to it.
pub const PATH: &str = "usr/lib/os-release";

/// Why os-release cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum OsReleaseError {
    /// It cannot be read; base-files ships it.
    #[error("{0}; the package base-files provides it")]
    Input(#[from] InputError),
    /// It cannot be written to the tree.
    #[error(transparent)]
    Output(#[from] OutputError),
}

/// Returns the assignments of an os-release file, without shell quoting; skips lines that assign
/// nothing.
pub fn parse(text: &str) -> BTreeMap<String, String> {
    text.lines()
        .filter(|line| !line.trim_start().starts_with('#'))
        .filter_map(|line| line.trim().split_once('='))
        .map(|(key, value)| (key.to_owned(), unquote(value)))
        .collect()
}

fn unquote(value: &str) -> String {
    for quote in ['"', '\''] {
        if let Some(inner) = value.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote)) {
            return if quote == '"' { unescape(inner) } else { inner.to_owned() };
        }
    }
    unescape(value)
}

fn unescape(value: &str) -> String {
    let mut plain = String::with_capacity(value.len());
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        plain.push(if c == '\\' { chars.next().unwrap_or('\\') } else { c });
    }
    plain
}

/// Quotes `value` for a shell assignment: plain if it has only letters, digits and `._-`, else in
/// double quotes with `"`, `$`, `` ` `` and `\` escaped, as os-release(5) requires.
pub fn quote(value: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if !value.is_empty() && value.chars().all(bare) {
        return value.to_owned();
    }
    let mut quoted = String::from("\"");
    for c in value.chars() {
        if matches!(c, '"' | '$' | '`' | '\\') {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted.push('"');
    quoted
}

/// Returns `text` with `IMAGE_ID` and `IMAGE_VERSION` set; keeps the other lines.
pub fn with_image(text: &str, image: &Image) -> String {
    let ours = |line: &&str| {
        let key = line.trim().split_once('=').map(|(key, _)| key);
        !matches!(key, Some("IMAGE_ID" | "IMAGE_VERSION"))
    };
    let mut out: String = text.lines().filter(ours).flat_map(|line| [line, "\n"]).collect();
    out.push_str(&format!("IMAGE_ID={}\nIMAGE_VERSION={}\n", quote(&image.id), quote(&image.version)));
    out
}

/// Sets `IMAGE_ID` and `IMAGE_VERSION` in `/usr/lib/os-release` and links `/etc/os-release` to it.
///
/// # Errors
/// [`OsReleaseError`] when base-files' file is missing or unreadable.
pub fn finalize(tree: &mut FileTree, reader: &dyn ContentReader, image: &Image) -> Result<(), OsReleaseError> {
    let text = with_image(&input::text(tree, reader, PATH)?, image);
    let origin = FINALIZER.origin();
    input::put(tree, PATH, Entry::file(text, 0o644, origin.clone()))?;
    input::put(tree, "etc/os-release", Entry::symlink("../usr/lib/os-release", origin))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn image(id: &str, version: &str) -> Image {
        Image { id: id.into(), version: version.into() }
    }

    #[test]
    fn image_fields_are_replaced_and_others_kept() {
        let text = "NAME=\"Debian GNU/Linux\"\nIMAGE_ID=old\nID=debian\n";
        let text = with_image(text, &image("kiln-worker", "1.2 \"x\""));
        assert_eq!(
            text,
            "NAME=\"Debian GNU/Linux\"\nID=debian\nIMAGE_ID=kiln-worker\nIMAGE_VERSION=\"1.2 \\\"x\\\"\"\n"
        );
        assert_eq!(with_image(&text, &image("kiln-worker", "1.2 \"x\"")), text);
    }

    proptest! {
        #[test]
        fn quoting_round_trips(value in "[^\\n\\r\\x00]{0,40}") {
            let text = format!("X={}\n", quote(&value));
            prop_assert_eq!(parse(&text).remove("X"), Some(value));
        }

        #[test]
        fn any_text_is_read(text in "\\PC{0,200}") {
            let _ = parse(&text);
        }
    }
}
