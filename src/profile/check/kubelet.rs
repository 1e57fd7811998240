//! kubelet: configuration, flags, labels, taints.

use super::super::json::{self, Json};
use super::super::model::{Kubelet, Taint};
use super::super::place::{At, Fault};
use super::super::raw::{Effect, Map, RawKubelet, RawTaint};
use super::super::suggest;
use super::{managed, names, required, text};
use crate::kubernetes::kubelet_flags::{self, Flag};
use crate::kubernetes::{NEWEST, kubelet_config};
use serde_json::Value;
use std::collections::BTreeMap;

/// Fields kiln writes itself, and what to use instead.
const MANAGED_FIELDS: [(&str, &str); 5] = [
    ("apiVersion", "kiln writes it"),
    ("kind", "kiln writes it"),
    ("registerWithTaints", "use kubelet.taints"),
    ("containerRuntimeEndpoint", "the node's containerd is the only runtime"),
    ("providerID", "it differs per node, the agent sets it"),
];

/// Flags kiln passes itself, and what to use instead.
const MANAGED_FLAGS: [(&str, &str); 12] = [
    ("bootstrap-kubeconfig", "the agent obtains the node's credentials"),
    ("cert-dir", "the agent writes the node's certificates"),
    ("config", "use kubelet.config"),
    ("config-dir", "use kubelet.config"),
    ("container-runtime", "the node's containerd is the only runtime"),
    ("container-runtime-endpoint", "the node's containerd is the only runtime"),
    ("hostname-override", "it differs per node, the agent sets it"),
    ("kubeconfig", "the agent writes the node's kubeconfig"),
    ("node-labels", "use kubelet.labels"),
    ("pod-infra-container-image", "the release names the pause image"),
    ("register-with-taints", "use kubelet.taints"),
    ("root-dir", "kubelet's state is in /var/lib/kubelet"),
];

pub(super) fn kubelet(raw: &RawKubelet, minor: u32) -> Result<Kubelet, Fault> {
    let RawKubelet { config, args, labels, taints } = raw;
    Ok(Kubelet {
        config: self::config(config, minor)?,
        args: self::args(args, minor)?,
        labels: self::labels(labels)?,
        taints: taints.iter().map(taint).collect::<Result<_, _>>()?,
    })
}

fn config(raw: &Map<At<Json>>, minor: u32) -> Result<serde_json::Map<String, Value>, Fault> {
    for (key, At { value, pos }) in raw {
        managed(key, "kubelet.config", &MANAGED_FIELDS)?;
        if key.value == "cgroupDriver" && value.value() != "systemd" {
            return Err(pos.fault("kubelet.config: cgroupDriver must be systemd, as containerd's is"));
        }
    }
    let config = json::object(raw);
    kubelet_config::check(&config, minor).map_err(|misfit| {
        let pos = json::place(raw, &misfit).or_else(|| raw.values().next().map(|item| item.pos));
        pos.unwrap_or_default().fault(format!("kubelet.config: {misfit}"))
    })?;
    Ok(config)
}

fn args(raw: &Map<At<String>>, minor: u32) -> Result<BTreeMap<String, String>, Fault> {
    let mut args = BTreeMap::new();
    for (key, value) in raw {
        let flag = text(key, "kubelet.args", names::flag)?;
        managed(key, "kubelet.args", &MANAGED_FLAGS)?;
        key.check(|name| known_flag(name, minor))?;
        let value = text(value, &format!("kubelet.args.{flag}"), |value| match value.chars().any(char::is_control) {
            true => Err(format!("{:?} has a control character", names::short(value))),
            false => Ok(()),
        })?;
        args.insert(flag, value);
    }
    Ok(args)
}

/// What has a field is set there, and what kubelet does not know would end it.
fn known_flag(name: &str, minor: u32) -> Result<(), String> {
    match kubelet_flags::flag(name, minor) {
        Flag::Flag => Ok(()),
        Flag::Field(field) => Err(format!("kubelet.args: --{name} is a field, set {field} in kubelet.config")),
        Flag::Gone { since: 0, instead } => Err(format!("kubelet.args: --{name} cannot be used: {instead}")),
        Flag::Gone { since, instead } => {
            Err(format!("kubelet.args: kubelet has no flag --{name} since Kubernetes 1.{since}: {instead}"))
        }
        Flag::Unknown if minor > NEWEST => Ok(()),
        Flag::Unknown => {
            let near = suggest::nearest(name, kubelet_flags::names());
            let hint = near.map(|near| format!(", did you mean --{near}?")).unwrap_or_default();
            Err(format!("kubelet.args: kubelet has no flag --{name}{hint}"))
        }
    }
}

