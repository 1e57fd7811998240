//! kubelet: configuration, flags, labels, taints.

use super::super::model::{Kubelet, Taint};
use super::super::place::{At, Fault};
use super::super::raw::{Effect, Map, RawKubelet, RawTaint};
use super::{names, required, text};
use kiln_agent::names::{label_value, qualified_name, self_settable};
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

pub(super) fn kubelet(raw: RawKubelet) -> Result<Kubelet, Fault> {
    let RawKubelet { config, args, labels, taints } = raw;
    Ok(Kubelet {
        config: self::config(config)?,
        args: self::args(&args)?,
        labels: self::labels(&labels)?,
        taints: taints.iter().map(taint).collect::<Result<_, _>>()?,
    })
}

fn managed(key: &At<String>, within: &str, table: &[(&str, &str)]) -> Result<(), Fault> {
    match table.iter().find(|(name, _)| *name == key.value) {
        Some((name, instead)) => Err(key.fault(format!("{within}: {name} cannot be set here, {instead}"))),
        None => Ok(()),
    }
}

fn config(raw: Map<At<Value>>) -> Result<serde_json::Map<String, Value>, Fault> {
    let mut config = serde_json::Map::new();
    for (key, At { value, pos }) in raw {
        managed(&key, "kubelet.config", &MANAGED_FIELDS)?;
        let is_field = key.value.starts_with(|c: char| c.is_ascii_lowercase())
            && key.value.chars().all(|c| c.is_ascii_alphanumeric());
        if !is_field {
            return Err(key
                .fault(format!("kubelet.config: {:?} is not a field, such as \"maxPods\"", names::short(&key.value))));
        }
        if key.value == "cgroupDriver" && value != "systemd" {
            return Err(pos.fault("kubelet.config: cgroupDriver must be systemd, as containerd's is"));
        }
        config.insert(key.value, value);
    }
    Ok(config)
}

fn args(raw: &Map<At<String>>) -> Result<BTreeMap<String, String>, Fault> {
    let mut args = BTreeMap::new();
    for (key, value) in raw {
        let flag = text(key, "kubelet.args", names::flag)?;
        managed(key, "kubelet.args", &MANAGED_FLAGS)?;
        let value = text(value, &format!("kubelet.args.{flag}"), |value| match value.chars().any(char::is_control) {
            true => Err(format!("{:?} has a control character", names::short(value))),
            false => Ok(()),
        })?;
        args.insert(flag, value);
    }
    Ok(args)
}

fn labels(raw: &Map<At<String>>) -> Result<BTreeMap<String, String>, Fault> {
    let mut labels = BTreeMap::new();
    for (key, value) in raw {
        let name = text(key, "kubelet.labels", qualified_name)?;
        key.check(|key| self_settable(key).map_err(|why| format!("kubelet.labels: {why}")))?;
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
