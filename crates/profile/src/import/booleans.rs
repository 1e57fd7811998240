//! Words that kubelet's YAML 1.1 parser reads as booleans, and a YAML 1.2 parser as strings:
//! `True`, `yes`, `off`.

use kiln_kubernetes::{Field, Type};
use serde_json::{Map, Value};

/// Converts them to booleans where a field is one. A quoted `"true"` stays a string, which kubelet
/// rejects.
pub(super) fn read(object: &mut Map<String, Value>, fields: &[Field]) {
    for (name, value) in object {
        let Some(field) = fields.iter().find(|field| field.name == name) else { continue };
        match (&field.of, value) {
            (Type::Bool, value) => word(value),
            (Type::Map(_, Type::Bool), Value::Object(map)) => map.values_mut().for_each(word),
            (Type::Object(fields), Value::Object(object)) => read(object, fields),
            _ => {}
        }
    }
}

fn word(value: &mut Value) {
    match value.as_str() {
        Some("True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON") => *value = true.into(),
        Some("False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF") => *value = false.into(),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kiln_kubernetes::kubelet_config::FIELDS;
    use serde_json::json;

    #[test]
    fn words_are_converted_where_a_field_is_a_boolean() {
        let config = json!({
            "failSwapOn": "True", "clusterDomain": "no", "featureGates": { "A": "off" },
            "authentication": { "anonymous": { "enabled": "no" } }, "cpuCFSQuota": "true",
        });
        let mut config = config.as_object().cloned().expect("an object");
        read(&mut config, FIELDS);
        let expected = json!({
            "failSwapOn": true, "clusterDomain": "no", "featureGates": { "A": false },
            "authentication": { "anonymous": { "enabled": false } }, "cpuCFSQuota": "true",
        });
        assert_eq!(json!(config), expected);
    }
}
