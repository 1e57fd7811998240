//! Access to the fields of a configuration whose types were checked.

use super::{Duration, NEWEST, kubelet_config, parse_duration};
use serde_json::{Map, Value};

/// The fields of a configuration.
pub(super) type Config = Map<String, Value>;

/// The string in `field`; empty if the field is not set.
pub(super) fn text<'a>(config: &'a Config, field: &str) -> &'a str {
    config.get(field).and_then(Value::as_str).unwrap_or_default()
}

/// The items of the list in `field`, with their indexes.
pub(super) fn items<'a>(config: &'a Config, field: &str) -> impl Iterator<Item = (usize, &'a Value)> {
    config.get(field).and_then(Value::as_array).into_iter().flatten().enumerate()
}

/// The number in `field` of kubelet's configuration, or its default.
pub(super) fn int(config: &Config, field: &str) -> i64 {
    kubelet_config::effective(config, field, NEWEST).as_i64().unwrap_or_default()
}

/// The boolean in `field` of kubelet's configuration, or its default.
pub(super) fn bool(config: &Config, field: &str) -> bool {
    kubelet_config::effective(config, field, NEWEST).as_bool().unwrap_or_default()
}

/// The duration in `field` of kubelet's configuration, or its default. kubelet applies the default
/// of most durations also when they are zero.
pub(super) fn nanoseconds(config: &Config, field: &str) -> Duration {
    let value = |config: &Config| kubelet_config::effective(config, field, NEWEST).as_str().and_then(parse_duration);
    value(config).filter(|value| *value != 0).or_else(|| value(&Config::new())).unwrap_or_default()
}
