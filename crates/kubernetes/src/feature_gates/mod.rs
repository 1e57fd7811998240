//! Feature gates: which a kubelet knows, what they are without being set, and which can be set at all.
//!
//! A kubelet does not start with a gate that it does not know, nor with another value of one that is locked
//! (`Set` of k8s.io/component-base/featuregate). Gates come and go: one that graduated is dropped a few releases later.

mod dependencies;
mod table;

use super::Minor;
use super::schema::{Misfit, Step};
use kiln_suggest::nearest;
use serde_json::{Map, Value};
use table::GATES;

/// A feature gate's life.
#[derive(Debug, Clone, Copy)]
pub struct Gate {
    /// In upstream's spelling.
    pub name: &'static str,
    /// What it was, in the order of releases.
    pub phases: &'static [Phase],
    /// The first minor release that does not know it any more.
    until: u32,
}

/// What a gate is from one release on.
#[derive(Debug, Clone, Copy)]
pub struct Phase {
    /// The first minor release of which this holds; 20 stands for that and all before.
    since: u32,
    /// How far the feature is.
    pub stage: Stage,
    /// The gate's value when it is not set.
    pub on: bool,
    /// Whether it cannot be set to anything else.
    pub locked: bool,
}

/// How far a feature is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// May change or go.
    Alpha,
    /// Here to stay.
    Beta,
    /// Part of Kubernetes.
    Ga,
    /// On its way out.
    Deprecated,
}

impl Gate {
    /// What the gate is in Kubernetes 1.`minor`, if that has it.
    pub fn phase(&self, minor: Minor) -> Option<&Phase> {
        self.latest(minor).filter(|_| minor.is_before(self.until))
    }

    /// The same; after a release that has dropped the gate, what it was last.
    fn latest(&self, minor: Minor) -> Option<&Phase> {
        self.phases.iter().rev().find(|phase| minor.is_since(phase.since))
    }
}

/// Every gate that is known of any release.
pub fn all() -> impl Iterator<Item = &'static Gate> {
    GATES.iter()
}

/// Whether what the gate `name` guards is on in Kubernetes 1.`minor` with the `featureGates` of `config`. It stays as it was when
/// the gate is dropped.
pub(super) fn enabled(config: &Map<String, Value>, name: &str, minor: Minor) -> bool {
    let set = |name: &str| config.get("featureGates")?.get(name)?.as_bool();
    let gate = GATES.iter().find(|gate| gate.name == name);
    let phase = gate.and_then(|gate| gate.latest(minor));
    let all = match phase.filter(|phase| !phase.locked).map(|phase| phase.stage) {
        Some(Stage::Alpha) => set("AllAlpha"),
        Some(Stage::Beta) => set("AllBeta"),
        _ => None,
    };
    set(name).or(all).unwrap_or(phase.is_some_and(|phase| phase.on))
}

/// Checks the `featureGates` of `config`, of `program`, whose types are right, for Kubernetes 1.`minor`.
///
/// # Errors
/// The first [`Misfit`].
pub(super) fn check(config: &Map<String, Value>, minor: Minor, program: &str) -> Result<(), Misfit> {
    for (name, value) in config.get("featureGates").and_then(Value::as_object).into_iter().flatten() {
        if let Some(why) = value.as_bool().and_then(|value| refusal(name, value, minor, program)) {
            let path = vec![Step::Key("featureGates".into()), Step::Key(name.clone())];
            return Err(Misfit { path, name: true, why });
        }
    }
    dependencies::check(config, minor, program)
}

/// Why `program` of Kubernetes 1.`minor` does not start with this gate at this value.
fn refusal(name: &str, value: bool, minor: Minor, program: &str) -> Option<String> {
    let Some(gate) = GATES.iter().find(|gate| gate.name == name) else {
        return unknown(name, minor);
    };
    match gate.phase(minor) {
        Some(phase) if phase.locked && phase.on != value => {
            let since = gate.phases.iter().find(|phase| phase.locked).map_or(phase.since, |phase| phase.since);
            Some(format!(
                "is locked to {} since Kubernetes 1.{since}, and {program} does not start with {value}; leave it out",
                phase.on
            ))
        }
        Some(_) => None,
        None if minor.is_since(gate.until) => Some(format!(
            "is no gate since Kubernetes 1.{}, and {program} does not start with it; leave it out",
            gate.until
        )),
        None => {
            let since = gate.phases.first().map_or(0, |phase| phase.since);
            Some(format!("is a gate since Kubernetes 1.{since}, and this is 1.{minor}; leave it out"))
        }
    }
}

