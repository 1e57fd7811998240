//! Decodes a [`Node`] into serde types. Errors name the position, the key, the value found and the
//! valid values.

use super::at::AT;
use super::key::{Field, field_of};
use super::node::{Node, Scalar, ScalarKind, Value};
use super::place::{Fault, Pos};
use super::suggest;
use serde::de::{
    self, DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, MapAccess, SeqAccess,
    VariantAccess, Visitor,
};
use std::fmt;

/// Decodes `node`.
pub(super) fn decode<T: DeserializeOwned>(node: &Node) -> Result<T, Fault> {
    T::deserialize(Decoder(node)).map_err(|error| error.into_fault(node.pos))
}

/// An error on its way up: the innermost value adds its position, and every map and list a step of
/// the path.
#[derive(Debug)]
struct DecodeError {
    pos: Option<Pos>,
    /// Keys, from the innermost outwards.
    path: Vec<String>,
    text: String,
    /// Whether the syntax of profiles is violated, and not a rule of the key.
    is_form: bool,
}

impl DecodeError {
    fn new(text: impl fmt::Display) -> Self {
        Self { pos: None, path: Vec::new(), text: text.to_string(), is_form: true }
    }

    fn at(mut self, pos: Pos) -> Self {
        self.pos.get_or_insert(pos);
        self
    }

    fn within(mut self, key: &str) -> Self {
        self.path.push(key.to_owned());
        self
    }

    fn into_fault(self, fallback: Pos) -> Fault {
        let field = field_of(self.path.iter().rev().map(String::as_str)).filter(|_| !self.is_form);
        let mut path = String::new();
        for key in self.path.iter().rev() {
            if !path.is_empty() && !key.starts_with('[') {
                path.push('.');
            }
            path.push_str(key);
        }
        let text = if path.is_empty() { self.text } else { format!("{path}: {}", self.text) };
        Fault { rule: field.and_then(Field::rule), ..self.pos.unwrap_or(fallback).fault(text) }
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for DecodeError {}

impl de::Error for DecodeError {
    /// An error of the value's own type.
    fn custom<T: fmt::Display>(text: T) -> Self {
        Self { is_form: false, ..Self::new(text) }
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        Self::new(format!("unknown key {field:?}{}", suggest::hint(field, expected)))
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        Self::new(format!("unknown value {variant:?}{}", suggest::hint(variant, expected)))
    }
}

/// Reads one node.
#[derive(Clone, Copy)]
struct Decoder<'a>(&'a Node);

impl<'a> Decoder<'a> {
    fn mismatch(self, expected: &str) -> DecodeError {
        DecodeError::new(format!("expected {expected}, found {}", self.0.value.name())).at(self.0.pos)
    }

    fn scalar(self, expected: &str) -> Result<&'a Scalar, DecodeError> {
        match &self.0.value {
            Value::Scalar(scalar) => Ok(scalar),
            _ => Err(self.mismatch(expected)),
        }
    }

    fn whole_number(self, max: u64) -> Result<u64, DecodeError> {
        let expected = format!("a whole number from 0 to {max}");
        match self.scalar(&expected)?.kind {
            ScalarKind::Unsigned(value) if value <= max => Ok(value),
            _ => Err(self.mismatch(&expected)),
        }
    }

    fn list<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match &self.0.value {
            Value::List(items) => visitor.visit_seq(Items { items: items.iter(), index: 0 }),
            _ => Err(self.mismatch("a list")),
        }
    }

    fn map<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match &self.0.value {
            Value::Map(entries) => visitor.visit_map(Entries { entries: entries.iter(), current: None }),
            _ => Err(self.mismatch("a map")),
        }
    }
}

/// Words that parsers of YAML 1.1 (including Go's) read as booleans, and those of YAML 1.2 as
/// strings.
fn is_doubtful_boolean(scalar: &Scalar) -> bool {
    scalar.plain
        && scalar.kind == ScalarKind::Text
        && ["yes", "no", "on", "off"].iter().any(|word| scalar.text.eq_ignore_ascii_case(word))
}

