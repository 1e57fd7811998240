//! Feature gates: those that each release has, their defaults, and whether they can be set.
//!
//! A kubelet does not start with an unknown gate, nor with another value of a gate that is locked
//! (`Set` of k8s.io/component-base/featuregate). A gate that has graduated is removed a few
//! releases later.

mod dependencies;
mod table;

use super::Minor;
use super::schema::{Misfit, Step};
use kiln_suggest::nearest;
use serde_json::{Map, Value};
use table::GATES;

/// A feature gate and its history.
#[derive(Debug, Clone, Copy)]
pub struct Gate {
    /// Its name, in upstream's spelling.
    pub name: &'static str,
    /// Its phases, in the order of releases.
    pub phases: &'static [Phase],
    /// The minor release that removed it.
    until: u32,
}

/// The state of a gate from one release on.
#[derive(Debug, Clone, Copy)]
pub struct Phase {
    /// The first minor release of the phase; 20 stands for any up to 1.20.
    since: u32,
    /// The maturity of the feature.
    pub stage: Stage,
    /// The gate's value when it is not set.
    pub on: bool,
    /// Whether it cannot be set to another value.
    pub locked: bool,
}

/// The maturity of a feature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// May change or be removed.
    Alpha,
    /// Will not be removed.
    Beta,
    /// Part of Kubernetes.
    Ga,
    /// Will be removed.
    Deprecated,
}

impl Gate {
    /// The gate's phase in Kubernetes 1.`minor`, if that release has the gate.
    pub fn phase(&self, minor: Minor) -> Option<&Phase> {
        self.latest(minor).filter(|_| minor.is_before(self.until))
    }

    /// The same; for a release that has removed the gate, its last phase.
    fn latest(&self, minor: Minor) -> Option<&Phase> {
        self.phases.iter().rev().find(|phase| minor.is_since(phase.since))
    }
}

/// All known gates of all releases.
pub fn all() -> impl Iterator<Item = &'static Gate> {
    GATES.iter()
}

/// Whether the feature behind the gate `name` is on in Kubernetes 1.`minor` with the `featureGates`
/// of `config`. A removed gate counts as in its last phase.
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

/// Checks the `featureGates` of `config`, the configuration of `program`, for Kubernetes 1.`minor`.
/// The types must have been checked.
///
/// # Errors
/// The first [`Misfit`].
pub(super) fn check(config: &Map<String, Value>, minor: Minor, program: &str) -> Result<(), Misfit> {
    for (name, value) in config.get("featureGates").and_then(Value::as_object).into_iter().flatten() {
        if let Some(why) = value.as_bool().and_then(|value| rejection(name, value, minor, program)) {
            let path = vec![Step::Key("featureGates".into()), Step::Key(name.clone())];
            return Err(Misfit { path, name: true, why });
        }
    }
    dependencies::check(config, minor, program)
}

/// Why `program` of Kubernetes 1.`minor` does not start with this gate set to this value, if so.
fn rejection(name: &str, value: bool, minor: Minor, program: &str) -> Option<String> {
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
            "was removed in Kubernetes 1.{}, and {program} does not start with it; leave it out",
            gate.until
        )),
        None => {
            let since = gate.phases.first().map_or(0, |phase| phase.since);
            Some(format!("was added in Kubernetes 1.{since}, and this is 1.{minor}; leave it out"))
        }
    }
}

fn unknown(name: &str, minor: Minor) -> Option<String> {
    let known = GATES.iter().filter(|gate| gate.phase(minor).is_some()).map(|gate| gate.name);
    match nearest(name, known) {
        Some(near) => Some(format!("is not a feature gate, did you mean {near:?}?")),
        // A newer release may have gates that are not known here.
        None if !minor.is_known() => None,
        None => Some(format!("is not a feature gate of Kubernetes 1.{minor}; leave it out")),
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
    fn gates_and_their_phases_are_in_order() {
        let names: Vec<String> = all().skip(2).map(|gate| gate.name.to_lowercase()).collect();
        assert!(names.is_sorted(), "{:?}", names.windows(2).find(|pair| pair[0] > pair[1]));
        for gate in all() {
            assert!(gate.phases.is_sorted_by(|one, next| one.since < next.since), "{}", gate.name);
            assert!(gate.phases.iter().all(|phase| (20..gate.until).contains(&phase.since)), "{}", gate.name);
            assert!(!gate.phases.is_empty(), "{}", gate.name);
        }
    }

    #[test]
    fn added_removed_and_locked_gates_are_reported() {
        assert_eq!(verdict("CPUManager", false, 25), None);
        let locked = "featureGates.CPUManager is locked to true since Kubernetes 1.26, and kubelet does not start with false; leave it out";
        assert_eq!(verdict("CPUManager", false, 26).as_deref(), Some(locked));
        assert_eq!(verdict("CPUManager", true, 32), None);
        let gone =
            "featureGates.CPUManager was removed in Kubernetes 1.33, and kubelet does not start with it; leave it out";
        assert_eq!(verdict("CPUManager", true, 33).as_deref(), Some(gone));
        let early = "featureGates.NodeSwap was added in Kubernetes 1.22, and this is 1.20; leave it out";
        assert_eq!(verdict("NodeSwap", true, 20).as_deref(), Some(early));
        assert_eq!(verdict("AllAlpha", true, 36), None);
    }

    #[test]
    fn a_near_name_is_suggested_and_unknown_gates_of_newer_releases_are_accepted() {
        let near = "featureGates.GracefullNodeShutdown is not a feature gate, did you mean \"GracefulNodeShutdown\"?";
        assert_eq!(verdict("GracefullNodeShutdown", true, 36).as_deref(), Some(near));
        assert!(Minor::new(36).is_known() && verdict("PineappleOnPizza", true, 36).is_some());
        assert_eq!((Minor::new(37).is_known(), verdict("PineappleOnPizza", true, 37)), (false, None));
    }

    #[test]
    fn a_feature_is_on_by_default_or_by_a_setting() {
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
