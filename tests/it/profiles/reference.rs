//! docs/profile.md against the schema: the reference in it is generated from the types that read
//! profiles.

use super::assert_snapshot;
use serde_json::{Map, Value};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

const DOC: &str = "docs/profile.md";
const BEGIN: &str = "<!-- reference:begin, written by UPDATE_SNAPSHOTS=1 cargo test --test profiles -->\n";
const END: &str = "<!-- reference:end -->\n";

#[test]
fn the_reference_matches_the_schema() {
    let doc = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(DOC)).expect("docs/profile.md");
    let (before, rest) = doc.split_once(BEGIN).expect("the mark where the reference begins");
    let (_, after) = rest.split_once(END).expect("the mark where the reference ends");
    let mut text = String::from("\n## Keys of a profile\n");
    sections(&kiln_profile::schema(), "", &mut text);
    text.push_str("\n## Keys of a release\n");
    sections(&kiln_profile::release_schema(), "", &mut text);
    text.push_str("\n## Keys of a cluster\n");
    sections(&kiln_profile::cluster_schema(), "", &mut text);
    text.push('\n');
    assert_snapshot(DOC, &format!("{before}{BEGIN}{text}{END}{after}"));
}

#[test]
fn every_key_has_a_meaning_and_an_example_or_a_default() {
    fn check(schema: &Value, path: &str, missing: &mut Vec<String>) {
        for (key, schema) in properties(schema).into_iter().flatten() {
            let path = format!("{path}.{key}");
            let described = schema.get("description").is_some_and(|text| !text.as_str().unwrap_or_default().is_empty());
            let shown = ["default", "examples", "enum", "oneOf", "anyOf"].iter().any(|key| schema.get(key).is_some());
            let group = inner(schema).is_some() || of_enum(schema);
            if !described || !(shown || group || kind(schema).starts_with("list")) {
                missing.push(path.clone());
            }
            if let Some((_, inner)) = inner(schema) {
                check(inner, &path, missing);
            }
        }
    }
    let mut missing = Vec::new();
    check(&kiln_profile::schema(), "profile", &mut missing);
    check(&kiln_profile::release_schema(), "release", &mut missing);
    check(&kiln_profile::cluster_schema(), "cluster", &mut missing);
    assert!(missing.is_empty(), "without description, or example and default: {missing:?}");
}

fn properties(schema: &Value) -> Option<&Map<String, Value>> {
    schema.get("properties").and_then(Value::as_object)
}

/// The keys below a key: its own, or those of the values of its map or list; with the path to them.
fn inner(schema: &Value) -> Option<(&'static str, &Value)> {
    let values = schema.get("additionalProperties").filter(|values| values.is_object());
    [("", Some(schema)), (".NAME", values), ("[]", schema.get("items"))]
        .into_iter()
        .find_map(|(step, schema)| schema.filter(|schema| properties(schema).is_some()).map(|schema| (step, schema)))
}

fn of_enum(schema: &Value) -> bool {
    !words(schema).is_empty() || schema.get("additionalProperties").is_some_and(|values| !words(values).is_empty())
}

/// The words of an enumeration, however the schema spells it.
fn words(schema: &Value) -> Vec<String> {
    let mut found = Vec::new();
    if let Some(values) = schema.get("enum").and_then(Value::as_array) {
        found.extend(values.iter().filter_map(Value::as_str).map(str::to_owned));
    }
    found.extend(schema.get("const").and_then(Value::as_str).map(str::to_owned));
    for key in ["oneOf", "anyOf"] {
        for schema in schema.get(key).and_then(Value::as_array).into_iter().flatten() {
            found.extend(words(schema));
        }
    }
    found
}

fn kind(schema: &Value) -> String {
    let words = words(schema);
    if !words.is_empty() {
        return words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
    }
    if let Some(items) = schema.get("items") {
        return format!("list of {}", plural(&kind(items)));
    }
    if let Some(values) = schema.get("additionalProperties").filter(|values| **values != Value::Bool(false)) {
        return format!("map of {}", plural(&kind(values)));
    }
    let types = match schema.get("type") {
        Some(Value::String(name)) => vec![name.as_str()],
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let known = [("object", "map"), ("string", "string"), ("integer", "number"), ("boolean", "true or false")];
    known.iter().find(|(name, _)| types.contains(name)).map_or("any value", |(_, word)| word).to_owned()
}

fn plural(kind: &str) -> String {
    match kind {
        "string" | "number" | "map" => format!("{kind}s"),
        "any value" => "any values".to_owned(),
        other => other.to_owned(),
    }
}

/// A section for `schema` and one for each of the maps below it.
fn sections(schema: &Value, path: &str, text: &mut String) {
    if !path.is_empty() {
        writeln!(text, "\n### `{path}`").expect("a string");
    }
    text.push_str("\n| key | type | meaning |\n|---|---|---|\n");
    for (key, schema) in properties(schema).into_iter().flatten() {
        let description = schema["description"].as_str().unwrap_or_default().replace('\n', " ");
        let example = match schema["examples"].get(0) {
            Some(example) => format!(" Example: `{}`.", serde_json::to_string(example).expect("JSON")),
            None => String::new(),
        };
        let row = format!("| `{key}` | {} | {description}{example} |", kind(schema));
        writeln!(text, "{row}").expect("a string");
    }
    for (key, schema) in properties(schema).into_iter().flatten() {
        if let Some((step, inner)) = inner(schema) {
            let path = if path.is_empty() { format!("{key}{step}") } else { format!("{path}.{key}{step}") };
            sections(inner, &path, text);
        }
    }
}
