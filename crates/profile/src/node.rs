//! YAML as a tree with positions.
//!
//! Layers are merged and then decoded from this form, so every value of the merged profile keeps
//! its file, line and column. serde-saphyr does the parsing (YAML 1.2, duplicate keys, alias bombs,
//! depth); this module keeps what its untyped form would lose: positions, and the spelling of
//! numbers (`1.10` is not 1.1).

use super::place::{Fault, Pos};
use kiln_url::Url;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Location, Spanned};
use std::collections::BTreeSet;
use std::fmt;

/// Size limit of a file in bytes; larger files are rejected unread.
pub(super) const MAX_FILE: u64 = 1 << 20;

/// A YAML value and its position.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    /// The value.
    pub value: Value,
    /// Its position; for an alias, the position where it is used.
    pub pos: Pos,
}

/// A YAML value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    /// Empty, `~` or `null`.
    Null,
    /// A scalar.
    Scalar(Scalar),
    /// A sequence.
    List(Vec<Node>),
    /// A mapping in the order of the file; keys are unique scalars.
    Map(Vec<(Node, Node)>),
}

/// A scalar: its text and its type.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Scalar {
    /// The text as written (quotes and escapes resolved).
    pub text: String,
    /// Its type under YAML 1.2's core schema.
    pub kind: ScalarKind,
    /// Whether it was written without quotes.
    pub plain: bool,
}

/// A scalar's type under YAML 1.2's core schema.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum ScalarKind {
    /// `true` or `false`.
    Bool(bool),
    /// A negative whole number.
    Signed(i64),
    /// A whole number.
    Unsigned(u64),
    /// Any other number.
    Float(f64),
    /// Text.
    Text,
}

impl Node {
    /// Parses one YAML document of the source numbered `source`.
    pub(crate) fn parse(text: &str, source: u32) -> Result<Self, Fault> {
        let options = serde_saphyr::options! {
            merge_keys: serde_saphyr::MergeKeyPolicy::Error,
            reject_unsupported_tags: true,
            strict_booleans: true,
            with_snippet: false,
            alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: 10_000 },
        };
        let parsed: Spanned<Parsed> = serde_saphyr::from_str_with_options(text, options)
            .map_err(|error| syntax_fault(error.without_snippet(), text, source))?;
        Self::build(parsed, text, source)
    }

    /// An empty mapping: the meaning of an empty file.
    pub(crate) fn empty(source: u32) -> Self {
        Self { value: Value::Map(Vec::new()), pos: Pos { source, line: 1, column: 1 } }
    }

    fn build(parsed: Spanned<Parsed>, text: &str, source: u32) -> Result<Self, Fault> {
        let pos = position(&parsed.referenced, source);
        let written = written(&parsed.defined, text);
        let scalar = |kind, value: String| {
            let plain = !written.starts_with(['"', '\'', '|', '>']);
            Value::Scalar(Scalar { text: value, kind, plain })
        };
        let value = match parsed.value {
            Parsed::Null => Value::Null,
            Parsed::Bool(value) => scalar(ScalarKind::Bool(value), written.to_owned()),
            Parsed::Signed(value) => scalar(ScalarKind::Signed(value), written.to_owned()),
            Parsed::Unsigned(value) => scalar(ScalarKind::Unsigned(value), written.to_owned()),
            Parsed::Float(value) => scalar(ScalarKind::Float(value), written.to_owned()),
            Parsed::Text(value) => scalar(ScalarKind::Text, value),
            Parsed::List(items) => {
                Value::List(items.into_iter().map(|item| Self::build(item, text, source)).collect::<Result<_, _>>()?)
            }
            Parsed::Map(entries) => {
                let mut map = Vec::with_capacity(entries.len());
                let mut names = BTreeSet::new();
                for (key, value) in entries {
                    let key = Self::build(key, text, source)?;
                    let Some(name) = key.text() else {
                        return Err(key.pos.fault(format!("a key must be a scalar, not {}", key.value.name())));
                    };
                    // The parser distinguishes `1` and "1"; in a profile they are the same key.
                    if !names.insert(name.to_owned()) {
                        return Err(key.pos.fault(format!("duplicate key {name:?}")));
                    }
                    map.push((key, Self::build(value, text, source)?));
                }
                Value::Map(map)
            }
        };
        Ok(Self { value, pos })
    }

    /// The text of a scalar.
    pub(crate) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar(scalar) => Some(&scalar.text),
            _ => None,
        }
    }
}

impl Value {
    /// The value's type, for messages.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Null => "nothing (null)".to_owned(),
            Self::List(_) => "a list".to_owned(),
            Self::Map(_) => "a map".to_owned(),
            Self::Scalar(scalar) => {
                let shown = match scalar.text.contains("://") {
                    true => Url::from(scalar.text.as_str()).to_string(),
                    false => scalar.text.clone(),
                };
                let short: String = shown.chars().take(40).collect();
                match scalar.kind {
                    ScalarKind::Text => format!("the string {short:?}"),
                    ScalarKind::Bool(_) => format!("the boolean {short}"),
                    _ => format!("the number {short}"),
                }
            }
        }
    }
}

