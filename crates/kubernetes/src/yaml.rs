//! JSON values as block-style YAML that has the same meaning in YAML 1.1 (Go's parsers) and 1.2.
//!
//! Strings are plain only where every parser reads them as strings; all others are double-quoted
//! with JSON's escapes, which are also YAML's.

use serde_json::{Map, Value};
use std::fmt::Write as _;

/// Formats `value` as a document.
pub fn document(value: &Value) -> String {
    let mut text = String::new();
    if is_block(value) {
        block(&mut text, value, 0);
    } else {
        text = scalar(value) + "\n";
    }
    text
}

/// Whether the value needs lines of its own.
fn is_block(value: &Value) -> bool {
    match value {
        Value::Object(map) => !map.is_empty(),
        Value::Array(list) => !list.is_empty(),
        _ => false,
    }
}

/// Writes the lines of a non-empty map or list, at `indent`.
fn block(text: &mut String, value: &Value, indent: usize) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                write!(text, "{:indent$}{}:", "", string(key)).ok();
                // kubectl's and kubeadm's style: a list below a key is not indented.
                let deeper = if value.is_array() { indent } else { indent + 2 };
                nested(text, value, deeper, "\n");
            }
        }
        Value::Array(list) => {
            for value in list {
                write!(text, "{:indent$}-", "").ok();
                if is_block(value) {
                    let mut item = String::new();
                    block(&mut item, value, indent + 2);
                    // The first line follows the dash.
                    text.push_str(&item[indent + 1..]);
                } else {
                    nested(text, value, indent, "");
                }
            }
        }
        _ => {}
    }
}

fn nested(text: &mut String, value: &Value, indent: usize, newline: &str) {
    if is_block(value) {
        text.push_str(newline);
        block(text, value, indent);
    } else {
        writeln!(text, " {}", scalar(value)).ok();
    }
}

fn scalar(value: &Value) -> String {
    match value {
        Value::String(text) => string(text),
        // Numbers, booleans, null and empty collections have JSON's spelling, which is valid YAML.
        other => other.to_string(),
    }
}

fn string(text: &str) -> String {
    if is_plain(text) { text.to_owned() } else { quoted(text) }
}

/// Whether `text` starts with a letter or a slash, has no special characters, and is not a keyword
/// of YAML 1.1.
fn is_plain(text: &str) -> bool {
    const WORDS: [&str; 9] = ["y", "n", "yes", "no", "on", "off", "true", "false", "null"];
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c))
        && !WORDS.contains(&text.to_ascii_lowercase().as_str())
}

fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            // Not printable in YAML, or a line break in one of its versions.
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}') => {
                write!(quoted, "\\u{:04x}", u32::from(c)).ok();
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// Applies `over` to `config` like RFC 7396: maps merge, `null` removes, everything else replaces.
pub fn merge(config: &mut Map<String, Value>, over: &Map<String, Value>) {
    for (key, value) in over {
        match value {
            Value::Null => {
                config.remove(key);
            }
            Value::Object(over) => {
                let slot = config.entry(key.clone()).or_insert(Value::Null);
                if !slot.is_object() {
                    *slot = Value::Object(Map::new());
                }
                if let Value::Object(map) = slot {
                    merge(map, over);
                }
            }
            _ => {
                config.insert(key.clone(), value.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn style_is_that_of_kubeadm() {
        let value = json!({
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "authentication": { "anonymous": { "enabled": false } },
            "clusterDNS": ["10.96.0.10"],
            "country": "NO",
            "empty": {},
            "registerWithTaints": [{ "effect": "NoSchedule", "key": "a/b" }, { "key": "c" }],
            "syncFrequency": "0s",
            "nested": [["a", 1], []],
        });
        assert_eq!(
            document(&value),
            "apiVersion: kubelet.config.k8s.io/v1beta1\nauthentication:\n  anonymous:\n    enabled: false\n\
             clusterDNS:\n- \"10.96.0.10\"\ncountry: \"NO\"\nempty: {}\nnested:\n- - a\n  - 1\n- []\n\
             registerWithTaints:\n- effect: NoSchedule\n  key: a/b\n- key: c\nsyncFrequency: \"0s\"\n"
        );
    }

    #[test]
    fn maps_merge_null_removes_and_others_replace() {
        let object = |value: Value| value.as_object().cloned().expect("an object");
        let mut config = object(json!({ "a": { "b": 1, "c": 2 }, "d": [1, 2], "e": 3, "f": 4 }));
        merge(&mut config, &object(json!({ "a": { "b": 5 }, "d": [9], "e": null, "f": { "g": { "h": null } } })));
        assert_eq!(Value::Object(config), json!({ "a": { "b": 5, "c": 2 }, "d": [9], "f": { "g": {} } }));
    }

    fn value() -> impl Strategy<Value = Value> {
        let text = prop_oneof![
            "\\PC{0,12}",
            "[ -~]{0,12}",
            "yes|NO|~|null|0x1f|1_0|12:30:45|.5|-|1e3|=|<<|\u{85}|\u{7f}|\r\n"
        ];
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            text.clone().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 5, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::btree_map(text.clone(), inner, 0..5)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn a_parser_reads_back_what_was_formatted(value in value()) {
            let text = document(&value);
            let read: Value = serde_saphyr::from_str(&text).map_err(|error| TestCaseError::fail(format!("{error}\n{text}")))?;
            prop_assert_eq!(read, value, "{}", text);
        }
    }
}
