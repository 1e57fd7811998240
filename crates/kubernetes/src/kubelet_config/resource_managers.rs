//! Rules of kubelet's managers of CPUs, memory and NUMA nodes: kubelet exits at start if one is
//! violated.
//!
//! Sources: `policy_options.go`, `policy_none.go` and `policy_static.go` of
//! `pkg/kubelet/cm/cpumanager`, `policy_options.go` of `pkg/kubelet/cm/topologymanager`,
//! `memory_manager.go` of `pkg/kubelet/cm/memorymanager`, `validation_reserved_memory.go` of
//! `pkg/kubelet/apis/config/validation`; for the stages of options in each release, KEP-2625, 2902,
//! 3327, 4176, 4540 and 4800 (CPUs), 3545 and 4622 (NUMA nodes).

use crate::feature_gates::{Stage, enabled};
use crate::lookup::{Config, bool, items, text};
use crate::schema::{Misfit, Step};
use crate::{Minor, Quantity, parse_quantity};
use Stage::{Alpha, Beta, Ga};
use kiln_suggest::nearest;
use serde_json::Value;
use std::collections::BTreeSet;

/// Checks all rules for Kubernetes 1.`minor`. The types must have been checked.
pub(super) fn check(config: &Config, minor: Minor) -> Result<(), Misfit> {
    static_cpus(config)?;
    cpu_options(config, minor)?;
    topology_options(config, minor)?;
    reserved_memory(config)?;
    static_memory(config)
}

/// An option of a policy.
struct PolicyOption {
    name: &'static str,
    /// The first minor release of each stage.
    stages: &'static [(u32, Stage)],
}

/// Options of the CPU manager; the value of each is true or false.
const CPU_OPTIONS: &[PolicyOption] = &[
    PolicyOption { name: "full-pcpus-only", stages: &[(22, Alpha), (23, Beta), (33, Ga)] },
    PolicyOption { name: "distribute-cpus-across-numa", stages: &[(23, Alpha), (33, Beta)] },
    PolicyOption { name: "align-by-socket", stages: &[(25, Alpha)] },
    PolicyOption { name: "distribute-cpus-across-cores", stages: &[(31, Alpha)] },
    PolicyOption { name: "strict-cpu-reservation", stages: &[(32, Alpha), (33, Beta), (35, Ga)] },
    PolicyOption { name: "prefer-align-cpus-by-uncorecache", stages: &[(32, Alpha), (34, Beta), (36, Ga)] },
];

/// Pairs of options that cannot both be on.
const EXCLUSIVE: [(&str, &str); 4] = [
    ("full-pcpus-only", "distribute-cpus-across-cores"),
    ("distribute-cpus-across-numa", "distribute-cpus-across-cores"),
    ("prefer-align-cpus-by-uncorecache", "distribute-cpus-across-cores"),
    ("prefer-align-cpus-by-uncorecache", "distribute-cpus-across-numa"),
];

const NUMA_NODES: &str = "max-allowable-numa-nodes";

const TOPOLOGY_OPTIONS: &[PolicyOption] = &[
    PolicyOption { name: "prefer-closest-numa-nodes", stages: &[(26, Alpha), (28, Beta), (32, Ga)] },
    PolicyOption { name: NUMA_NODES, stages: &[(31, Beta), (35, Ga)] },
];

/// Without reserved CPUs, the static policy has none for the system, and kubelet does not start.
fn static_cpus(config: &Config) -> Result<(), Misfit> {
    let reserved = |field: &str| {
        let cpu = config.get(field).and_then(|map| map.get("cpu")).and_then(Value::as_str);
        cpu.and_then(parse_quantity).is_some_and(|amount| amount > 0)
    };
    if text(config, "cpuManagerPolicy") != "static"
        || reserved("kubeReserved")
        || reserved("systemReserved")
        || !text(config, "reservedSystemCPUs").is_empty()
    {
        return Ok(());
    }
    Err(Misfit::at(
        "cpuManagerPolicy",
        "is static, which needs CPUs for the system: set cpu in kubeReserved or systemReserved, or reservedSystemCPUs",
    ))
}

fn cpu_options(config: &Config, minor: Minor) -> Result<(), Misfit> {
    const FIELD: &str = "cpuManagerPolicyOptions";
    options(config, FIELD, CPU_OPTIONS, "CPUManagerPolicy", minor)?;
    let set = |name: &str| config.get(FIELD).and_then(|options| options.get(name)).and_then(Value::as_str);
    if options_of(config, FIELD).next().is_some() && text(config, "cpuManagerPolicy") != "static" {
        return Err(Misfit::at(FIELD, "needs \"cpuManagerPolicy: static\""));
    }
    let on = |name: &str| set(name).and_then(boolean) == Some(true);
    if let Some((one, other)) = EXCLUSIVE.iter().find(|(one, other)| on(one) && on(other)) {
        return Err(Misfit::within(&[FIELD, one], format!("cannot be combined with {other}")));
    }
    if on("align-by-socket") && text(config, "topologyManagerPolicy") == "single-numa-node" {
        return Err(Misfit::within(
            &[FIELD, "align-by-socket"],
            "cannot be combined with \"topologyManagerPolicy: single-numa-node\"",
        ));
    }
    Ok(())
}

fn topology_options(config: &Config, minor: Minor) -> Result<(), Misfit> {
    options(config, "topologyManagerPolicyOptions", TOPOLOGY_OPTIONS, "TopologyManagerPolicy", minor)
}

/// The entries of the map `field` of `config`.
fn options_of<'a>(config: &'a Config, field: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    config.get(field).and_then(Value::as_object).into_iter().flatten()
}

