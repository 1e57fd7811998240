//! The shipped roles: docs/roles.md lists their settings, and each setting has a reason.

use super::{assert_snapshot, shipped_dir};
use kiln_profile::{Arch, Overrides, Profile, Taint};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

const DOC: &str = "docs/roles.md";
const BEGIN: &str = "<!-- roles:begin, written by UPDATE_SNAPSHOTS=1 cargo test --test profiles -->\n";
const END: &str = "<!-- roles:end -->\n";

/// The shipped roles; `base` is not a role.
fn roles() -> Vec<Profile> {
    let names = kiln_profile::roles(&shipped_dir()).expect("roles");
    let load = |role: &String| {
        kiln_profile::load(&shipped_dir(), role, &Overrides::default(), Some(Path::new("/home/user")), Arch::Amd64)
    };
    names
        .iter()
        .filter(|role| *role != "base")
        .map(|role| load(role).unwrap_or_else(|error| panic!("{error}")))
        .collect()
}

/// A setting as shown in the documentation.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(shown).collect::<Vec<_>>().join(", "),
        Value::Object(map) => {
            map.iter().map(|(key, value)| format!("{key} {}", shown(value))).collect::<Vec<_>>().join(", ")
        }
        other => other.to_string(),
    }
}

/// Settings of a role by name: kubelet's fields and sysctls.
fn settings(profile: &Profile) -> BTreeMap<String, String> {
    let fields = profile.kubelet.config.iter().map(|(name, value)| (name.clone(), shown(value)));
    fields.chain(profile.kernel.sysctls.iter().map(|(name, value)| (name.clone(), value.clone()))).collect()
}

#[test]
fn the_page_has_every_role() {
    let doc = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(DOC)).expect("docs/roles.md");
    let (before, rest) = doc.split_once(BEGIN).expect("the mark where the table begins");
    let (_, after) = rest.split_once(END).expect("the mark where the table ends");
    let roles = roles();
    let worker = roles.iter().find(|role| role.role == "worker").expect("a worker");
    let mut text =
        String::from("\n| role | `nodetype` | taint | pods | kept from pods | shutdown |\n|---|---|---|---|---|---|\n");
    for role in &roles {
        let taint = |taint: &Taint| match taint.value.as_str() {
            "" => format!("`{}:{}`", taint.key, taint.effect),
            value => format!("`{}={value}:{}`", taint.key, taint.effect),
        };
        let taints: Vec<String> = role.kubelet.taints.iter().map(taint).collect();
        let field = |name: &str| role.kubelet.config.get(name).map(shown).unwrap_or_default();
        writeln!(
            text,
            "| {} | {} | {} | {} | kubelet {}; system {} | {} |",
            role.role,
            role.kubelet.labels["node.kubernetes.io/nodetype"],
            taints.join(" "),
            field("maxPods"),
            field("kubeReserved"),
            field("systemReserved"),
            field("shutdownGracePeriod"),
        )
        .expect("a string");
    }
    let common = settings(worker);
    for role in &roles {
        if role.role == "worker" {
            continue;
        }
        writeln!(
            text,
            "\n## `{}`, compared with `worker`\n\n| setting | value | of a worker |\n|---|---|---|",
            role.role
        )
        .expect("a string");
        for (name, value) in settings(role) {
            let other = common.get(&name);
            if other != Some(&value) {
                writeln!(text, "| `{name}` | {value} | {} |", other.map_or("", String::as_str)).expect("a string");
            }
        }
    }
    text.push('\n');
    assert_snapshot(DOC, &format!("{before}{BEGIN}{text}{END}{after}"));
}

/// A sysctl changes the whole machine, so the profile must contain the reason. A comment applies to
/// the lines after it.
#[test]
fn every_sysctl_has_its_reason() {
    for entry in fs::read_dir(shipped_dir()).expect("profiles").map(|entry| entry.expect("an entry").path()) {
        let Ok(text) = fs::read_to_string(&entry) else { continue };
        let Some((_, rest)) = text.split_once("\n  sysctls:\n") else { continue };
        let first = rest.lines().next().expect("a line");
        assert!(first.trim_start().starts_with("# "), "{}: {first}: why?", entry.display());
    }
}

/// Every role contains the reason for its existence, and does not repeat inherited settings, which
/// would hide its changes.
#[test]
fn a_role_has_a_reason_and_only_differences() {
    let roles = roles();
    let worker = settings(roles.iter().find(|role| role.role == "worker").expect("a worker"));
    for role in roles.iter().filter(|role| role.role != "worker") {
        let text = fs::read_to_string(&role.path).expect("a profile");
        assert!(text.starts_with("# ") && text.contains("\n# Why it differs:"), "{}: why?", role.path.display());
        assert_ne!(settings(role), worker, "{} is a worker by another name", role.role);
        if text.contains("\nextends: worker\n") {
            for (name, value) in &worker {
                let repeated = format!("    {name}: {value}\n");
                assert!(!text.contains(&repeated), "{}: repeats {repeated}", role.path.display());
            }
        }
    }
}
