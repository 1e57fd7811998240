//! Types of Kubernetes configurations, and the check of JSON values against them.

use super::{Duration, Minor, parse_duration, parse_quantity};
use kiln_suggest::nearest;
use serde_json::{Map, Value, json};
use std::fmt;
use std::ops::RangeInclusive;

/// The type of a value. Ranges are inclusive.
#[derive(Debug, Clone)]
pub enum Type {
    /// `true` or `false`; Go's decoder rejects them in quotes.
    Bool,
    /// A whole number.
    Int(RangeInclusive<i64>),
    /// A number above 0, at most 1.
    Fraction,
    /// A number that is not negative.
    Rate,
    /// Any string.
    Text,
    /// An absolute path.
    Path,
    /// An address, IPv4 or IPv6.
    Address,
    /// An address, with a port or without.
    Socket,
    /// A network, `10.244.0.0/16`.
    Network,
    /// One of these strings.
    Word(&'static [&'static str]),
    /// A duration in Go's notation, `1m30s`; the range is in nanoseconds.
    Duration(RangeInclusive<Duration>),
    /// A duration that is not negative, or a whole number of nanoseconds. Kubernetes before 1.27
    /// accepts only the number.
    TimeOrDuration,
    /// An amount, `500m` or `2Gi`; not negative.
    Quantity,
    /// A quantity above 0, or a percentage from 0 to 100: the threshold of an eviction signal.
    Threshold,
    /// A quantity, or a percentage above 0: the minimum that an eviction reclaims.
    Reclaim,
    /// A percentage, `10%`.
    Percentage,
    /// A list of CPUs, `0-3,7`.
    CpuSet,
    /// A list of values of this type.
    List(&'static Type),
    /// A map from one of these names (from any name if there are none) to values of this type.
    Map(&'static [&'static str], &'static Type),
    /// An object with these fields.
    Object(&'static [Field]),
}

/// A field of an object.
#[derive(Debug, Clone)]
pub struct Field {
    /// Its name, in upstream's spelling.
    pub name: &'static str,
    /// Its type.
    pub of: Type,
    /// Its value when it is not set, as JSON; empty if that is Go's zero value.
    default: &'static str,
    /// The release that changed the default, and its new value.
    changed: Option<(u32, &'static str)>,
    /// The first minor release that has it; 0 for any up to 1.20.
    pub since: u32,
    /// The minor release that removed it.
    pub until: u32,
}

/// One step of the path to a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Into an object.
    Key(String),
    /// Into a list.
    Index(usize),
}

/// A part of a configuration that is invalid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misfit {
    /// The path to it.
    pub path: Vec<Step>,
    /// Whether the name in the last step is invalid, and not its value.
    pub name: bool,
    /// Why: the rest of a sentence that begins with the path, `must be …`.
    pub why: String,
}

impl Misfit {
    /// An error in a field at the top.
    pub(super) fn at(field: &str, why: impl Into<String>) -> Self {
        Self { path: vec![Step::Key(field.to_owned())], name: false, why: why.into() }
    }

    /// An error in the value at `path`.
    pub(super) fn within(path: &[&str], why: impl Into<String>) -> Self {
        let path = path.iter().map(|step| Step::Key((*step).to_owned())).collect();
        Self { path, name: false, why: why.into() }
    }

    /// An error in an item of the list in a field at the top.
    pub(super) fn item(field: &str, index: usize, why: impl Into<String>) -> Self {
        Self { path: vec![Step::Key(field.to_owned()), Step::Index(index)], name: false, why: why.into() }
    }

    fn name(path: &[Step], why: impl Into<String>) -> Self {
        Self { path: path.to_vec(), name: true, why: why.into() }
    }

    fn value(path: &[Step], why: impl Into<String>) -> Self {
        Self { path: path.to_vec(), name: false, why: why.into() }
    }
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, step) in self.path.iter().enumerate() {
            match step {
                Step::Key(key) if number == 0 => write!(f, "{key}")?,
                // The names of eviction signals and resources contain dots.
                Step::Key(key) if key.contains('.') => write!(f, "[{key:?}]")?,
                Step::Key(key) => write!(f, ".{key}")?,
                Step::Index(index) => write!(f, "[{index}]")?,
            }
        }
        write!(f, " {}", self.why)
    }
}

