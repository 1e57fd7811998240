//! The two formats of sources.list(5), read into entries of one URL and one suite each.

use crate::deb::control::{ControlError, Field, Paragraph, Paragraphs};
use std::path::PathBuf;

/// The key material that an entry names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignedBy {
    /// A keyring file.
    File(PathBuf),
    /// An armored key contained in the entry.
    Key(String),
}

/// One URL and one suite of a `deb` line or paragraph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) uri: String,
    pub(super) suite: String,
    pub(super) components: Vec<String>,
    pub(super) signed_by: Vec<SignedBy>,
}

impl Entry {
    pub(super) fn is_security(&self) -> bool {
        self.suite.ends_with("-security") || self.suite.ends_with("/updates")
    }
}

/// One-line format: `deb [option=value …] uri suite component…`.
pub(super) fn parse_list(text: &str) -> Result<Vec<Entry>, (usize, String)> {
    let mut entries = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.split('#').next().unwrap_or_default().trim();
        let Some((kind, rest)) = line.split_once([' ', '\t']) else {
            if line.is_empty() {
                continue;
            }
            return Err((number, format!("{:?} is not of the form \"deb uri suite component…\"", excerpt(line))));
        };
        if kind == "deb" {
            entries.push(parse_line(rest.trim_start()).map_err(|problem| (number, problem))?);
        } else if kind != "deb-src" {
            return Err((number, format!("the type {:?} is neither deb nor deb-src", excerpt(kind))));
        }
    }
    Ok(entries)
}

fn parse_line(rest: &str) -> Result<Entry, String> {
    let (options, rest) = match rest.strip_prefix('[') {
        None => ("", rest),
        Some(rest) => rest.split_once(']').ok_or_else(|| "the options have no closing bracket".to_owned())?,
    };
    let signed_by = options
        .split_ascii_whitespace()
        .filter_map(|option| option.split_once('='))
        .filter(|(name, _)| name.trim_end_matches(['+', '-']).eq_ignore_ascii_case("signed-by"))
        .flat_map(|(_, value)| value.split(',').filter_map(keyring_file))
        .collect();
    let mut words = rest.split_ascii_whitespace();
    match (words.next(), words.next()) {
        (Some(uri), Some(suite)) => Ok(Entry {
            uri: uri.to_owned(),
            suite: suite.to_owned(),
            components: words.map(str::to_owned).collect(),
            signed_by,
        }),
        _ => Err("a URI and a suite must follow".to_owned()),
    }
}

/// deb822 format: every URI with every suite of a paragraph.
pub(super) fn parse_sources(text: &str) -> Result<Vec<Entry>, (usize, String)> {
    let mut entries = Vec::new();
    for paragraph in Paragraphs::with_comments(text) {
        let malformed = |error: ControlError| (error.line, error.problem.to_string());
        let paragraph = paragraph.map_err(malformed)?;
        let types = paragraph.require_field("Types").map_err(malformed)?;
        if is_disabled(&paragraph) || !types.words().any(|kind| kind == "deb") {
            continue;
        }
        let components: Vec<_> = list(&paragraph, "Components").collect();
        let signed_by = paragraph.field("Signed-By").map_or_else(Vec::new, signed_by);
        let uris = paragraph.require_field("URIs").map_err(malformed)?;
        let suites = paragraph.require_field("Suites").map_err(malformed)?;
        for uri in uris.words() {
            entries.extend(suites.words().map(|suite| Entry {
                uri: uri.to_owned(),
                suite: suite.to_owned(),
                components: components.clone(),
                signed_by: signed_by.clone(),
            }));
        }
    }
    Ok(entries)
}

fn list<'p>(paragraph: &Paragraph<'p>, name: &str) -> impl Iterator<Item = String> + use<'p> {
    paragraph.field(name).copied().into_iter().flat_map(|field| field.words()).map(str::to_owned)
}

/// Whether `Enabled` has one of the values that apt treats as no.
fn is_disabled(paragraph: &Paragraph<'_>) -> bool {
    let value = paragraph.get("Enabled").unwrap_or("yes");
    ["no", "false", "without", "off", "disable", "0"].iter().any(|no| value.eq_ignore_ascii_case(no))
}

fn signed_by(field: &Field<'_>) -> Vec<SignedBy> {
    if field.value.contains("-----BEGIN PGP PUBLIC KEY BLOCK-----") {
        // An empty line is written as a dot, because it would end the paragraph.
        let key = field.lines().map(|line| if line == "." { "\n".to_owned() } else { format!("{line}\n") }).collect();
        return vec![SignedBy::Key(key)];
    }
    field.words().flat_map(|word| word.split(',')).filter_map(keyring_file).collect()
}

/// A `Signed-By` word that names a file; a fingerprint only selects among apt's own keys, which
/// kiln does not use.
fn keyring_file(word: &str) -> Option<SignedBy> {
    word.starts_with('/').then(|| SignedBy::File(PathBuf::from(word)))
}

fn excerpt(text: &str) -> String {
    text.chars().take(60).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(text in "(\\PC|\n){0,80}") {
            let _ = parse_list(&text);
            let _ = parse_sources(&text);
        }

        #[test]
        fn text_of_the_right_words_never_panics(text in "((deb|URIs:|Suites:|Types:|Signed-By:|#|\\[|\\]|signed-by=/x|http://x| |\n){1,4}){0,20}") {
            let _ = parse_list(&text);
            let _ = parse_sources(&text);
        }
    }
}
