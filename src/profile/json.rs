//! JSON that knows where each part of it was written: for settings whose shape is Kubernetes' business, not serde's.

use super::place::{At, Pos};
use super::raw::Map;
use crate::kubernetes::Step;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use std::fmt;

/// A JSON value with positions.
#[derive(Debug, Clone)]
pub(super) enum Json {
    /// Neither list nor map.
    Scalar(Value),
    /// A list.
    List(Vec<At<Json>>),
    /// A map.
    Map(Map<At<Json>>),
}

impl Json {
    /// The value without positions.
    pub fn value(&self) -> Value {
        match self {
            Self::Scalar(value) => value.clone(),
            Self::List(items) => items.iter().map(|item| item.value.value()).collect(),
            Self::Map(entries) => object(entries).into(),
        }
    }
}

/// The map that `entries` are, without positions.
pub(super) fn object(entries: &Map<At<Json>>) -> serde_json::Map<String, Value> {
    entries.iter().map(|(key, item)| (key.value.clone(), item.value.value())).collect()
}

/// Where `path` leads within `entries`: to the value, or to the last key on the way that is there.
pub(super) fn place(entries: &Map<At<Json>>, path: &[Step]) -> Option<Pos> {
    let (step, rest) = path.split_first()?;
    let Step::Key(name) = step else { return None };
    let (key, item) = entries.iter().find(|(key, _)| key.value == *name)?;
    Some(match rest {
        // An unknown name is wrong itself; a wrong value stands right behind its name.
        [] => match item.value {
            Json::Scalar(_) => item.pos,
            _ => key.pos,
        },
        rest => place_in(item, rest).unwrap_or(item.pos),
    })
}

fn place_in(item: &At<Json>, path: &[Step]) -> Option<Pos> {
    match (&item.value, path.split_first()?) {
        (Json::Map(entries), _) => place(entries, path),
        (Json::List(items), (Step::Index(index), rest)) => {
            let item = items.get(*index)?;
            place_in(item, rest).or(Some(item.pos))
        }
        _ => None,
    }
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

/// Any value, as far as the schema goes.
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
