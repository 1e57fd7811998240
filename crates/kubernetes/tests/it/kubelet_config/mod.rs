//! Compares kiln's checks of `KubeletConfiguration` with those of a real kubelet, 1.20.2: every
//! field is set in turn, every range is violated in turn, and every flag in its help is looked up.
//!
//! kubelet decodes, validates and parses its configuration before it looks for a container runtime.
//! It is run as an unprivileged user, so that it exits after that. `shown.rs` tests the values that
//! a running kubelet uses.

mod gates;
use kiln_testing::judge;
mod kube_proxy;
mod kubelet;
mod newer;
mod samples;
mod shown;

use kiln_kubernetes::kubelet_config::{FIELDS, check};
use kiln_kubernetes::kubelet_flags::{Flag, all_names, flag};
use kiln_kubernetes::{Field, Minor, NEWEST};
use kubelet::{Verdict, verdicts};
use samples::{companions, invalid, object, valid};
use serde_json::{Map, Value, json};

const MINOR: Minor = Minor::new(20);

fn with(mut config: Map<String, Value>, more: Map<String, Value>) -> Map<String, Value> {
    config.extend(more);
    config
}

/// A configuration with `field` that is valid in the newest release.
fn newest(field: &Field) -> Map<String, Value> {
    let config = with(companions(field.name), object(json!({ field.name: valid(field, NEWEST) })));
    match field.name {
        "preloadedImagesVerificationAllowlist" => {
            with(config, object(json!({ "imagePullCredentialsVerificationPolicy": "NeverVerifyAllowlistedImages" })))
        }
        _ => config,
    }
}

#[test]
fn every_field_is_accepted_and_newer_ones_are_unknown() {
    let configs: Vec<_> = FIELDS
        .iter()
        .filter(|field| !["apiVersion", "kind"].contains(&field.name))
        .map(|field| (field, with(companions(field.name), object(json!({ field.name: valid(field, MINOR) })))))
        .collect();
    let verdicts = verdicts(configs.iter().map(|(_, config)| config));
    let mut wrong = Vec::new();
    for ((field, config), verdict) in configs.iter().zip(verdicts) {
        let ours = check(config, MINOR);
        let is_same = match field.is_in(MINOR) {
            true => verdict == Verdict::Accepted && ours.is_ok(),
            false => verdict == Verdict::Unknown(field.name.to_owned()) && ours.is_err(),
        };
        let newest = check(&newest(field), NEWEST);
        if !is_same || newest.is_err() {
            wrong.push(format!("{config:?}: kubelet {verdict:?}, kiln {ours:?}, {newest:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_kubelet_rejects_is_rejected() {
    let rows = invalid();
    let verdicts = verdicts(rows.iter().map(|row| &row.config));
    let mut wrong = Vec::new();
    for (row, verdict) in rows.iter().zip(verdicts) {
        let ours = check(&row.config, MINOR);
        if ours.is_ok() || matches!(verdict, Verdict::Rejected(_)) != row.rejected_by_1_20 {
            wrong.push(format!("{:?}: kubelet {verdict:?}, kiln {ours:?}", row.config));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_flag_is_known() {
    let help = kubelet::help();
    assert!(help.len() > 150, "{} flags in kubelet --help", help.len());
    let unknown: Vec<_> = help.iter().filter(|name| flag(name, MINOR) == Flag::Unknown).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
    let gone: Vec<_> = help.iter().filter(|name| matches!(flag(name, MINOR), Flag::Gone { since: 1.., .. })).collect();
    assert!(gone.is_empty(), "{gone:?}");
    // The reverse: every flag that kiln has for this release is in its help.
    let invented: Vec<_> =
        all_names().filter(|name| flag(name, MINOR) == Flag::Flag && !help.iter().any(|known| known == name)).collect();
    assert!(invented.is_empty(), "{invented:?}");
}
