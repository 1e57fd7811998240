//! Boots roles: the running node matches the profile.

use crate::boot::guest::{Report, boot_and_ask, check_node};
use crate::boot::worker;
use crate::boot::{cri, pods};
use kiln::boot::{Handout, PxeSet};
use kiln_kubernetes::parse_duration;
use kiln_profile::{Arch, Overrides, Profile};
use serde_json::Value;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::time::Instant;

const RELEASE: &str = "debian-1.20.2";

/// The role that `make test` boots: it differs most from the worker. It also runs pods.
///
/// On trixie only: wget of bookworm's static busybox crashes when the C library's NSS modules are
/// missing.
const WITH_PODS: &str = "ingress";

/// Bakes `role` with kubectl (to query kubelet) and curl (to query containerd), boots it with
/// kubelet standalone, and compares the node with the profile.
fn check_role(role: &str) {
    let directory = tempfile::tempdir().expect("a directory");
    let profiles = directory.path().join("profiles");
    let out = directory.path().join("out");
    let mut command = worker::kiln(directory.path());
    let asking = "components: {kubectl: required}\ndebian: {packages: [curl]}\nkernel: {hugePages: {2Mi: 8}}\n";
    let write = |name: &str, text: String| fs::write(profiles.join(format!("{name}.yaml")), text).expect("written");
    let mut name = format!("asked-{role}");
    write(&name, format!("extends: {role}\n{asking}"));
    let mut questions = include_str!("questions.sh").to_owned();
    if role == WITH_PODS {
        write("with-pods", format!("extends: {name}\n{}", include_str!("pods.yaml")));
        name = "with-pods".to_owned();
        questions.insert_str(0, include_str!("pods.sh"));
    }
    let output = command.args(["build", &name, "--release", RELEASE, "--out"]).arg(&out).output().expect("kiln starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let overrides = Overrides { release: Some(RELEASE.into()), ..Overrides::default() };
    let home = std::env::var("HOME").expect("HOME is set");
    let profile =
        kiln_profile::load(&profiles, &name, &overrides, Some(Path::new(&home)), Arch::Amd64).expect("a profile");

    let set = PxeSet::open(&out).expect("a PXE set");
    let report = boot_and_ask(&set, Handout::none().standalone(), &questions);
    if std::env::var_os("KILN_BOOT_SHOW").is_some() {
        println!("{}", report.lines.join("\n"));
    }
    check_node(&report);
    compare(&profile, &report);
    if role == WITH_PODS {
        pods::check(&report);
    }
    let (containerd, healthz) = (report.number("containerd-active"), report.number("healthz"));
    println!("{role}: containerd active after {containerd} s, kubelet healthy after {healthz} s");
}

fn compare(profile: &Profile, report: &Report) {
    report.check("unit kubelet", "active");
    let [configz] = report.all("configz")[..] else {
        panic!("no /configz\n{}\n{}", report.lines.join("\n"), report.console)
    };
    let running: Value = serde_json::from_str(configz).expect("JSON");
    for (field, asked) in &profile.kubelet.config {
        // These are turned off by the test itself.
        if field != "authentication" && field != "authorization" {
            let found = &running["kubeletconfig"][field];
            assert!(agrees(asked, found), "{}: {field} should be {asked} and is {found}", profile.role);
        }
    }
    for (name, asked) in &profile.kernel.sysctls {
        report.check(&format!("set {name}"), asked);
    }
    let modules = report.all("module");
    for module in &profile.kernel.modules_load {
        assert!(modules.contains(&module.as_str()), "{module} is not loaded: {modules:?}");
    }
    let flags = report.all("flags").join(" ");
    for (key, value) in &profile.kubelet.labels {
        assert!(flags.contains(&format!("{key}={value}")), "{key}: {flags}");
    }
    for taint in &profile.kubelet.taints {
        assert!(flags.contains(&format!("{}={}:{}", taint.key, taint.value, taint.effect)), "{}: {flags}", taint.key);
    }
    report.check("huge-pages", "8");
    report.check("swap", "");
    let period = profile.kubelet.config["shutdownGracePeriod"].as_str().and_then(parse_duration).expect("a duration");
    report.check("inhibit", &format!("t {}", period / 1000));
    report.check("pod", "lo eth0");
    cri::compare(profile, report);
}

/// Whether `found` contains `asked`: all keys of a map; numbers and durations are compared by
/// value.
fn agrees(asked: &Value, found: &Value) -> bool {
    match (asked, found) {
        (Value::Object(asked), Value::Object(found)) => {
            asked.iter().all(|(key, value)| found.get(key).is_some_and(|found| agrees(value, found)))
        }
        (Value::String(asked), Value::String(found)) => {
            asked == found || parse_duration(asked).is_some_and(|asked| parse_duration(found) == Some(asked))
        }
        _ => asked == found,
    }
}

/// Boots [`WITH_PODS`]; with `KILN_ROLES=all` every role, or those that it names.
#[test]
fn running_nodes_match_their_profiles() {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("profiles");
    let roles: Vec<String> =
        kiln_profile::roles(&shipped).expect("roles").into_iter().filter(|role| role != "base").collect();
    let asked = std::env::var("KILN_ROLES").unwrap_or_else(|_| WITH_PODS.into());
    let wanted: Vec<&str> = match asked.as_str() {
        "all" => roles.iter().map(String::as_str).collect(),
        some => some.split(',').collect(),
    };
    let unknown: Vec<_> = wanted.iter().filter(|role| !roles.iter().any(|known| known == *role)).collect();
    assert!(unknown.is_empty(), "KILN_ROLES: {unknown:?} are not among {roles:?}");
    let left: Vec<_> = roles.iter().filter(|role| !wanted.contains(&role.as_str())).cloned().collect();
    if !left.is_empty() {
        say(&format!("not booted here: {}; \"make roles\" boots every role", left.join(", ")));
    }
    for role in wanted {
        let begin = Instant::now();
        check_role(role);
        say(&format!("{role}: as asked for, after {} s", begin.elapsed().as_secs()));
    }
}

/// Prints a line whether the test passes or not.
fn say(line: &str) {
    writeln!(std::io::stderr(), "roles: {line}").expect("stderr");
}
