//! Comparison of the baked kubelet configuration with the one that kubeadm uploaded (`init phase
//! upload-config kubelet`).

use crate::cluster::agent::Machine;
use crate::cluster::control_plane::{ControlPlane, TOKEN};
use crate::cluster::joins::seed;
use serde_json::{Value, json};
use std::fs;

/// As the builder writes it for release 1.20.
fn bake(machine: &Machine, config: &str) {
    let fields = json!({
        "/clusterDNS": [], "/clusterDomain": "", "/authentication/anonymous/enabled": false,
        "/authentication/webhook/enabled": true, "/authorization/mode": "Webhook", "/serverTLSBootstrap": false, "/featureGates": {},
    });
    for (path, text) in [
        ("/usr/lib/kiln/kubelet-config-fields.json", fields.to_string().as_str()),
        ("/var/lib/kubelet/config.yaml", config),
    ] {
        let path = machine.at(path);
        fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
        fs::write(path, text).expect("written");
    }
}

/// Boots, and returns the messages about the configuration in the journal, in the status, and above
/// the login prompt.
fn remarks(machine: &Machine) -> Vec<String> {
    let said = machine.join();
    let at = said.iter().position(|line| line.contains("ready (")).expect("ready");
    let lines: Vec<String> = said[at + 1..].iter().map(|line| line.replace("kiln-agent: ", "")).collect();
    let status: Value = serde_json::from_str(&machine.read("/run/kiln/status.json")).expect("JSON");
    assert_eq!(status["state"], "joined");
    assert_eq!(status["kubeletConfig"], json!(lines));
    let issue = machine.read("/etc/issue.d/50-kiln.issue");
    assert!(lines.iter().all(|line| issue.contains(&format!("\n  {line}\n"))), "{issue}");
    lines
}

#[test]
fn differences_are_reported_and_change_nothing() {
    let plane = ControlPlane::shared();
    let machine = Machine::new(&seed(plane, "config", TOKEN, ""));
    let other = "clusterDNS: [10.96.0.99]\nclusterDomain: cluster.local\nserverTLSBootstrap: true\nfeatureGates: {}\nmaxPods: 7\n";
    bake(&machine, other);
    let expected = [
        "kubelet's clusterDNS is [\"10.96.0.99\"] here, and [\"10.96.0.10\"] in the cluster (kubelet-config-1.20)",
        "kubelet's serverTLSBootstrap is true here, and false in the cluster (kubelet-config-1.20)",
    ];
    assert_eq!(remarks(&machine), expected);
    assert_eq!(machine.read("/var/lib/kubelet/config.yaml"), other);
    // Also at the next boot, with the node's certificate, since the token is gone.
    machine.reseed("kind: NodeSeed\n");
    assert_eq!(remarks(&machine), expected);
    bake(
        &machine,
        "clusterDNS: [10.96.0.10]\nclusterDomain: cluster.local\nserverTLSBootstrap: false\nauthorization: {mode: Webhook}\n",
    );
    assert_eq!(remarks(&machine), ["kubelet's configuration agrees with the cluster's (kubelet-config-1.20)"]);
    // As in a cluster that kubeadm did not make: nodes have no right to read the configuration.
    plane.kubectl(&["delete", "rolebinding", "-n", "kube-system", "kubeadm:kubelet-config-1.20"]);
    let lines = remarks(&machine);
    assert_eq!(lines.len(), 1, "{lines:?}");
    let part = "is not known: reading the cluster's kubelet configuration: the API server answered with status 403";
    assert!(lines[0].contains(part), "{lines:?}");
}

/// A later boot does not wait for a server that is down.
#[test]
fn a_server_that_is_down() {
    let plane = ControlPlane::shared();
    let machine = Machine::new(&seed(plane, "config-down", TOKEN, ""));
    bake(&machine, "");
    machine.join();
    let [dead] = crate::cluster::control_plane::free_ports();
    let known = machine.read("/var/lib/kiln/node.json");
    let elsewhere = known.replace(&format!("127.0.0.1:{}", plane.port), &format!("127.0.0.1:{dead}"));
    fs::write(machine.at("/var/lib/kiln/node.json"), elsewhere).expect("written");
    let [line] = &remarks(&machine)[..] else { panic!("one line") };
    assert!(line.starts_with("the cluster's kubelet configuration is not known: connecting to 127.0.0.1"), "{line}");
    assert!(machine.is_joined());
}
