//! YAML 1.2 into a JSON value: the format of seeds and kubeconfigs. JSON is YAML, so one parser
//! reads both.
//!
//! The input is untrusted: size and depth are bounded. Anchors, aliases and tags are rejected
//! (nothing that a node reads needs them, and aliases can make a small document large), as are
//! duplicate keys.

use granit_parser::{Event, Parser, ScalarStyle, Span};
use serde_json::{Map, Number, Value};
use zeroize::Zeroize as _;

/// The deepest nesting; a seed needs four levels.
const MAX_DEPTH: usize = 32;

/// The defect of a document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum YamlError {
    /// It is not YAML, or it is YAML that is not accepted here.
    #[error("line {line}, column {column}: {what}")]
    At {
        /// Counted from 1.
        line: usize,
        /// Counted from 1.
        column: usize,
        /// The defect.
        what: String,
    },
    /// Larger than the caller accepts.
    #[error("{size} bytes; at most {limit} are accepted")]
    TooLarge {
        /// Bytes found.
        size: usize,
        /// Bytes accepted.
        limit: usize,
    },
    /// The text does not contain exactly one document.
    #[error("there are {0} documents, but one is expected")]
    Documents(usize),
}

/// Parses the only document in `text`, which has at most `limit` bytes.
///
/// # Errors
/// [`YamlError`].
pub fn parse(text: &str, limit: usize) -> Result<Value, YamlError> {
    if text.len() > limit {
        return Err(YamlError::TooLarge { size: text.len(), limit });
    }
    let mut reader = Reader::default();
    for event in Parser::new_from_str(text) {
        match event {
            Ok((event, span)) => reader.event(event, span)?,
            Err(error) => {
                let marker = error.marker();
                return Err(at(marker.line(), marker.col() + 1, error.info()));
            }
        }
    }
    match (reader.documents, reader.root) {
        (1, Some(root)) => Ok(root),
        (documents, _) => Err(YamlError::Documents(documents)),
    }
}

