//! Reads a mapping field by field; unknown fields are errors.

use super::SeedError;
use crate::yaml;
use serde_json::{Map, Value};

/// The fields of one mapping.
pub(super) struct Fields {
    path: String,
    map: Map<String, Value>,
}

impl Fields {
    /// The fields of `value`, which is at `path` (empty for the document).
    pub(super) fn new(path: &str, value: Value) -> Result<Self, SeedError> {
        match value {
            Value::Object(map) => Ok(Self { path: path.into(), map }),
            Value::Null => Ok(Self { path: path.into(), map: Map::new() }),
            _ => Err(SeedError::field(path, "must be a mapping")),
        }
    }

    /// The path of the field `name`.
    pub(super) fn path(&self, name: &str) -> String {
        if self.path.is_empty() { name.into() } else { format!("{}.{name}", self.path) }
    }

    fn take(&mut self, name: &str) -> Option<Value> {
        self.map.remove(name).filter(|value| !value.is_null())
    }

    /// Reads a string field and converts it to a `T`.
    pub(super) fn text<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<Option<T>, SeedError> {
        let path = self.path(name);
        let Some(mut value) = self.take(name) else { return Ok(None) };
        let read = text(&path, &value, read);
        // One of the strings is the token.
        yaml::wipe(&mut value);
        read.map(Some)
    }

    /// Reads a list of strings.
    pub(super) fn texts<T>(
        &mut self,
        name: &str,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Vec<T>, SeedError> {
        let path = self.path(name);
        let items = self.list(name)?;
        items.iter().enumerate().map(|(at, item)| text(&format!("{path}[{at}]"), item, &read)).collect()
    }

    /// Reads a list.
    pub(super) fn list(&mut self, name: &str) -> Result<Vec<Value>, SeedError> {
        match self.take(name) {
            None => Ok(Vec::new()),
            Some(Value::Array(items)) => Ok(items),
            Some(_) => Err(SeedError::field(&self.path(name), "must be a list")),
        }
    }

    /// Reads a number up to `most`.
    pub(super) fn number(&mut self, name: &str, most: u32) -> Result<Option<u32>, SeedError> {
        let path = self.path(name);
        let Some(value) = self.take(name) else { return Ok(None) };
        let number = value.as_u64().and_then(|number| u32::try_from(number).ok()).filter(|number| *number <= most);
        number.map(Some).ok_or_else(|| SeedError::field(&path, &format!("must be a number from 0 to {most}")))
    }

    /// Reads a mapping.
    pub(super) fn fields(&mut self, name: &str) -> Result<Self, SeedError> {
        let path = self.path(name);
        Self::new(&path, self.take(name).unwrap_or_default())
    }

    /// All remaining fields, whatever their names.
    pub(super) fn rest(self) -> impl Iterator<Item = (String, String, Value)> {
        let path = self.path;
        self.map.into_iter().map(move |(name, value)| (format!("{path}[{name:?}]"), name, value))
    }

    /// Checks that no field is left.
    pub(super) fn end(self) -> Result<(), SeedError> {
        match self.map.keys().next() {
            None => Ok(()),
            Some(name) => Err(SeedError::field(&self.path(name), "is not a field of a seed")),
        }
    }
}

/// Converts the string `value` at `path` to a `T`.
pub(super) fn text<T>(path: &str, value: &Value, read: impl FnOnce(&str) -> Result<T, String>) -> Result<T, SeedError> {
    match value {
        Value::String(text) => read(text).map_err(|why| SeedError::field(path, &why)),
        Value::Bool(_) | Value::Number(_) => Err(SeedError::field(path, "must be a string: put it in quotes")),
        _ => Err(SeedError::field(path, "must be a string")),
    }
}
