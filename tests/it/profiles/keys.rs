//! Every key in a message of kiln exists in a schema. Errors of profiles use keys of the table
//! `fields`, which a test of `kiln-profile` compares with the schemas. This test reads the string
//! literals in the sources, which may also mention keys.

use crate::layering::{builder, texts};
use kiln_profile::{cluster_schema, release_schema, schema};
use serde_json::Value;
use std::collections::BTreeSet;

/// Words that resemble keys: the prefix of each, and its meaning.
const OTHERS: [(&str, &str); 26] = [
    ("cni.dev", "a host"),
    ("containerd.io", "a host"),
    ("debian.org", "a host"),
    ("kernel.org", "a host"),
    ("kubernetes.io", "a host, and a prefix of labels"),
    ("disk.gce.tar.gz", "an output"),
    ("disk.mf", "an output"),
    ("disk.ovf", "an output"),
    ("disk.qcow2", "an output"),
    ("disk.raw", "an output"),
    ("disk.vhd", "an output"),
    ("disk.vmdk", "an output"),
    ("disk.zlib.qcow2", "an output"),
    ("root.", "an output"),
    ("images.tar", "a file of nodes"),
    ("kernel.core_pattern", "a setting of the kernel"),
    ("kernel.keys.", "a setting of the kernel"),
    ("kernel.msg", "a setting of the kernel"),
    ("kernel.numa_balancing", "a setting of the kernel"),
    ("kernel.panic", "a setting of the kernel"),
    ("kernel.sem", "a setting of the kernel"),
    ("kernel.shm", "a setting of the kernel"),
    ("kubelet.nodeIP", "a key of the seed"),
    ("kubelet.podCIDR", "a key of the seed"),
    ("kubelet.providerID", "a key of the seed"),
    // A comment in a file of nodes, which must not change between versions.
    ("kernel.modules_load", "a field of kiln's own"),
];

/// Suffixes of units and files.
const FILES: [&str; 8] = ["cache", "conf", "json", "path", "service", "socket", "target", "yaml"];

/// Whether `schema` has the key at `path`. A part with a brace or star stands for any
/// name.
fn has(schema: &Value, path: &[&str]) -> bool {
    let choices = ["anyOf", "oneOf"].into_iter().filter_map(|key| schema[key].as_array()).flatten();
    if choices.into_iter().any(|schema| has(schema, path)) {
        return true;
    }
    let Some((part, rest)) = path.split_first() else { return true };
    let named = schema["properties"].get(*part);
    match named.or(schema.get("additionalProperties")) {
        // A map whose values Kubernetes defines.
        Some(Value::Bool(free)) => *free,
        Some(schema) => {
            let restricts = ["type", "enum", "anyOf", "oneOf"].into_iter().any(|key| schema.get(key).is_some());
            !restricts || has(schema, rest)
        }
        None => false,
    }
}

/// The words of `text` that may be keys: those with a dot inside.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let of_key = |char: char| char.is_ascii_alphanumeric() || "._-{}*/?".contains(char);
    let words = text.split(move |char| !of_key(char)).map(|word| word.trim_end_matches(['.', '/', '?']));
    words.filter(|word| word.contains('.') && !word.contains(".."))
}

#[test]
fn every_key_that_is_named_is_in_a_schema() {
    let schemas = [schema(), release_schema(), cluster_schema()];
    let tops: BTreeSet<&str> = schemas
        .iter()
        .filter_map(|schema| schema["properties"].as_object())
        .flatten()
        .map(|(key, _)| key.as_str())
        .collect();
    let mut seen = BTreeSet::new();
    let mut wrong = Vec::new();
    for (text, path, line) in texts() {
        for word in words(&text) {
            // A placeholder is a name only if it is a whole part; within one, other text follows.
            let parts: Vec<&str> = word
                .split('.')
                .map(|part| match part.find('{') {
                    Some(at) if at > 0 => &part[..at],
                    _ => part,
                })
                .collect();
            // The first word of a message is a key, even if no key has this name.
            let begins = text.starts_with(word) && text[word.len()..].starts_with(": ") && text.contains('{');
            let could_be = tops.contains(parts[0]) || (begins && !word.contains('/'));
            let is_file = FILES.iter().any(|end| parts.last() == Some(end));
            if !could_be || is_file || OTHERS.iter().any(|(other, _)| word.starts_with(other)) {
                continue;
            }
            seen.insert(word.to_owned());
            if !schemas.iter().any(|schema| has(schema, &parts)) {
                wrong.push(format!("{}:{line}: there is no key {word}: {text:?}", path.display()));
            }
        }
    }
    assert!(seen.len() >= 50, "{seen:?}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The names of all keys in `schema`.
fn names<'a>(schema: &'a Value, found: &mut BTreeSet<&'a str>) {
    match schema {
        Value::Object(object) => {
            let properties = object.get("properties").and_then(Value::as_object);
            found.extend(properties.into_iter().flatten().map(|(key, _)| key.as_str()));
            object.values().for_each(|inner| names(inner, found));
        }
        Value::Array(items) => items.iter().for_each(|inner| names(inner, found)),
        _ => {}
    }
}

/// `key.below("name")` and `required(value, pos, key, "name")` have the name of a key as argument.
#[test]
fn names_below_keys_are_in_a_schema() {
    let schemas = [schema(), release_schema(), cluster_schema()];
    // Keys of a configuration that Kubernetes defines.
    let mut known = BTreeSet::from(["clientConnection", "kubeconfig"]);
    schemas.iter().for_each(|schema| names(schema, &mut known));
    let mut seen = 0;
    for path in builder() {
        let text = std::fs::read_to_string(&path).expect("a source");
        let knows_keys = text.contains("kiln_profile") || path.starts_with("crates/profile/src/check");
        if !knows_keys {
            continue;
        }
        // Trees have a function of that name, too.
        let text =
            text.replace(".tree\n        .below(", "").replace("tree\n        .below(", "").replace("tree.below(", "");
        for call in ["below(\"", "required(", "missing("] {
            for arguments in text.split(call).skip(1) {
                let arguments = &arguments[..arguments.find(')').unwrap_or(arguments.len())];
                let arguments = arguments.trim_end_matches([',', '\n', ' ']);
                let Some(name) = arguments.strip_suffix('"').and_then(|rest| rest.rsplit('"').next()) else { continue };
                seen += 1;
                assert!(known.contains(name), "{}: there is no key {name}", path.display());
            }
        }
    }
    assert!(seen >= 20, "only {seen} names");
}

#[test]
fn missing_keys_are_detected() {
    let schemas = [schema(), release_schema(), cluster_schema()];
    let there = |key: &str| schemas.iter().any(|schema| has(schema, &key.split('.').collect::<Vec<_>>()));
    for key in ["units.states.{unit}", "kubelet.config.memorySwap.x", "components.*", "dns.addresses", "debian.mirrors"]
    {
        assert!(there(key), "{key}");
    }
    for key in ["units.enable", "accounts.users.{user}", "debian.security-mirrors", "release.pause_image", "cni.mtu.x"]
    {
        assert!(!there(key), "{key}");
    }
}
