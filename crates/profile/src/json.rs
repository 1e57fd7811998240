//! JSON with positions, for settings whose schema belongs to Kubernetes and not to kiln.

use super::place::{At, Pos};
use super::raw::Map;
use kiln_kubernetes::{Misfit, Step};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use std::fmt;

/// A JSON value with positions.
#[derive(Debug, Clone)]
pub(super) enum Json {
    /// Neither a list nor a map.
    Scalar(Value),
    /// A list.
    List(Vec<At<Json>>),
    /// A map.
    Map(Map<At<Json>>),
}

impl Json {
    /// The value without positions.
    pub(crate) fn value(&self) -> Value {
        match self {
            Self::Scalar(value) => value.clone(),
            Self::List(items) => items.iter().map(|item| item.value.value()).collect(),
            Self::Map(entries) => object(entries).into(),
        }
    }
}

/// `entries` without positions.
pub(super) fn object(entries: &Map<At<Json>>) -> serde_json::Map<String, Value> {
    entries.iter().map(|(key, item)| (key.value.clone(), item.value.value())).collect()
}

/// The position of a misfit in `entries`: that of a name or a value, or of the nearest enclosing
/// one that exists.
pub(super) fn place(entries: &Map<At<Json>>, misfit: &Misfit) -> Option<Pos> {
    let Some(Step::Key(name)) = misfit.path.first() else { return None };
    let (key, mut item) = entries.iter().find(|(key, _)| key.value == *name)?;
    let mut name = key.pos;
    for step in &misfit.path[1..] {
        (name, item) = match (&item.value, step) {
            (Json::Map(entries), Step::Key(step)) => {
                let Some((key, item)) = entries.iter().find(|(key, _)| key.value == *step) else { break };
                (key.pos, item)
            }
            (Json::List(items), Step::Index(index)) => {
                let Some(item) = items.get(*index) else { break };
                (item.pos, item)
            }
            _ => break,
        };
    }
    Some(if misfit.name { name } else { item.pos })
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(JsonVisitor)
    }
}

struct JsonVisitor;

impl<'de> Visitor<'de> for JsonVisitor {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Scalar(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Scalar(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Scalar(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json, E> {
        Ok(Json::Scalar(value.into()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(Json::Scalar(value.into()))
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Scalar(Value::Null))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Json, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Json::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Json, A::Error> {
        let mut entries = Map::new();
        while let Some((key, item)) = access.next_entry()? {
            entries.insert(key, item);
        }
        Ok(Json::Map(entries))
    }
}

/// The schema accepts any value.
impl schemars::JsonSchema for Json {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        Value::schema_name()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        Value::json_schema(generator)
    }
}
