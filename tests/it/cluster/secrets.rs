//! What nobody gets to see: core dumps, command lines, logs.

use crate::cluster::agent::Machine;
use crate::cluster::control_plane::{ControlPlane, MANUAL_TOKEN};
use crate::cluster::joins::seed;
use std::fs;

/// The kernel is told to make no core dump before the token is anywhere in memory.
#[test]
fn no_core_dump_ever_holds_the_token() {
    let plane = ControlPlane::shared();
    let machine = Machine::new(&seed(plane, "undumped", MANUAL_TOKEN, ""));
    let trace = machine.credentials().join("trace").display().to_string();
    let mut agent = machine.boot_by(&["strace", "-f", "-o", &trace, "-e", "trace=prctl,openat"]);
    agent.wait_for("created");
    let text = fs::read_to_string(trace).expect("a trace");
    let (before, after) = text.split_once("prctl(PR_SET_DUMPABLE, SUID_DUMP_DISABLE) = 0").expect("it asks for that");
    // From then on, strace itself may be unable to read the names.
    assert!(!before.contains("credentials") && after.contains("openat("), "{text}");
}

/// While it waits, nothing that others may read has the token, or the key.
#[test]
fn a_waiting_agent_tells_nobody() {
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
