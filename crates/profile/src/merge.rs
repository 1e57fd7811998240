//! `extends`: merging one layer over another.
//!
//! The rule is applied to the YAML tree, before it is decoded, so it is the same for every key, and
//! there is no per-field code that could omit a new field. Values keep their positions.

use super::node::{Node, Value};
use std::collections::BTreeMap;

/// Merges `child` over `parent`: scalars replace, maps merge per key, lists append, `null` removes.
pub(super) fn merge(parent: Node, child: Node) -> Node {
    let pos = child.pos;
    let value = match (parent.value, child.value) {
        (Value::Map(parent), Value::Map(child)) => Value::Map(merge_maps(parent, child)),
        (Value::List(mut parent), Value::List(child)) => {
            parent.extend(child);
            Value::List(parent)
        }
        (_, child) => child,
    };
    Node { value, pos }
}

fn merge_maps(parent: Vec<(Node, Node)>, child: Vec<(Node, Node)>) -> Vec<(Node, Node)> {
    let mut overriding: BTreeMap<String, (Node, Node)> =
        child.into_iter().map(|(key, value)| (key.text().unwrap_or_default().to_owned(), (key, value))).collect();
    let mut merged = Vec::with_capacity(parent.len() + overriding.len());
    for (key, inherited) in parent {
        match overriding.remove(key.text().unwrap_or_default()) {
            None => merged.push((key, inherited)),
            Some((_, Node { value: Value::Null, .. })) => {}
            Some((key, value)) => merged.push((key, merge(inherited, value))),
        }
    }
    merged.extend(overriding.into_values());
    merged
}

/// Removes keys whose value is `null`: those that had nothing to remove in a parent.
pub(super) fn without_nulls(node: Node) -> Node {
    let value = match node.value {
        Value::Map(map) => Value::Map(
            map.into_iter()
                .filter(|(_, value)| value.value != Value::Null)
                .map(|(key, value)| (key, without_nulls(value)))
                .collect(),
        ),
        Value::List(list) => Value::List(list.into_iter().map(without_nulls).collect()),
        other => other,
    };
    Node { value, pos: node.pos }
}

#[cfg(test)]
mod tests {
    use super::super::de;
    use super::*;
    use serde_json::json;

    fn merged(layers: &[&str]) -> serde_json::Value {
        let nodes = layers.iter().map(|text| Node::parse(text, 0).expect("valid YAML"));
        let node = without_nulls(nodes.reduce(merge).expect("a layer"));
        de::decode(&node).expect("any YAML is JSON")
    }

    #[test]
    fn scalars_replace_maps_merge_lists_append_null_removes() {
        let base = "{a: 1, m: {x: 1, y: {z: [1]}}, l: [1, 2], gone: {deep: 1}}";
        assert_eq!(
            merged(&[base, "{a: 2, m: {y: {z: [2], w: 3}}, l: [3], gone: null}"]),
            json!({"a": 2, "m": {"x": 1, "y": {"z": [1, 2], "w": 3}}, "l": [1, 2, 3]})
        );
    }

    #[test]
    fn a_removed_key_can_be_set_again_further_down() {
        assert_eq!(merged(&["l: [1]", "l: null", "l: [2]"]), json!({"l": [2]}));
        assert_eq!(merged(&["m: {a: 1}", "m: {a: null, b: null}"]), json!({"m": {}}));
    }

    #[test]
    fn another_type_replaces() {
        assert_eq!(merged(&["a: [1]", "a: {b: 1}"]), json!({"a": {"b": 1}}));
    }
}