fn unknown(name: &str, minor: Minor) -> Option<String> {
    let known = GATES.iter().filter(|gate| gate.phase(minor).is_some()).map(|gate| gate.name);
    match nearest(name, known) {
        Some(near) => Some(format!("is no gate, did you mean {near:?}?")),
        // A newer release may have more than are known.
        None if !minor.is_known() => None,
        None => Some(format!("is no gate of Kubernetes 1.{minor}; leave it out")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn verdict(name: &str, value: bool, minor: u32) -> Option<String> {
        let config = json!({ "featureGates": { name: value } });
        check(config.as_object().expect("an object"), Minor::new(minor), "kubelet")
            .err()
            .map(|misfit| misfit.to_string())
    }

    #[test]
    fn gates_are_in_order_and_their_lives_run_forward() {
        let names: Vec<String> = all().skip(2).map(|gate| gate.name.to_lowercase()).collect();
        assert!(names.is_sorted(), "{:?}", names.windows(2).find(|pair| pair[0] > pair[1]));
        for gate in all() {
            assert!(gate.phases.is_sorted_by(|one, next| one.since < next.since), "{}", gate.name);
            assert!(gate.phases.iter().all(|phase| (20..gate.until).contains(&phase.since)), "{}", gate.name);
            assert!(!gate.phases.is_empty(), "{}", gate.name);
        }
    }

    #[test]
    fn gates_come_and_go_and_are_locked() {
        assert_eq!(verdict("CPUManager", false, 25), None);
        let locked = "featureGates.CPUManager is locked to true since Kubernetes 1.26, and kubelet does not start with false; leave it out";
        assert_eq!(verdict("CPUManager", false, 26).as_deref(), Some(locked));
        assert_eq!(verdict("CPUManager", true, 32), None);
        let gone = "featureGates.CPUManager is no gate since Kubernetes 1.33, and kubelet does not start with it; leave it out";
        assert_eq!(verdict("CPUManager", true, 33).as_deref(), Some(gone));
        let early = "featureGates.NodeSwap is a gate since Kubernetes 1.22, and this is 1.20; leave it out";
        assert_eq!(verdict("NodeSwap", true, 20).as_deref(), Some(early));
        assert_eq!(verdict("AllAlpha", true, 36), None);
    }

    #[test]
    fn what_is_misspelt_is_named_and_what_is_newer_than_this_is_left_to_kubelet() {
        let near = "featureGates.GracefullNodeShutdown is no gate, did you mean \"GracefulNodeShutdown\"?";
        assert_eq!(verdict("GracefullNodeShutdown", true, 36).as_deref(), Some(near));
        assert!(Minor::new(36).is_known() && verdict("PineappleOnPizza", true, 36).is_some());
        assert_eq!((Minor::new(37).is_known(), verdict("PineappleOnPizza", true, 37)), (false, None));
    }

    #[test]
    fn a_gate_is_on_by_default_or_by_setting() {
        let config = |value| json!({ "featureGates": value }).as_object().expect("an object").clone();
        assert!(!enabled(&config(json!({})), "GracefulNodeShutdown", Minor::new(20)));
        assert!(enabled(&config(json!({})), "GracefulNodeShutdown", Minor::new(21)));
        assert!(enabled(&config(json!({ "GracefulNodeShutdown": true })), "GracefulNodeShutdown", Minor::new(20)));
        assert!(!enabled(&config(json!({ "GracefulNodeShutdown": false })), "GracefulNodeShutdown", Minor::new(21)));
        assert!(enabled(&config(json!({ "AllAlpha": true })), "GracefulNodeShutdown", Minor::new(20)));
        assert!(!enabled(&config(json!({ "AllBeta": false })), "GracefulNodeShutdown", Minor::new(21)));
        assert!(enabled(
            &config(json!({ "AllBeta": false, "GracefulNodeShutdown": true })),
            "GracefulNodeShutdown",
            Minor::new(21)
        ));
    }
}
