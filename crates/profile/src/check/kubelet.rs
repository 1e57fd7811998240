//! kubelet's configuration, flags, labels and taints.

use super::super::authority;
use super::super::json::{self, Json};
use super::super::key::fields;
use super::super::model::{Arch, Kubelet, Profile, Taint};
use super::super::place::{At, Fault};
use super::super::raw::{Effect, Map, RawKubelet, RawTaint};
use super::super::suggest;
use super::{debian, kubelet_args, managed, names, required, text};
use crate::kubelet::cgroup_driver;
use kiln_agent::flags;
use kiln_agent::names::{label_value, qualified_name, repeated_taint, self_settable};
use kiln_kubernetes::kubelet_flags::{self, Flag};
use kiln_kubernetes::{Minor, kubelet_config, runtimes};
use serde_json::Value;
use std::collections::BTreeMap;

/// Fields that kiln writes itself, and what to use instead.
const MANAGED_FIELDS: [(&str, &str); 5] = [
    ("apiVersion", "kiln writes it"),
    ("kind", "kiln writes it"),
    ("registerWithTaints", "use kubelet.taints"),
    ("containerRuntimeEndpoint", "set \"cri\" instead"),
    ("providerID", "it differs per node, the agent sets it"),
];

pub(super) fn kubelet(raw: &RawKubelet, minor: Minor, arch: Arch) -> Result<Kubelet, Fault> {
    let RawKubelet { config, args, labels, taints } = raw;
    Ok(Kubelet {
        config: self::config(config, minor)?,
        args: self::args(args, minor)?,
        labels: self::labels(labels, arch)?,
        taints: self::taints(taints)?,
    })
}

fn config(raw: &Map<At<Json>>, minor: Minor) -> Result<serde_json::Map<String, Value>, Fault> {
    for (key, At { value, pos }) in raw {
        managed(key, fields::KUBELET_CONFIG, &MANAGED_FIELDS)?;
        if key.value == "cgroupDriver" {
            cgroup_driver(&value.value())
                .map_err(|why| pos.fault_of(fields::KUBELET_CONFIG, format!("cgroupDriver {why}")))?;
        }
    }
    let config = json::object(raw);
    kubelet_config::check(&config, minor).map_err(|misfit| {
        let pos = json::place(raw, &misfit).or_else(|| raw.values().next().map(|item| item.pos));
        let rule = authority::of_field(&misfit, authority::KUBELET_CONFIG);
        pos.unwrap_or_default().fault_of(fields::KUBELET_CONFIG, misfit.to_string()).by(rule)
    })?;
    Ok(config)
}

/// Adds packages whose programs kubelet calls and that a node may lack.
pub(super) fn provide(profile: &mut Profile) {
    if profile.release.kubernetes.counts_files_with_find() {
        debian::provide(&mut profile.debian, "findutils");
    }
}

fn args(raw: &Map<At<String>>, minor: Minor) -> Result<BTreeMap<String, String>, Fault> {
    let mut args = BTreeMap::new();
    for (key, value) in raw {
        let flag = text(key, fields::KUBELET_ARGS, names::flag)?;
        let runtime = flag.starts_with("container-runtime").then(|| runtimes::replacement(&value.value)).flatten();
        if let Some(why) = runtime {
            return Err(key.fault_of(fields::KUBELET_ARGS, format!("{flag}={}: {why}", value.value)));
        }
        if let Some(instead) = flags::managed_in_profile(&flag) {
            managed(key, fields::KUBELET_ARGS, &[(&flag, instead)])?;
        }
        key.check(fields::KUBELET_ARGS, |name| known_flag(name, minor))?;
        let value = text(value, fields::KUBELET_ARG.of(&flag), |value| kubelet_args::value(&flag, value, minor))?;
        args.insert(flag, value);
    }
    kubelet_args::together(raw)?;
    Ok(args)
}

/// Rejects flags that have a field, which must be set there, and unknown flags, with which kubelet
/// exits.
fn known_flag(name: &str, minor: Minor) -> Result<(), String> {
    match kubelet_flags::flag(name, minor) {
        Flag::Flag => Ok(()),
        Flag::Field(field) => Err(format!("--{name} is a field, set {field} in kubelet.config")),
        Flag::Gone { since: 0, instead } => Err(format!("--{name} cannot be used: {instead}")),
        Flag::Gone { since, instead } => {
            Err(format!("kubelet has no flag --{name} since Kubernetes 1.{since}: {instead}"))
        }
        Flag::Later { since } => {
            let why = format!("kubelet has the flag --{name} since Kubernetes 1.{since}, and this is 1.{minor}");
            Err(format!("{why}; leave it out"))
        }
        Flag::Unknown if !minor.is_known() => Ok(()),
        Flag::Unknown => {
            let near = suggest::nearest(name, kubelet_flags::names());
            let hint = near.map(|near| format!(", did you mean --{near}?")).unwrap_or_default();
            Err(format!("kubelet has no flag --{name}{hint}"))
        }
    }
}

fn labels(raw: &Map<At<String>>, arch: Arch) -> Result<BTreeMap<String, String>, Fault> {
    let mut labels = BTreeMap::new();
    for (key, value) in raw {
        let name = text(key, fields::KUBELET_LABELS, qualified_name)?;
        key.check(fields::KUBELET_LABELS, |key| self_settable(key))?;
        let value =
            text(value, fields::KUBELET_LABELS, |value| label_value(value).and_then(|()| own(&name, value, arch)))?;
        labels.insert(name, value);
    }
    Ok(labels)
}

/// Rejects wrong values for labels that kubelet sets itself.
fn own(name: &str, value: &str, arch: Arch) -> Result<(), String> {
    let is = match name {
        "kubernetes.io/hostname" => return Err(format!("{name} differs per node, kubelet sets it; leave it out")),
        "kubernetes.io/arch" | "beta.kubernetes.io/arch" => arch.as_str(),
        "kubernetes.io/os" | "beta.kubernetes.io/os" => "linux",
        _ => return Ok(()),
    };
    match value == is {
        true => Ok(()),
        false => Err(format!("{name} is {value:?}, and the image is {is:?}; leave it out, kubelet sets it")),
    }
}

fn taints(raw: &[At<RawTaint>]) -> Result<Vec<Taint>, Fault> {
    let taints = raw.iter().map(taint).collect::<Result<Vec<_>, _>>()?;
    match repeated_taint(taints.iter().map(|taint| (&*taint.key, &*taint.effect))) {
        None => Ok(taints),
        Some(at) => {
            let what = format!("{}:{}", taints[at].key, taints[at].effect);
            let why = format!("{what} is a duplicate (lists append); leave one out");
            Err(raw[at].pos.fault_of(fields::KUBELET_TAINTS, why))
        }
    }
}

fn taint(raw: &At<RawTaint>) -> Result<Taint, Fault> {
    let RawTaint { key, value, effect } = &raw.value;
    let key = text(required(key, raw.pos, fields::KUBELET_TAINTS, "key")?, fields::KUBELET_TAINTS, qualified_name)?;
    let value = match value {
        Some(value) => text(value, fields::KUBELET_TAINTS, label_value)?,
        None => String::new(),
    };
    let effect = match required(effect, raw.pos, fields::KUBELET_TAINTS, "effect")?.value {
        Effect::NoSchedule => "NoSchedule",
        Effect::PreferNoSchedule => "PreferNoSchedule",
        Effect::NoExecute => "NoExecute",
    };
    Ok(Taint { key, value, effect: effect.to_owned() })
}