/// Checks that each option that is set exists in Kubernetes 1.`minor`, that its feature gate is on,
/// and that its value is valid.
fn options(config: &Config, field: &str, known: &[PolicyOption], gates: &str, minor: Minor) -> Result<(), Misfit> {
    for (name, value) in options_of(config, field) {
        let misfit = |name_is_wrong, why| {
            let path = vec![Step::Key(field.to_owned()), Step::Key(name.clone())];
            Err(Misfit { path, name: name_is_wrong, why })
        };
        let Some(option) = known.iter().find(|option| option.name == name) else {
            match nearest(name, known.iter().map(|option| option.name)) {
                Some(near) => return misfit(true, format!("is not an option, did you mean {near:?}?")),
                // A newer release may have options that are not known here.
                None if !minor.is_known() => continue,
                None => return misfit(true, format!("is not an option of Kubernetes 1.{minor}; leave it out")),
            }
        };
        let stage = match option.stages.iter().rev().find(|(since, _)| minor.is_since(*since)) {
            Some((_, stage)) => stage,
            None => {
                let since = option.stages.first().map_or(0, |(since, _)| *since);
                return misfit(true, format!("was added in Kubernetes 1.{since}, and this is 1.{minor}; leave it out"));
            }
        };
        let gate = match stage {
            Alpha => Some(format!("{gates}AlphaOptions")),
            Beta => Some(format!("{gates}BetaOptions")),
            Ga | Stage::Deprecated => None,
        };
        if let Some(gate) = gate.filter(|gate| !enabled(config, gate, minor)) {
            return misfit(true, format!("needs \"featureGates: {{{gate}: true}}\""));
        }
        let value = value.as_str().unwrap_or_default();
        if name == NUMA_NODES {
            if value.parse::<u16>().is_ok_and(|nodes| nodes >= 8) {
                continue;
            }
            return misfit(false, format!("is {value:?}, and must be a number of at least \"8\", in quotes"));
        }
        if boolean(value).is_none() {
            return misfit(false, format!("is {value:?}, and must be \"true\" or \"false\", in quotes"));
        }
    }
    Ok(())
}

/// Parses a boolean like Go's `strconv.ParseBool`.
fn boolean(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// Only memory and huge pages can be reserved, each once per NUMA node.
fn reserved_memory(config: &Config) -> Result<(), Misfit> {
    const FIELD: &str = "reservedMemory";
    let mut seen = BTreeSet::new();
    for (index, reserved) in items(config, FIELD) {
        let node = reserved.get("numaNode").and_then(Value::as_i64).unwrap_or_default();
        for (resource, amount) in reserved.get("limits").and_then(Value::as_object).into_iter().flatten() {
            if resource != "memory" && !resource.starts_with("hugepages-") {
                return Err(Misfit::item(
                    FIELD,
                    index,
                    format!("has {resource:?}, and only memory and hugepages-SIZE can be reserved"),
                ));
            }
            if amount.as_str().and_then(parse_quantity).is_none_or(|amount| amount <= 0) {
                return Err(Misfit::item(FIELD, index, format!("reserves no {resource}; leave it out")));
            }
            if !seen.insert((node, resource)) {
                return Err(Misfit::item(FIELD, index, format!("has {resource} of NUMA node {node} twice")));
            }
        }
    }
    Ok(())
}

/// The memory reserved on NUMA nodes is exactly the memory reserved for the system
/// (`validateReservedMemory`).
fn static_memory(config: &Config) -> Result<(), Misfit> {
    if text(config, "memoryManagerPolicy") != "Static" {
        return Ok(());
    }
    let amounts =
        items(config, "reservedMemory").filter_map(|(_, reserved)| reserved.pointer("/limits/memory")?.as_str());
    let reserved: Vec<Quantity> = amounts.filter_map(parse_quantity).collect();
    if reserved.is_empty() {
        return Err(Misfit::at(
            "memoryManagerPolicy",
            "is Static, which needs reservedMemory with the sum of the memory in kubeReserved, systemReserved and evictionHard",
        ));
    }
    let sum = |amounts: &[Quantity]| amounts.iter().fold(0, |sum: Quantity, amount| sum.saturating_add(*amount));
    match kept(config) {
        Some(kept) if kept != sum(&reserved) => {
            let why = format!(
                "adds up to {} of memory, and must be {}, the sum of kubeReserved, systemReserved and evictionHard: kubelet does not start otherwise",
                formatted(sum(&reserved)),
                formatted(kept),
            );
            Err(Misfit::at("reservedMemory", why))
        }
        _ => Ok(()),
    }
}

/// The memory reserved for the system; none if it depends on the machine.
fn kept(config: &Config) -> Option<Quantity> {
    const DEFAULT: &str = "100Mi";
    let signal = match config.get("evictionHard").and_then(Value::as_object) {
        Some(signals) => signals.get("memory.available").and_then(Value::as_str),
        None => Some(DEFAULT),
    };
    let default = if bool(config, "mergeDefaultEvictionSettings") { DEFAULT } else { "0" };
    let hard = parse_quantity(signal.unwrap_or(default))?;
    ["kubeReserved", "systemReserved"].iter().try_fold(hard, |sum, field| {
        let memory = config.get(*field).and_then(|map| map.get("memory")).and_then(Value::as_str);
        Some(sum.saturating_add(parse_quantity(memory.unwrap_or("0"))?))
    })
}

/// Formats an amount in the largest binary unit that leaves no fraction.
fn formatted(amount: Quantity) -> String {
    let bytes = amount / 1_000_000_000;
    let units = [(30, "Gi"), (20, "Mi"), (10, "Ki")];
    match units.iter().find(|(power, _)| bytes % (1 << power) == 0) {
        Some((power, unit)) => format!("{}{unit}", bytes >> power),
        None => bytes.to_string(),
    }
}
