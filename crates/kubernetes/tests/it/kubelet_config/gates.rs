//! Compares kiln's feature gates with those of a real kubelet, 1.20.2.

use crate::kubelet_config::kubelet::{self, Verdict, verdicts};
use crate::kubelet_config::{MINOR, object};
use kiln_kubernetes::Minor;
use kiln_kubernetes::feature_gates::{Gate, Phase, Stage, all};
use kiln_kubernetes::kubelet_config::check;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// The gates of 1.20, with their phases in it.
fn known() -> impl Iterator<Item = (&'static Gate, &'static Phase)> {
    all().filter_map(|gate| Some((gate, gate.phase(MINOR)?)))
}

fn setting(gates: impl Iterator<Item = (&'static str, bool)>) -> Map<String, Value> {
    let gates: BTreeMap<&str, bool> = gates.collect();
    object(json!({ "featureGates": gates }))
}

/// Help lists only alpha and beta gates.
#[test]
fn help_lists_the_same_gates_with_the_same_defaults() {
    let ours: BTreeMap<String, String> = known()
        .filter_map(|(gate, phase)| {
            let stage = match phase.stage {
                Stage::Alpha => "ALPHA",
                Stage::Beta => "BETA",
                Stage::Ga | Stage::Deprecated => return None,
            };
            Some((gate.name.to_owned(), format!("{stage} - default={}", phase.on)))
        })
        .collect();
    assert_eq!(kubelet::gates(), ours);
}

#[test]
fn every_gate_is_accepted_and_newer_ones_are_unknown() {
    let accepted = setting(known().map(|(gate, phase)| (gate.name, phase.on)));
    // All gates added in 1.21: kubelet names the first unknown one.
    let newer: Vec<&str> = all()
        .filter(|gate| gate.phase(MINOR).is_none() && gate.phase(Minor::new(21)).is_some())
        .map(|gate| gate.name)
        .collect();
    assert!(newer.len() > 15, "{newer:?}");
    let mut configs = vec![accepted];
    configs.extend(newer.iter().map(|name| setting([(*name, true)].into_iter())));
    let verdicts = verdicts(configs.iter());
    assert_eq!(verdicts[0], Verdict::Accepted);
    assert!(check(&configs[0], MINOR).is_ok(), "{:?}", check(&configs[0], MINOR));
    for ((name, config), verdict) in newer.iter().zip(&configs[1..]).zip(&verdicts[1..]) {
        let Verdict::Rejected(why) = verdict else { panic!("{name}: {verdict:?}") };
        assert!(why.contains(&format!("unrecognized feature gate: {name}")), "{name}: {why}");
        assert!(check(config, MINOR).is_err(), "{name}");
    }
}

/// Sets each gate to the opposite of its default.
#[test]
fn locked_gates_are_rejected_and_others_are_accepted() {
    let (locked, open): (Vec<_>, Vec<_>) = known().partition(|(_, phase)| phase.locked);
    assert!(locked.len() > 10 && open.len() > 80, "{} locked, {} not", locked.len(), open.len());
    let mut configs: Vec<_> =
        locked.iter().map(|(gate, phase)| setting([(gate.name, !phase.on)].into_iter())).collect();
    // These two would set the others.
    let open = open.iter().filter(|(gate, _)| !["AllAlpha", "AllBeta"].contains(&gate.name));
    configs.push(setting(open.map(|(gate, phase)| (gate.name, !phase.on))));
    let verdicts = verdicts(configs.iter());
    for ((gate, _), (config, verdict)) in locked.iter().zip(configs.iter().zip(&verdicts)) {
        let Verdict::Rejected(why) = verdict else { panic!("{}: {verdict:?}", gate.name) };
        assert!(why.contains(&format!("cannot set feature gate {}", gate.name)), "{}: {why}", gate.name);
        assert!(check(config, MINOR).is_err(), "{}", gate.name);
    }
    let (open, verdict) = (&configs[locked.len()], &verdicts[locked.len()]);
    assert!(!matches!(verdict, Verdict::Rejected(why) if why.contains("feature gate")), "{verdict:?}");
    assert!(check(open, MINOR).is_ok(), "{:?}", check(open, MINOR));
}
