//! Writes the profile, the cluster's file and the seed as text, with comments on translated
//! settings.

use super::node::Node;
use crate::Profile;
use kiln_kubernetes::yaml;
use serde_json::{Map, Value, json};
use std::fmt::Write as _;

/// Writes `key: value` as YAML, at `indent`.
fn entry(text: &mut String, indent: usize, key: &str, value: &Value) {
    let mut object = Map::new();
    object.insert(key.to_owned(), value.clone());
    for line in yaml::document(&Value::Object(object)).lines() {
        writeln!(text, "{:indent$}{line}", "").ok();
    }
}

/// Writes a comment of one line; control characters become blanks.
fn comment(text: &mut String, indent: usize, words: &str) {
    writeln!(text, "{:indent$}# {}", "", words.replace(char::is_control, " ")).ok();
}

/// The profile.
pub(super) fn profile(
    node: &Node,
    kubelet: Option<&Map<String, Value>>,
    kube_proxy: Option<Map<String, Value>>,
    parent: &Profile,
    extends: &str,
    names: &[&str],
) -> String {
    let mut text = String::new();
    comment(
        &mut text,
        0,
        &format!("Imported by kiln from {}, for Kubernetes {}.", names.join(", "), parent.release.kubernetes),
    );
    entry(&mut text, 0, "extends", &json!(extends));
    entry(&mut text, 0, "release", &json!(parent.release.name));
    if let Some(config) = kube_proxy {
        text.push('\n');
        comment(&mut text, 0, "A service of the node: the cluster has no DaemonSet for it.");
        entry(&mut text, 0, "components", &json!({ "kube-proxy": "required" }));
        entry(&mut text, 0, "kubeProxy", &json!({ "config": config }));
    }
    let Some(config) = kubelet else { return text };
    text.push_str("\nkubelet:\n  config:\n");
    for (field, value) in config {
        if value.is_null() {
            comment(&mut text, 4, &format!("Not set there: kubelet's default, and not {extends}'s."));
        }
        for note in node.notes.get(field).into_iter().flatten() {
            comment(&mut text, 4, note);
        }
        entry(&mut text, 4, field, value);
    }
    if !node.args.is_empty() {
        text.push_str("  args:\n");
        for (name, (value, place)) in &node.args {
            comment(&mut text, 4, place);
            entry(&mut text, 4, name, &json!(value));
        }
    }
    if !node.labels.is_empty() {
        entry(&mut text, 2, "labels", &json!(node.labels));
    }
    let new = |(key, value, effect): &&(String, String, String)| {
        !parent.kubelet.taints.iter().any(|taint| taint.key == *key && taint.value == *value && taint.effect == *effect)
    };
    let taint =
        |(key, value, effect): &(String, String, String)| json!({ "key": key, "value": value, "effect": effect });
    let taints: Vec<Value> = node.taints.iter().filter(new).map(taint).collect();
    if !taints.is_empty() {
        entry(&mut text, 2, "taints", &json!(taints));
    }
    if let Some(mtu) = node.mtu {
        text.push('\n');
        entry(&mut text, 0, "cni", &json!({ "mtu": mtu }));
    }
    text
}

/// The cluster's file.
pub(super) fn cluster(node: &Node) -> String {
    let cluster = &node.cluster;
    let mut text = String::new();
    comment(&mut text, 0, "Imported by kiln. No secrets: all of it is in every node's image.");
    let mut required = |key: &str, value: Option<Value>, what: &str| match value {
        Some(value) => entry(&mut text, 0, key, &value),
        None => comment(&mut text, 0, &format!("{key}: {what}")),
    };
    let list = |values: &[String]| (!values.is_empty()).then(|| json!(values));
    let version = cluster.kubernetes.as_ref().map(|version| json!(version));
    required("kubernetes", version, "required: version of the API servers");
    required("apiServers", list(&cluster.api_servers), "required: https:// URLs of the API");
    let authority = cluster.ca_certificate.as_ref().map(|pem| json!(pem));
    required("caCertificate", authority, "required, or caFile: /etc/kubernetes/pki/ca.crt of a node");
    required("serviceCIDRs", list(&cluster.service_cidrs), "required: kube-apiserver --service-cluster-ip-range");
    required("podCIDRs", list(&cluster.pod_cidrs), "required: kube-controller-manager --cluster-cidr");
    for (key, mask) in ["nodeCIDRMaskSizeIPv4", "nodeCIDRMaskSizeIPv6"].iter().zip(cluster.masks) {
        if let Some(mask) = mask {
            entry(&mut text, 0, key, &json!(mask));
        }
    }
    let mut dns = Map::new();
    if let Some(domain) = &cluster.dns_domain {
        dns.insert("domain".to_owned(), json!(domain));
    }
    if let Some(addresses) = list(&cluster.dns_addresses) {
        dns.insert("addresses".to_owned(), addresses);
    }
    if !dns.is_empty() {
        entry(&mut text, 0, "dns", &dns.into());
    }
    text
}

/// The seed of the node that was imported.
pub(super) fn seed(node: &Node) -> String {
    let seed = &node.seed;
    let mut text = String::new();
    comment(&mut text, 0, "Imported by kiln: what this node has for itself. Every node has a seed of its own.");
    comment(&mut text, 0, "A token is never imported: \"kiln seed THIS --fresh-token FILE\" puts a new one into it.");
    entry(&mut text, 0, "apiVersion", &json!("kiln/v1"));
    entry(&mut text, 0, "kind", &json!("NodeSeed"));
    if let Some(name) = &seed.node_name {
        entry(&mut text, 0, "nodeName", &json!(name));
    }
    if !node.cluster.api_servers.is_empty() {
        entry(&mut text, 0, "apiServers", &json!(node.cluster.api_servers));
    }
    let mut discovery = Map::new();
    if !seed.ca_cert_hashes.is_empty() {
        discovery.insert("caCertHashes".to_owned(), json!(seed.ca_cert_hashes));
    }
    if let Some(pem) = &node.cluster.ca_certificate {
        discovery.insert("caCertificates".to_owned(), json!(pem));
    }
    if !discovery.is_empty() {
        entry(&mut text, 0, "discovery", &discovery.into());
    }
    let mut kubelet = Map::new();
    for (key, value) in [("nodeIP", &seed.node_ip), ("providerID", &seed.provider_id), ("podCIDR", &seed.pod_cidr)] {
        if let Some(value) = value {
            kubelet.insert(key.to_owned(), json!(value));
        }
    }
    if !seed.labels.is_empty() {
        kubelet.insert("labels".to_owned(), json!(seed.labels));
    }
    if !kubelet.is_empty() {
        entry(&mut text, 0, "kubelet", &kubelet.into());
    }
    text
}
