//! Words that kubelet's parser of YAML 1.1 takes for true and false, and one of YAML 1.2 does not: `True`, `yes`, `off`.

use kiln_kubernetes::{Field, Type};
use serde_json::{Map, Value};

/// Makes them true and false where a field wants that. `"true"` in quotes stays what kubelet refuses.
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
    fn words_are_read_where_a_field_wants_them() {
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