fn position(location: &Location, source: u32) -> Pos {
    let number = |value: u64| u32::try_from(value).unwrap_or(u32::MAX).max(1);
    Pos { source, line: number(location.line()), column: number(location.column()) }
}

/// The part of `text` that spells a scalar.
fn written<'a>(location: &Location, text: &'a str) -> &'a str {
    let range = || {
        let start = usize::try_from(location.span().byte_offset()?).ok()?;
        let len = usize::try_from(location.span().byte_len()?).ok()?;
        text.get(start..start.checked_add(len)?)
    };
    range().unwrap_or_default().trim_end()
}

/// Rewrites an error of serde-saphyr in kiln's terms.
fn syntax_fault(error: &serde_saphyr::Error, text: &str, source: u32) -> Fault {
    use serde_saphyr::Error;
    if let Error::AliasError { error: inner, .. } = error {
        let at_use = error.location().map(|at| position(&at, source));
        let Fault { pos, text, .. } = syntax_fault(inner.without_snippet(), text, source);
        return at_use.unwrap_or(pos).fault(text);
    }
    let pos = error.location().map_or(Pos { source, line: 1, column: 1 }, |at| position(&at, source));
    let before = text.lines().nth(usize::try_from(pos.line.saturating_sub(1)).unwrap_or(0)).unwrap_or_default();
    let words = match error {
        Error::DuplicateMappingKey { key: Some(key), .. } => format!("duplicate key {key:?}"),
        Error::DuplicateMappingKey { .. } => "duplicate key".to_owned(),
        Error::MergeKeyNotAllowed { .. } => {
            "YAML merge keys (<<) are not supported, use \"extends\" or an alias (*name)".to_owned()
        }
        Error::MultipleDocuments { .. } => "there is more than one YAML document in the file".to_owned(),
        Error::AliasReplayLimitExceeded { .. } | Error::AliasExpansionLimitExceeded { .. } | Error::Budget { .. } => {
            "the file's aliases or nesting expand beyond the limit for a profile".to_owned()
        }
        Error::RecursiveReferencesRequireWeakTypes { .. } => "an alias refers to itself".to_owned(),
        _ if before.trim_start_matches(' ').starts_with('\t') => {
            "YAML cannot be indented with tabs; use spaces".to_owned()
        }
        _ => {
            let message = error.to_string();
            let message = message.split(" at line ").next().unwrap_or_default();
            format!("YAML: {}", message.replace(char::is_control, " "))
        }
    };
    pos.fault(words)
}

/// The output of serde-saphyr, before the spelling of scalars is recovered.
#[derive(Debug)]
enum Parsed {
    Null,
    Bool(bool),
    Signed(i64),
    Unsigned(u64),
    Float(f64),
    Text(String),
    List(Vec<Spanned<Parsed>>),
    Map(Vec<(Spanned<Parsed>, Spanned<Parsed>)>),
}

impl<'de> Deserialize<'de> for Parsed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ParsedVisitor)
    }
}

struct ParsedVisitor;

impl<'de> Visitor<'de> for ParsedVisitor {
    type Value = Parsed;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<Parsed, E> {
        Ok(Parsed::Null)
    }

    fn visit_none<E>(self) -> Result<Parsed, E> {
        Ok(Parsed::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Parsed, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Parsed, E> {
        Ok(Parsed::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Parsed, E> {
        Ok(u64::try_from(value).map_or(Parsed::Signed(value), Parsed::Unsigned))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Parsed, E> {
        Ok(Parsed::Unsigned(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Parsed, E> {
        Ok(Parsed::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Parsed, E> {
        Ok(Parsed::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Parsed, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Parsed::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Parsed, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            map.push(entry);
        }
        Ok(Parsed::Map(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scalar(text: &str) -> Scalar {
        match Node::parse(&format!("a: {text}\n"), 0).expect("valid YAML").value {
            Value::Map(map) => match &map[0].1.value {
                Value::Scalar(scalar) => scalar.clone(),
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn numbers_keep_their_spelling() {
        for text in ["1.10", "0644", "1e3", "0x10", "99999999999999999999", "true"] {
            assert_eq!(scalar(text).text, text);
        }
        assert_eq!(scalar("1.10 # comment").text, "1.10");
        assert_eq!(scalar("'1.10'").kind, ScalarKind::Text);
        assert!(!scalar("'no'").plain);
        assert!(scalar("no").plain);
        assert_eq!(scalar("no").kind, ScalarKind::Text);
    }

    #[test]
    fn an_alias_has_the_position_of_its_use() {
        let node = Node::parse("a: &x 1.10\nb: *x\n", 0).expect("valid YAML");
        let Value::Map(map) = node.value else { panic!() };
        assert_eq!((map[1].1.text(), map[1].1.pos.line), (Some("1.10"), 2));
    }
}