impl<'de> Deserializer<'de> for Decoder<'de> {
    type Error = DecodeError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        let pos = self.0.pos;
        match &self.0.value {
            Value::Null => visitor.visit_unit(),
            Value::List(_) => self.list(visitor),
            Value::Map(_) => self.map(visitor),
            Value::Scalar(scalar) if is_doubtful_boolean(scalar) => {
                let word = &scalar.text;
                Err(DecodeError::new(format!(
                    "{word} is a boolean in YAML 1.1 and a string in YAML 1.2; write true, false or {word:?}"
                )))
            }
            Value::Scalar(scalar) => match scalar.kind {
                ScalarKind::Bool(value) => visitor.visit_bool(value),
                ScalarKind::Signed(value) => visitor.visit_i64(value),
                ScalarKind::Unsigned(value) => visitor.visit_u64(value),
                ScalarKind::Float(value) => visitor.visit_f64(value),
                ScalarKind::Text => visitor.visit_borrowed_str(&scalar.text),
            },
        }
        .map_err(|error| error.at(pos))
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match self.scalar("true or false")?.kind {
            ScalarKind::Bool(value) => visitor.visit_bool(value),
            _ => Err(self.mismatch("true or false")),
        }
    }

    fn deserialize_u32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_u64(self.whole_number(u64::from(u32::MAX))?).map_err(|error: DecodeError| error.at(self.0.pos))
    }

    /// A number or boolean is accepted as it was written: `net.ipv4.ip_forward: 1`.
    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        let scalar = self.scalar("a string")?;
        visitor.visit_borrowed_str(&scalar.text).map_err(|error: DecodeError| error.at(self.0.pos))
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match self.0.value {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        match name {
            AT => visitor.visit_seq(Positioned { node: self.0, step: 0 }),
            _ => visitor.visit_newtype_struct(self),
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.list(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.map(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        self.map(visitor).map_err(|error| error.at(self.0.pos))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        let scalar = self.scalar(&format!("one of {}", variants.join(", ")))?;
        visitor.visit_enum(Variant(&scalar.text)).map_err(|error| error.at(self.0.pos))
    }

    serde::forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u8 u16 u64 u128 f32 f64 char bytes byte_buf unit unit_struct tuple tuple_struct ignored_any
    }
}

struct Items<'a> {
    items: std::slice::Iter<'a, Node>,
    index: usize,
}

impl<'de> SeqAccess<'de> for Items<'de> {
    type Error = DecodeError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, DecodeError> {
        let Some(node) = self.items.next() else { return Ok(None) };
        let index = self.index;
        self.index += 1;
        seed.deserialize(Decoder(node)).map(Some).map_err(|error| error.at(node.pos).within(&format!("[{index}]")))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.items.len())
    }
}

struct Entries<'a> {
    entries: std::slice::Iter<'a, (Node, Node)>,
    current: Option<&'a (Node, Node)>,
}

impl<'de> MapAccess<'de> for Entries<'de> {
    type Error = DecodeError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, DecodeError> {
        self.current = self.entries.next();
        let Some((key, _)) = self.current else { return Ok(None) };
        seed.deserialize(Decoder(key)).map(Some).map_err(|error| error.at(key.pos))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, DecodeError> {
        let Some((key, value)) = self.current else { return Err(DecodeError::new("a value without its key")) };
        seed.deserialize(Decoder(value)).map_err(|error| error.at(value.pos).within(key.text().unwrap_or_default()))
    }
}

/// A scalar that names a unit variant.
struct Variant<'a>(&'a str);

impl<'de> EnumAccess<'de> for Variant<'de> {
    type Error = DecodeError;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), DecodeError> {
        Ok((seed.deserialize(self.0.into_deserializer())?, self))
    }
}

impl<'de> VariantAccess<'de> for Variant<'de> {
    type Error = DecodeError;

    fn unit_variant(self) -> Result<(), DecodeError> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, _seed: T) -> Result<T::Value, DecodeError> {
        Err(DecodeError::new("expected a word"))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _len: usize, _visitor: V) -> Result<V::Value, DecodeError> {
        Err(DecodeError::new("expected a word"))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _fields: &'static [&'static str],
        _visitor: V,
    ) -> Result<V::Value, DecodeError> {
        Err(DecodeError::new("expected a word"))
    }
}

/// A node's position, then its value: what [`At`](super::place::At) requests by the name [`AT`].
struct Positioned<'a> {
    node: &'a Node,
    step: u8,
}

impl<'de> SeqAccess<'de> for Positioned<'de> {
    type Error = DecodeError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, DecodeError> {
        self.step += 1;
        let Pos { source, line, column } = self.node.pos;
        match self.step {
            1 => seed.deserialize(source.into_deserializer()).map(Some),
            2 => seed.deserialize(line.into_deserializer()).map(Some),
            3 => seed.deserialize(column.into_deserializer()).map(Some),
            _ => seed.deserialize(Decoder(self.node)).map(Some),
        }
    }
}