/// Overwrites every string in `value`, for documents that contain a secret.
pub fn wipe(value: &mut Value) {
    match value {
        Value::String(text) => text.zeroize(),
        Value::Array(items) => items.iter_mut().for_each(wipe),
        Value::Object(map) => map.values_mut().for_each(wipe),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn at(line: usize, column: usize, what: impl Into<String>) -> YamlError {
    YamlError::At { line, column, what: what.into() }
}

/// A collection that is still open.
enum Open {
    Sequence(Vec<Value>),
    Mapping(Map<String, Value>, Option<String>),
}

#[derive(Default)]
struct Reader {
    open: Vec<Open>,
    root: Option<Value>,
    documents: usize,
}

impl Reader {
    fn event(&mut self, event: Event<'_>, span: Span) -> Result<(), YamlError> {
        let refuse = |what: &str| Err(at(span.start.line(), span.start.col() + 1, what));
        match event {
            Event::Alias(_) | Event::Anchor(..) | Event::UnresolvedAlias(_) => refuse("aliases are not accepted"),
            Event::Scalar(_, _, 1.., _) | Event::SequenceStart(_, 1.., _) | Event::MappingStart(_, 1.., _) => {
                refuse("anchors are not accepted")
            }
            Event::Scalar(_, _, _, Some(_))
            | Event::SequenceStart(_, _, Some(_))
            | Event::MappingStart(_, _, Some(_)) => refuse("tags are not accepted"),
            Event::SequenceStart(..) | Event::MappingStart(..) if self.open.len() >= MAX_DEPTH => {
                refuse("nested too deeply")
            }
            Event::Scalar(text, style, _, _) => self.scalar(text.into_owned(), style, span),
            Event::SequenceStart(..) => {
                self.open.push(Open::Sequence(Vec::new()));
                Ok(())
            }
            Event::MappingStart(..) => {
                self.open.push(Open::Mapping(Map::new(), None));
                Ok(())
            }
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(Open::Sequence(items)) => self.value(Value::Array(items), span),
                Some(Open::Mapping(map, _)) => self.value(Value::Object(map), span),
                None => refuse("a collection ends that did not begin"),
            },
            Event::DocumentStart(..) => {
                self.documents += 1;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn scalar(&mut self, text: String, style: ScalarStyle, span: Span) -> Result<(), YamlError> {
        if let Some(Open::Mapping(map, key @ None)) = self.open.last_mut() {
            if map.contains_key(&text) {
                return Err(at(span.start.line(), span.start.col() + 1, format!("{text:?} occurs twice")));
            }
            *key = Some(text);
            return Ok(());
        }
        let value = if style == ScalarStyle::Plain { plain(text) } else { Value::String(text) };
        self.value(value, span)
    }

    fn value(&mut self, value: Value, span: Span) -> Result<(), YamlError> {
        match self.open.last_mut() {
            None => self.root = Some(value),
            Some(Open::Sequence(items)) => items.push(value),
            Some(Open::Mapping(map, key)) => match key.take() {
                Some(key) => {
                    map.insert(key, value);
                }
                None => return Err(at(span.start.line(), span.start.col() + 1, "a key must be a scalar")),
            },
        }
        Ok(())
    }
}

/// A plain scalar by the core schema of YAML 1.2, except that only integers are numbers, because
/// `1.20` may be a version.
fn plain(text: String) -> Value {
    match text.as_str() {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        digits => {
            let unsigned = digits.strip_prefix('-').unwrap_or(digits);
            let whole = unsigned == "0" || unsigned.starts_with(|c: char| ('1'..='9').contains(&c));
            match digits.parse::<i64>() {
                Ok(number) if whole => Value::Number(Number::from(number)),
                _ => Value::String(text),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn parse(text: &str) -> Result<Value, YamlError> {
        super::parse(text, 1 << 16)
    }

    #[test]
    fn yaml_and_json_are_the_same() {
        let yaml = "a: [1, -2, x]\nb:\n  c: \"1\"\n  d: |\n    line\n    line\nt: true\nn:\ne: {}\nv: 1.20\no: 010\n";
        let expected = json!({"a": [1, -2, "x"], "b": {"c": "1", "d": "line\nline\n"}, "t": true, "n": null, "e": {},
            "v": "1.20", "o": "010"});
        assert_eq!(parse(yaml), Ok(expected.clone()));
        assert_eq!(parse(&expected.to_string()), Ok(expected.clone()));
        assert_eq!(parse(&format!("{expected:#}")), Ok(expected));
    }

    #[test]
    fn unsupported_yaml_is_rejected() {
        for (text, expected) in [
            ("a: 1\na: 2\n", "line 2, column 1: \"a\" occurs twice"),
            ("a: &x 1\nb: *x\n", "line 1, column 7: anchors are not accepted"),
            ("a: !!str 1\n", "line 1, column 10: tags are not accepted"),
            ("? [a]\n: b\n", "line 1, column 5: a key must be a scalar"),
            ("a: 1\n---\nb: 2\n", "there are 2 documents, but one is expected"),
            ("", "there are 0 documents, but one is expected"),
        ] {
            assert_eq!(parse(text).map_err(|error| error.to_string()), Err(expected.to_owned()), "{text}");
        }
        assert!(parse(&"[".repeat(40)).is_err());
        assert!(parse(&format!("{}{}", "[".repeat(33), "]".repeat(33))).is_err());
        assert_eq!(super::parse("abc", 2), Err(YamlError::TooLarge { size: 3, limit: 2 }));
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(text in "\\PC{0,200}", yaml in "[\\[\\]{}:,\\-\\?&*!|>'\"# \na-c01]{0,80}") {
            let _ = parse(&text);
            let _ = parse(&yaml);
        }

        #[test]
        fn every_json_string_is_parsed(text in any::<String>()) {
            prop_assume!(!text.contains(|c: char| c.is_control() || matches!(c, '\u{feff}' | '\u{fffe}' | '\u{ffff}')));
            let json = json!({ "a": text });
            prop_assert_eq!(parse(&json.to_string()), Ok(json));
        }
    }
}
