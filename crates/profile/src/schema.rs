//! JSON Schemas of the files that users write, generated from the types that read them.

use super::raw::{RawCluster, RawProfile, RawRelease};
use schemars::generate::SchemaSettings;
use schemars::transform::{Transform, transform_subschemas};
use schemars::{JsonSchema, Schema};
use serde_json::{Value, json};

/// JSON Schema (2020-12) of a profile.
pub fn schema() -> Value {
    generate::<RawProfile>()
}

/// JSON Schema (2020-12) of a release, a file of `profiles/releases/`.
pub fn release_schema() -> Value {
    generate::<RawRelease>()
}

/// JSON Schema (2020-12) of a cluster, a file of `clusters/`.
pub fn cluster_schema() -> Value {
    generate::<RawCluster>()
}

fn generate<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft2020_12()
        .with(|settings| settings.inline_subschemas = true)
        .with_transform(OneLineDescriptions)
        .with_transform(ScalarsAsWritten)
        .with_transform(NullRemoves);
    settings.into_generator().into_root_schema_for::<T>().to_value()
}

/// Joins the lines of doc comments, where they are wrapped.
#[derive(Clone)]
struct OneLineDescriptions;

impl Transform for OneLineDescriptions {
    fn transform(&mut self, schema: &mut Schema) {
        if let Some(Value::String(description)) = schema.get_mut("description") {
            *description = description.replace('\n', " ");
        }
        transform_subschemas(self, schema);
    }
}

/// Allows strings without quotes where YAML reads them as numbers (`net.ipv4.ip_forward: 1`).
#[derive(Clone)]
struct ScalarsAsWritten;

impl Transform for ScalarsAsWritten {
    fn transform(&mut self, schema: &mut Schema) {
        let has_values = schema.get("enum").is_some();
        match schema.get_mut("type") {
            Some(kind) if *kind == json!("string") && !has_values => *kind = json!(["string", "number", "boolean"]),
            Some(kind) if *kind == json!(["string", "null"]) && !has_values => {
                *kind = json!(["string", "number", "boolean", "null"]);
            }
            _ => {}
        }
        transform_subschemas(self, schema);
    }
}

/// Allows `null` for any key, which removes the inherited value.
#[derive(Clone)]
struct NullRemoves;

impl Transform for NullRemoves {
    fn transform(&mut self, schema: &mut Schema) {
        transform_subschemas(self, schema);
        if let Some(Value::Object(properties)) = schema.get_mut("properties") {
            properties.values_mut().for_each(allow_null);
        }
        if let Some(values) = schema.get_mut("additionalProperties") {
            allow_null(values);
        }
    }
}

fn allow_null(schema: &mut Value) {
    let Value::Object(schema) = schema else { return };
    if let Some(Value::Array(values)) = schema.get_mut("enum")
        && !values.contains(&Value::Null)
    {
        values.push(Value::Null);
    }
    for key in ["oneOf", "anyOf"] {
        let null = json!({"type": "null"});
        if let Some(Value::Array(choices)) = schema.get_mut(key)
            && !choices.contains(&null)
        {
            choices.push(null);
        }
    }
    match schema.get_mut("type") {
        Some(Value::Array(kinds)) if !kinds.contains(&json!("null")) => kinds.push(json!("null")),
        Some(kind @ Value::String(_)) => *kind = json!([kind.clone(), "null"]),
        _ => {}
    }
}