impl Field {
    pub(super) const fn new(name: &'static str, of: Type, default: &'static str) -> Self {
        Self { name, of, default, changed: None, since: 0, until: u32::MAX }
    }

    pub(super) const fn since(mut self, minor: u32) -> Self {
        self.since = minor;
        self
    }

    pub(super) const fn until(mut self, minor: u32) -> Self {
        self.until = minor;
        self
    }

    pub(super) const fn changed(mut self, minor: u32, default: &'static str) -> Self {
        self.changed = Some((minor, default));
        self
    }

    /// Whether Kubernetes 1.`minor` has the field.
    pub fn is_in(&self, minor: Minor) -> bool {
        minor.is_since(self.since) && minor.is_before(self.until)
    }

    /// The field's value in Kubernetes 1.`minor` when it is not set, as JSON; empty if that is Go's
    /// zero value.
    pub fn default(&self, minor: Minor) -> &'static str {
        match self.changed {
            Some((since, default)) if minor.is_since(since) => default,
            _ => self.default,
        }
    }

    /// The value that kubelet of Kubernetes 1.`minor` uses when the field is not set: its default,
    /// or Go's zero value.
    pub fn unset(&self, minor: Minor) -> Value {
        serde_json::from_str(self.default(minor)).unwrap_or_else(|_| match self.of {
            Type::Bool => json!(false),
            Type::Int(_) | Type::Fraction | Type::Rate => json!(0),
            Type::List(_) => json!([]),
            Type::Map(..) | Type::Object(_) => json!({}),
            _ => json!(""),
        })
    }
}

/// Checks `object` against the fields of Kubernetes 1.`minor`.
pub(super) fn check_object(
    fields: &'static [Field],
    object: &Map<String, Value>,
    minor: Minor,
    path: &mut Vec<Step>,
) -> Result<(), Misfit> {
    for (name, value) in object {
        path.push(Step::Key(name.clone()));
        let Some(field) = known(name, fields, minor, path)? else {
            path.pop();
            continue;
        };
        // Go, and so kubeadm, writes "" for an address that is not set; in a list, "" is invalid.
        let unset = matches!(field.of, Type::Address | Type::Socket) && value == "";
        if !unset {
            check_value(&field.of, value, minor, path)?;
        }
        path.pop();
    }
    Ok(())
}

