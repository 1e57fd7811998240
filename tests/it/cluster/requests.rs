//! Events of a certificate request while the node waits for it.

use crate::cluster::agent::{Agent, Machine};
use crate::cluster::control_plane::{ControlPlane, MANUAL_TOKEN, TOKEN};
use crate::cluster::joins::seed;
use crate::cluster::tls::{Authority, new_key, public_key, sign};
use std::fs;
use std::thread;
use std::time::{Duration, Instant};

/// A request that is approved automatically but not signed, because the controller manager does not
/// have the authority's key. The test really takes those two minutes.
#[test]
fn a_request_that_is_not_signed() {
    let plane = ControlPlane::start("control-plane-unsigned", false);
    let machine = Machine::new(&seed(&plane, "unsigned", TOKEN, ""));
    let mut agent = machine.boot();
    let asked = Instant::now();
    agent.wait_for("created");
    let request = plane.requests("unsigned").remove(0);
    plane.wait_for("the approval", || plane.kubectl(&["get", "csr", &request]).contains("Approved"));
    thread::sleep(Duration::from_secs(60));
    assert_eq!(machine.status("error"), "", "signing may take a while");
    let line = agent.wait_for("is approved, but nobody signs it");
    assert!(asked.elapsed() >= Duration::from_secs(120), "after {:?} only", asked.elapsed());
    assert!(line.contains("--cluster-signing-cert-file and --cluster-signing-key-file"), "{line}");
    assert_eq!(machine.status("state"), "waiting");
    assert!(agent.runs() && !machine.is_joined());
    // The certificate may be signed by a controller or by hand.
    let own = public_key(&machine.read("/var/lib/kubelet/pki/kubelet-client.key.tmp"));
    plane.sign(&request, &sign(&plane.authority(), &own, &format!("{SUBJECT}unsigned"), CLIENT, NOW));
    joins(agent, &machine);
    assert_eq!(plane.requests("unsigned"), [request]);
}

const SUBJECT: &str = "/O=system:nodes/CN=system:node:";
const CLIENT: &str = "extendedKeyUsage=clientAuth";
const NOW: &str = "now";

/// A machine whose request is not approved automatically.
fn waiting(plane: &ControlPlane, node: &str) -> (Machine, Agent) {
    let machine = Machine::new(&seed(plane, node, MANUAL_TOKEN, ""));
    let mut agent = machine.boot();
    agent.wait_for("created");
    (machine, agent)
}

fn approve(plane: &ControlPlane, node: &str) {
    let [request] = &plane.requests(node)[..] else { panic!("{node}: {:?}", plane.requests(node)) };
    plane.kubectl(&["certificate", "approve", request]);
}

fn joins(agent: Agent, machine: &Machine) {
    let (code, said) = agent.end();
    assert_eq!(code, Some(0), "{said:#?}");
    assert!(machine.is_joined());
}

/// The token's group is not bound to a role: `kubeadm:kubelet-bootstrap` is missing.
#[test]
fn a_group_that_may_not_request_certificates() {
    let plane = ControlPlane::shared();
    let token = "norbac.0123456789abcdef";
    plane.token(token, "system:bootstrappers:nobody", None);
    plane.wait_for("the signature", || {
        let info = plane.kubectl(&["get", "-n", "kube-public", "configmap", "cluster-info", "-o", "json"]);
        info.contains("jws-kubeconfig-norbac")
    });
    let machine = Machine::new(&seed(plane, "no-rbac", token, ""));
    let mut agent = machine.boot();
    let line = agent.wait_for("bootstrap tokens need the ClusterRole system:node-bootstrapper");
    assert!(line.contains("403"), "{line}");
    assert_eq!(machine.status("state"), "waiting");
    assert!(plane.requests("no-rbac").is_empty());
    assert!(!machine.is_joined());
    for role in ["system:node-bootstrapper", "system:certificates.k8s.io:certificatesigningrequests:nodeclient"] {
        let name = format!("no-rbac-{}", role.len());
        let (role, group) = (format!("--clusterrole={role}"), "--group=system:bootstrappers:nobody");
        plane.kubectl(&["create", "clusterrolebinding", &name, &role, group]);
    }
    joins(agent, &machine);
}

/// Repeatedly: the agent makes a new request each time, with the same key, and not in a busy loop.
#[test]
fn somebody_deletes_the_request() {
    let plane = ControlPlane::shared();
    let (machine, mut agent) = waiting(plane, "deleted");
    for _ in 0..3 {
        plane.kubectl(&["delete", "csr", &plane.requests("deleted")[0]]);
        agent.wait_for("somebody deleted the certificate request");
        agent.wait_for("created");
        assert!(!machine.is_joined());
    }
    approve(plane, "deleted");
    joins(agent, &machine);
}

/// Certificates from the API server that are not for this node: none is installed, and the request
/// can be repeated.
#[test]
fn a_certificate_of_another_node() {
    let plane = ControlPlane::shared();
    let (cluster, other) = (plane.authority(), Authority::new());
    let cases: [(&str, &str); 5] = [
        ("other-key", "the client certificate is for another key than this node's"),
        ("other-name", "the client certificate is for system:node:somebody in system:nodes, not for"),
        ("other-ca", "the cluster's authority does not verify it"),
        ("expired-cert", "the cluster's authority does not verify it: CertExpired"),
        ("serving-cert", "the cluster's authority does not verify it"),
    ];
    for (node, complaint) in cases {
        let (machine, mut agent) = waiting(plane, node);
        let own = public_key(&machine.read("/var/lib/kubelet/pki/kubelet-client.key.tmp"));
        let subject = format!("{SUBJECT}{node}");
        let wrong = match node {
            "other-key" => sign(&cluster, &public_key(&new_key()), &subject, CLIENT, NOW),
            "other-name" => sign(&cluster, &own, &format!("{SUBJECT}somebody"), CLIENT, NOW),
            "other-ca" => sign(&other.files(), &own, &subject, CLIENT, NOW),
            "expired-cert" => sign(&cluster, &own, &subject, CLIENT, "2001-01-01 00:00:00"),
            _ => sign(&cluster, &own, &subject, "extendedKeyUsage=serverAuth", NOW),
        };
        let request = machine.status("request");
        let request = if request.is_empty() { plane.requests(node)[0].clone() } else { request };
        plane.issue(&request, &wrong);
        agent.wait_for(complaint);
        assert_eq!(machine.status("state"), "waiting");
        assert!(!machine.is_joined());
        let stored = fs::read_dir(machine.at("/var/lib/kubelet/pki")).expect("a directory").count();
        assert_eq!(stored, 1, "only the key is there");
        plane.kubectl(&["delete", "csr", &request]);
        agent.wait_for("created");
        approve(plane, node);
        joins(agent, &machine);
    }
}
