//! Secrets do not leak through core dumps, command lines or logs.

use crate::cluster::agent::Machine;
use crate::cluster::control_plane::{ControlPlane, MANUAL_TOKEN};
use crate::cluster::joins::seed;
use std::fs;

/// The agent disables core dumps before the token is in its memory.
#[test]
fn core_dumps_do_not_contain_the_token() {
    let plane = ControlPlane::shared();
    let machine = Machine::new(&seed(plane, "undumped", MANUAL_TOKEN, ""));
    let trace = machine.credentials().join("trace").display().to_string();
    let mut agent = machine.boot_by(&["strace", "-f", "-o", &trace, "-e", "trace=prctl,openat"]);
    agent.wait_for("created");
    let text = fs::read_to_string(trace).expect("a trace");
    let (before, after) = text.split_once("prctl(PR_SET_DUMPABLE, SUID_DUMP_DISABLE) = 0").expect("it asks for that");
    // From then on, even strace may be unable to read file names.
    assert!(!before.contains("credentials") && after.contains("openat("), "{text}");
}

/// While the agent waits, nothing that other users may read contains the token or the key.
#[test]
fn a_waiting_agent_does_not_leak_secrets() {
    let plane = ControlPlane::shared();
    let machine = Machine::new(&seed(plane, "discreet", MANUAL_TOKEN, ""));
    let mut agent = machine.boot();
    let line = agent.wait_for("is not approved");
    let key = machine.read("/var/lib/kubelet/pki/kubelet-client.key.tmp");
    let key = key.lines().nth(1).expect("a line of base64");
    let said = [line, machine.read("/run/kiln/status.json"), machine.read("/etc/issue.d/50-kiln.issue")];
    let request = plane.kubectl(&["get", "csr", &machine.status("request"), "-o", "yaml"]);
    for text in said.iter().chain([&request]) {
        assert!(!text.contains(&MANUAL_TOKEN[7..]) && !text.contains(key), "{text}");
    }
    assert_eq!(crate::cluster::agent::mode(&machine.at("/var/lib/kubelet/pki/kubelet-client.key.tmp")), 0o600);
}
