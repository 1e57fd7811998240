//! Compares `KubeletConfiguration` field by field.

use super::side::Texts;
use super::{Change, values};
use serde_json::Value;
use std::collections::BTreeMap;

/// Fields are compared down to this depth; what is deeper is one value.
const MAX_DEPTH: usize = 16;

pub(super) fn compare(old: &Texts, new: &Texts) -> Vec<Change> {
    values(&fields(old), &fields(new))
}

/// Whether `text` is a `KubeletConfiguration`, whatever its path.
pub(super) fn is_configuration(text: &str) -> bool {
    text.lines().any(|line| line.trim_end() == "kind: KubeletConfiguration")
}

/// Every field's value as JSON, by its path in jq's syntax. Text that is not YAML has no fields; it
/// is still compared as text.
fn fields(texts: &Texts) -> BTreeMap<String, String> {
    let mut fields = BTreeMap::new();
    for text in texts.values().filter(|text| is_configuration(text)) {
        let options = serde_saphyr::options! {
            with_snippet: false,
            alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: 10_000 },
        };
        if let Ok(value) = serde_saphyr::from_str_with_options::<Value>(text, options) {
            flatten("", &value, 0, &mut fields);
        }
    }
    fields
}

fn flatten(path: &str, value: &Value, depth: usize, fields: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(map) if !map.is_empty() && depth < MAX_DEPTH => {
            for (name, value) in map {
                let plain = name.chars().all(|char| char.is_ascii_alphanumeric() || char == '_');
                let path = if plain { format!("{path}.{name}") } else { format!("{path}[{name:?}]") };
                flatten(&path, value, depth + 1, fields);
            }
        }
        _ => {
            fields.insert(path.to_owned(), value.to_string());
        }
    }
}
