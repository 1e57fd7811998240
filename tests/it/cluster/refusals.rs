//! Cases in which a node must not join, and its messages.

use crate::cluster::agent::Machine;
use crate::cluster::control_plane::{ControlPlane, MANUAL_TOKEN, TOKEN, free_ports};
use crate::cluster::joins::{seed, seed_with_authority};
use std::io;
use std::net::{TcpListener, TcpStream};
use std::thread;

/// Boots, waits until the agent prints `text`, and checks that it is in `state` and has not joined.
fn refused(seed: &str, text: &str, state: &str) {
    let machine = Machine::new(seed);
    let mut agent = machine.boot();
    let line = agent.wait_for(text);
    assert!(agent.runs(), "it gave up: {line}");
    assert_eq!(machine.status("state"), state, "{line}");
    assert!(machine.status("error").contains(text));
    assert!(!machine.is_joined());
    assert!(!machine.at("/etc/kubernetes/pki/ca.crt").exists());
    agent.kill();
}

#[test]
fn another_authority() {
    let plane = ControlPlane::shared();
    let wrong = format!("sha256:{}", "0".repeat(64));
    let text = seed(plane, "wrong-ca", TOKEN, "").replace(&plane.pin, &wrong);
    refused(&text, &format!("the cluster's authority is {}, and none of it is pinned", plane.pin), "failed");
    assert!(plane.requests("wrong-ca").is_empty());
}

#[test]
fn a_wrong_secret() {
    let plane = ControlPlane::shared();
    refused(
        &seed(plane, "wrong-secret", "abcdef.aaaaaaaaaaaaaaaa", ""),
        "signature is not by the token abcdef",
        "needs-token",
    );
}

#[test]
fn an_unknown_token() {
    let plane = ControlPlane::shared();
    refused(&seed(plane, "unknown", "nobody.aaaaaaaaaaaaaaaa", ""), "not signed by the token nobody", "needs-token");
}

#[test]
fn an_expired_token() {
    let plane = ControlPlane::shared();
    let token = "expire.0123456789abcdef";
    plane.token(token, "system:bootstrappers:kubeadm:default-node-token", Some("2020-01-01T00:00:00Z"));
    refused(&seed(plane, "expired", token, ""), "not signed by the token expire", "needs-token");
    // With the authority in the seed, the API server rejects the token.
    let server = format!("127.0.0.1:{}", plane.port);
    let machine = Machine::new(&seed_with_authority("expired", &server, &plane.ca(), token));
    machine.boot().wait_for("the token is unknown or has expired");
    assert_eq!(machine.status("state"), "needs-token");
    assert!(!machine.is_joined());
}

#[test]
fn a_person_denies() {
    let plane = ControlPlane::shared();
    let machine = Machine::new(&seed(plane, "denied", MANUAL_TOKEN, ""));
    let mut agent = machine.boot();
    agent.wait_for("created");
    let requests = plane.requests("denied");
    assert_eq!(requests.len(), 1);
    plane.kubectl(&["certificate", "deny", &requests[0]]);
    let (code, said) = agent.end();
    assert_eq!(code, Some(3), "{said:#?}");
    assert!(
        machine.status("error").contains("was denied: KubectlDeny: This CSR was denied by kubectl certificate deny"),
        "{said:#?}"
    );
    assert_eq!(machine.status("state"), "failed");
    assert!(!machine.is_joined());
    assert!(!machine.at("/var/lib/kubelet/pki/kubelet-client.key.tmp").exists(), "the key is of no further use");
}

#[test]
fn a_server_that_comes_late() {
    let plane = ControlPlane::shared();
    let [port] = free_ports();
    let text =
        seed(plane, "late", TOKEN, "").replace(&format!("127.0.0.1:{}", plane.port), &format!("127.0.0.1:{port}"));
    let machine = Machine::new(&text);
    let mut agent = machine.boot();
    agent.wait_for(&format!("connecting to 127.0.0.1:{port}: Connection refused"));
    assert_eq!(machine.status("state"), "waiting");
    let listener = TcpListener::bind(("127.0.0.1", port)).expect("the port");
    thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            forward(client, TcpStream::connect(("127.0.0.1", plane.port)).expect("the API server"));
        }
    });
    let (code, said) = agent.end();
    assert_eq!(code, Some(0), "{said:#?}");
    assert!(machine.is_joined());
}

/// Forwards data in both directions until both sides close.
pub(super) fn forward(client: TcpStream, server: TcpStream) {
    for (mut from, mut to) in [(client.try_clone(), server.try_clone()), (Ok(server), Ok(client))]
        .map(|(a, b)| (a.expect("a socket"), b.expect("a socket")))
    {
        thread::spawn(move || {
            io::copy(&mut from, &mut to).ok();
            to.shutdown(std::net::Shutdown::Write).ok();
        });
    }
}

#[test]
fn a_ready_node_of_that_name() {
    let plane = ControlPlane::shared();
    let node = r#"{"apiVersion":"v1","kind":"Node","metadata":{"name":"taken"},"status":{"conditions":[{"type":"Ready","status":"True","lastHeartbeatTime":"2099-01-01T00:00:00Z"}]}}"#;
    let machine = Machine::new(&seed(plane, "taken", TOKEN, ""));
    let file = machine.root().join("node.json");
    std::fs::write(&file, node).expect("written");
    plane.kubectl(&["create", "-f", &file.display().to_string()]);
    let mut agent = machine.boot();
    agent.wait_for("the cluster has a node taken already, and it is Ready");
    assert!(!machine.is_joined());
    assert!(plane.requests("taken").is_empty());
    // The Node was stale, which the cluster now detects.
    plane.kubectl(&["delete", "node", "taken"]);
    let (code, said) = agent.end();
    assert_eq!(code, Some(0), "{said:#?}");
}