/// The field `name`, to which `path` leads; none if it is unknown and the release is newer than
/// [`NEWEST`](super::NEWEST), which may have it.
fn known(name: &str, fields: &'static [Field], minor: Minor, path: &[Step]) -> Result<Option<&'static Field>, Misfit> {
    let Some(field) = fields.iter().find(|field| field.name == name) else {
        if !minor.is_known() {
            return Ok(None);
        }
        let known = fields.iter().filter(|field| field.is_in(minor));
        let hint = match nearest(name, known.map(|field| field.name)) {
            Some(near) => format!(", did you mean {near:?}?"),
            None => format!(" of Kubernetes 1.{minor}"),
        };
        return Err(Misfit::name(path, format!("is not a field{hint}")));
    };
    if minor.is_before(field.since) {
        let why = format!("was added in Kubernetes 1.{}, and this is 1.{minor}; leave it out", field.since);
        return Err(Misfit::name(path, why));
    }
    if minor.is_since(field.until) {
        let why = format!("was removed in Kubernetes 1.{}; leave it out", field.until);
        return Err(Misfit::name(path, why));
    }
    Ok(Some(field))
}

/// Removes the fields that Kubernetes 1.`minor` does not have from `object`, and adds them to
/// `removed`.
pub(super) fn remove_unknown(
    fields: &'static [Field],
    object: &mut Map<String, Value>,
    minor: Minor,
    path: &mut Vec<Step>,
    removed: &mut Vec<Misfit>,
) {
    object.retain(|name, value| {
        path.push(Step::Key(name.clone()));
        let known = match known(name, fields, minor, path) {
            Ok(Some(Field { of: Type::Object(fields), .. })) => {
                if let Value::Object(object) = value {
                    remove_unknown(fields, object, minor, path, removed);
                }
                true
            }
            Ok(_) => true,
            Err(misfit) => {
                removed.push(misfit);
                false
            }
        };
        path.pop();
        known
    });
}

/// The first minor release in which a [`Type::TimeOrDuration`] may be a string.
const STRING_OR_INT: u32 = 27;

fn check_value(of: &Type, value: &Value, minor: Minor, path: &mut Vec<Step>) -> Result<(), Misfit> {
    let fits = match (of, value) {
        // Treated like an absent field.
        (_, Value::Null) => true,
        (Type::Bool, Value::Bool(_)) | (Type::Text, Value::String(_)) => true,
        (Type::Int(range), Value::Number(number)) => number.as_i64().is_some_and(|number| range.contains(&number)),
        (Type::TimeOrDuration, Value::Number(number)) => number.as_i64().is_some_and(|number| number >= 0),
        (Type::TimeOrDuration, Value::String(text)) if minor.is_before(STRING_OR_INT) && of.accepts(text) => {
            let why = format!(
                "is {text:?}, and Kubernetes 1.{minor} accepts only a whole number of nanoseconds: {}",
                parse_duration(text).unwrap_or_default()
            );
            return Err(Misfit::value(path, why));
        }
        (Type::Fraction, Value::Number(number)) => number.as_f64().is_some_and(|number| number > 0.0 && number <= 1.0),
        (Type::Rate, Value::Number(number)) => number.as_f64().is_some_and(|number| number >= 0.0),
        (Type::List(of), Value::Array(values)) => {
            for (index, value) in values.iter().enumerate() {
                path.push(Step::Index(index));
                check_value(of, value, minor, path)?;
                path.pop();
            }
            true
        }
        (Type::Map(keys, of), Value::Object(values)) => {
            for (key, value) in values {
                path.push(Step::Key(key.clone()));
                if !keys.is_empty() && !keys.contains(&key.as_str()) {
                    return Err(Misfit::name(path, format!("is not one of {}", keys.join(", "))));
                }
                check_value(of, value, minor, path)?;
                path.pop();
            }
            true
        }
        (Type::Object(fields), Value::Object(values)) => {
            check_object(fields, values, minor, path)?;
            true
        }
        (of, Value::String(text)) => of.accepts(text),
        _ => false,
    };
    let hint = || quoted(of, value).map(|text| format!(": write {text:?}, in quotes")).unwrap_or_default();
    if fits { Ok(()) } else { Err(Misfit::value(path, format!("is {}, and must be {of}{}", short(value), hint()))) }
}

/// The string that was probably meant by a bare number: Go's decoder accepts amounts and durations
/// only as strings.
fn quoted(of: &Type, value: &Value) -> Option<String> {
    let number = value.as_number()?;
    let text = match of {
        Type::Duration(_) => format!("{number}s"),
        Type::Quantity | Type::Threshold | Type::Reclaim => number.to_string(),
        _ => return None,
    };
    of.accepts(&text).then_some(text)
}

impl Type {
    fn accepts(&self, text: &str) -> bool {
        let percent = |text: &str| text.strip_suffix('%').and_then(|number| number.parse::<f32>().ok());
        match self {
            Self::Path => text.is_empty() || text.starts_with('/'),
            Self::Address => text.parse::<std::net::IpAddr>().is_ok(),
            Self::Socket => {
                let port = text.parse::<std::net::SocketAddr>().map(|socket| socket.port());
                port.is_ok_and(|port| port > 0) || text.parse::<std::net::IpAddr>().is_ok()
            }
            Self::Network => is_network(text),
            Self::Word(words) => words.contains(&text),
            Self::TimeOrDuration => parse_duration(text).is_some_and(|value| value >= 0),
            Self::Duration(range) => parse_duration(text).is_some_and(|value| range.contains(&value)),
            Self::Quantity => parse_quantity(text).is_some_and(|value| value >= 0),
            Self::Threshold => match percent(text) {
                Some(percent) => (0.0..=100.0).contains(&percent),
                None => parse_quantity(text).is_some_and(|value| value > 0),
            },
            Self::Reclaim => match percent(text) {
                Some(percent) => percent > 0.0 && percent <= 100.0,
                None => parse_quantity(text).is_some_and(|value| value >= 0),
            },
            Self::Percentage => percent(text).is_some_and(|percent| (0.0..=100.0).contains(&percent)),
            Self::CpuSet => text.is_empty() || text.split(',').all(is_cpu_range),
            _ => false,
        }
    }
}

/// Whether `text` is an address and the length of a prefix, as Go's `net.ParseCIDR` accepts them.
pub(super) fn is_network(text: &str) -> bool {
    text.parse::<ipnet::IpNet>().is_ok()
}

/// Whether `text` is a CPU or a range of them, `3` or `0-3` (cpuset(7)).
fn is_cpu_range(text: &str) -> bool {
    let number = |text: &str| text.parse::<u16>().ok();
    match text.split_once('-') {
        Some((first, last)) => number(first).zip(number(last)).is_some_and(|(first, last)| first <= last),
        None => number(text).is_some(),
    }
}

/// A value, shortened for messages.
fn short(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// Describes the expected value.
impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MAX: i64 = i32::MAX as i64;
        match self {
            Self::Bool => f.write_str("true or false, without quotes"),
            Self::Int(range) => match (*range.start(), *range.end()) {
                (i64::MIN, _) => f.write_str("a whole number"),
                (least, MAX | i64::MAX) => write!(f, "a whole number of at least {least}"),
                (least, most) => write!(f, "a whole number from {least} to {most}"),
            },
            Self::Fraction => f.write_str("a number above 0 and at most 1"),
            Self::Rate => f.write_str("a number that is not negative"),
            Self::Text => f.write_str("a string"),
            Self::Path => f.write_str("an absolute path"),
            Self::Address => f.write_str("an IP address"),
            Self::Socket => f.write_str("an IP address and a port such as \"127.0.0.1:10249\""),
            Self::Network => f.write_str("a network such as \"10.244.0.0/16\""),
            Self::Word(words) => {
                let words: Vec<&str> = words.iter().copied().filter(|word| !word.is_empty()).collect();
                write!(f, "one of {}", words.join(", "))
            }
            Self::Duration(range) => match (*range.start(), *range.end()) {
                (i64::MIN, _) => f.write_str("a duration such as \"1m30s\""),
                (least, i64::MAX) => write!(f, "a duration of at least {}", seconds(least)),
                (least, most) => write!(f, "a duration from {} to {}", seconds(least), seconds(most)),
            },
            Self::TimeOrDuration => f.write_str("a duration such as \"5s\", or a whole number of nanoseconds"),
            Self::Quantity => f.write_str("an amount that is not negative, such as \"500m\" or \"2Gi\""),
            Self::Threshold => f.write_str("an amount above zero such as \"100Mi\", or a percentage such as \"10%\""),
            Self::Reclaim => f.write_str("an amount such as \"500Mi\", or a percentage such as \"5%\""),
            Self::Percentage => f.write_str("a percentage such as \"50%\""),
            Self::CpuSet => f.write_str("a list of CPUs such as \"0-3,7\""),
            Self::List(of) => write!(f, "a list, each item {of}"),
            Self::Map(_, of) => write!(f, "a map, each value {of}"),
            Self::Object(_) => f.write_str("a map"),
        }
    }
}

fn seconds(nanoseconds: Duration) -> String {
    match nanoseconds % 1_000_000_000 {
        0 => format!("{}s", nanoseconds / 1_000_000_000),
        _ => format!("{}ms", nanoseconds / 1_000_000),
    }
}
