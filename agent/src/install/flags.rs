//! kubelet's flags: those of the image, overridden by those of the node.

use super::Node;
use crate::names;
use crate::paths::{BAKED_FLAGS, FLAGS, FLAGS_VARIABLE, KUBELET_CONF, KUBELET_CONFIG};
use crate::root::{Access, FileError, RootDir};
use crate::yaml;
use std::collections::BTreeMap;

/// A limit above the size of any kubelet configuration, in bytes.
const MAX_CONFIG: usize = 1 << 20;

/// Writes [`FLAGS`] for `node`.
pub(super) fn write(root: &RootDir, node: &Node) -> Result<(), FileError> {
    let baked = match root.read(BAKED_FLAGS)? {
        Some(text) => Some(text),
        None => root.read(FLAGS)?,
    };
    let config = root.read(KUBELET_CONFIG)?;
    let baked = baked.as_ref().map(|text| text.as_str()).unwrap_or_default();
    let text = render(baked, config.as_ref().map(|text| text.as_str()).unwrap_or_default(), node);
    root.write(FLAGS, text.as_bytes(), Access::mode(0o644))
}

fn render(baked: &str, config: &str, node: &Node) -> String {
    let kubelet = &node.seed.kubelet;
    let mut flags = parse(baked);
    let mut set = |name: &str, value: &str| flags.insert(name.to_owned(), value.to_owned());
    // The certificate, the Node and requests use the same name.
    set("hostname-override", &node.name);
    if let Some(address) = &kubelet.node_ip {
        set("node-ip", address);
    }
    if let Some(id) = &kubelet.provider_id {
        set("provider-id", id);
    }
    if !kubelet.labels.is_empty() {
        let baked = flags.get("node-labels").cloned().unwrap_or_default();
        let mut labels: BTreeMap<&str, &str> = baked.split(',').filter_map(|label| label.split_once('=')).collect();
        labels.extend(kubelet.labels.iter().map(|(key, value)| (key.as_str(), value.as_str())));
        let labels: Vec<String> = labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
        flags.insert("node-labels".into(), labels.join(","));
    }
    if !kubelet.taints.is_empty() {
        let mut taints = baked_taints(&flags, config);
        for taint in kubelet.taints.iter().map(ToString::to_string) {
            if !taints.contains(&taint) {
                taints.push(taint);
            }
        }
        flags.insert("register-with-taints".into(), taints.join(","));
    }
    flags.extend(kubelet.args.clone());
    let words: Vec<String> = flags.iter().map(|(name, value)| format!("--{name}={value}")).collect();
    // The agent has obtained the certificate; kubelet must not use the bootstrap kubeconfig that
    // kubeadm would have left.
    format!("KUBELET_KUBECONFIG_ARGS=\"--kubeconfig={KUBELET_CONF}\"\n{FLAGS_VARIABLE}=\"{}\"\n", words.join(" "))
}

/// The flags in an environment file that kiln or the agent wrote.
fn parse(text: &str) -> BTreeMap<String, String> {
    let value =
        |line: &'_ str| Some(line.strip_prefix(FLAGS_VARIABLE)?.strip_prefix('=')?.trim().trim_matches('"').to_owned());
    let words = text.lines().filter_map(value).next_back().unwrap_or_default();
    let flag = |word: &str| {
        let (name, value) = word.strip_prefix("--")?.split_once('=')?;
        Some((name.to_owned(), value.to_owned()))
    };
    words.split_whitespace().filter_map(flag).collect()
}

/// The image's taints: from a flag for old kubelets, otherwise from a field of the configuration,
/// which the flag would override.
fn baked_taints(flags: &BTreeMap<String, String>, config: &str) -> Vec<String> {
    if let Some(flag) = flags.get("register-with-taints") {
        return flag.split(',').filter(|taint| !taint.is_empty()).map(str::to_owned).collect();
    }
    let config = yaml::parse(config, MAX_CONFIG).unwrap_or_default();
    let taints = config["registerWithTaints"].as_array().map(Vec::as_slice).unwrap_or_default();
    let text = |taint: &serde_json::Value, field: &str| taint[field].as_str().unwrap_or_default().to_owned();
    taints.iter().map(|it| names::taint(&text(it, "key"), &text(it, "value"), &text(it, "effect"))).collect()
}