fn labels(raw: &Map<At<String>>) -> Result<BTreeMap<String, String>, Fault> {
    let mut labels = BTreeMap::new();
    for (key, value) in raw {
        let name = text(key, "kubelet.labels", qualified_name)?;
        key.check(|key| self_settable(key))?;
        labels.insert(name, text(value, "kubelet.labels", label_value)?);
    }
    Ok(labels)
}

fn taint(raw: &At<RawTaint>) -> Result<Taint, Fault> {
    let RawTaint { key, value, effect } = &raw.value;
    let key = text(required(key, raw.pos, "kubelet.taints", "key")?, "kubelet.taints", qualified_name)?;
    let value = match value {
        Some(value) => text(value, "kubelet.taints", label_value)?,
        None => String::new(),
    };
    let effect = match required(effect, raw.pos, "kubelet.taints", "effect")?.value {
        Effect::NoSchedule => "NoSchedule",
        Effect::PreferNoSchedule => "PreferNoSchedule",
        Effect::NoExecute => "NoExecute",
    };
    Ok(Taint { key, value, effect: effect.to_owned() })
}

fn is_name(text: &str, max: usize) -> bool {
    text.len() <= max
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.ends_with(|c: char| c.is_ascii_alphanumeric())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
}

/// The key of a label or a taint: `name` or `sub.domain/name`.
fn qualified_name(text: &str) -> Result<(), String> {
    let valid = match text.split_once('/') {
        Some((domain, name)) => names::is_subdomain(domain) && is_name(name, 63),
        None => is_name(text, 63),
    };
    if valid {
        Ok(())
    } else {
        Err(format!("{:?} is not a label's name, such as \"example.org/pool\"", names::short(text)))
    }
}

fn label_value(text: &str) -> Result<(), String> {
    if text.is_empty() || is_name(text, 63) {
        return Ok(());
    }
    Err(format!("{:?} is not a label's value (at most 63 letters, digits, \"-\", \"_\" and \".\")", names::short(text)))
}

/// Labels in the kubernetes.io and k8s.io domains that a kubelet may set on its own node.
const SELF_SETTABLE: [&str; 11] = [
    "kubernetes.io/hostname",
    "kubernetes.io/os",
    "kubernetes.io/arch",
    "beta.kubernetes.io/os",
    "beta.kubernetes.io/arch",
    "beta.kubernetes.io/instance-type",
    "node.kubernetes.io/instance-type",
    "topology.kubernetes.io/zone",
    "topology.kubernetes.io/region",
    "failure-domain.beta.kubernetes.io/zone",
    "failure-domain.beta.kubernetes.io/region",
];

/// kubelet does not start with other labels of these domains, and the NodeRestriction admission refuses them.
fn self_settable(key: &str) -> Result<(), String> {
    let Some((domain, _)) = key.split_once('/') else { return Ok(()) };
    let within = |parent: &str| domain == parent || domain.strip_suffix(parent).is_some_and(|sub| sub.ends_with('.'));
    let reserved = within("kubernetes.io") || within("k8s.io");
    let allowed = (within("kubelet.kubernetes.io") || within("node.kubernetes.io")) || SELF_SETTABLE.contains(&key);
    if !reserved || allowed {
        return Ok(());
    }
    Err(format!("kubelet.labels: a node cannot give itself {key:?}, set it through the API after the node has joined"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_may_set_only_its_own_labels() {
        for good in
            ["pool", "example.org/pool", "node.kubernetes.io/nodetype", "topology.kubernetes.io/zone", "xk8s.io/a"]
        {
            assert_eq!(self_settable(good), Ok(()));
        }
        for bad in
            ["node-role.kubernetes.io/ingress", "kubernetes.io/role", "node-restriction.kubernetes.io/x", "k8s.io/x"]
        {
            assert!(self_settable(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn label_syntax() {
        for good in ["a", "a.b/c_d-E.f", "0"] {
            assert_eq!(qualified_name(good), Ok(()));
        }
        for bad in ["", "/a", "a/", "A.b/c", "a/b/c", "-a", "a-", "a b"] {
            assert!(qualified_name(bad).is_err(), "{bad}");
        }
        assert!(label_value(&"x".repeat(64)).is_err());
    }
}
