//! An impostor answers in place of the API server: openssl, with data that an attacker could have
//! intercepted or invented.

use crate::cluster::agent::Machine;
use crate::cluster::control_plane::{ControlPlane, TOKEN, openssl};
use crate::cluster::joins::seed;
use crate::cluster::tls::{Authority, Server};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

const INFO: &str = "api/v1/namespaces/kube-public/configmaps/cluster-info";

/// Starts a server with the cluster-info `info`; checks the agent's `complaint` and its `state`.
fn refused(node: &str, info: &serde_json::Value, complaint: &str, state: &str) {
    refused_by(&Authority::new(), node, info, complaint, state);
}

/// The same with a server whose certificate is by `authority`.
fn refused_by(authority: &Authority, node: &str, info: &serde_json::Value, complaint: &str, state: &str) {
    let plane = ControlPlane::shared();
    let body = info.to_string();
    let response = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
    let server = Server::new(authority, "127.0.0.1", "now", &[(INFO, &response)]);
    let own = format!("127.0.0.1:{}", plane.port);
    let machine = Machine::new(&seed(plane, node, TOKEN, "").replace(&own, &format!("127.0.0.1:{}", server.port)));
    let mut agent = machine.boot();
    let line = agent.wait_for(complaint);
    assert_eq!(machine.status("state"), state, "{line}");
    assert!(agent.runs(), "it gave up: {line}");
    assert!(!machine.is_joined());
    for path in ["/var/lib/kubelet/pki", "/etc/kubernetes/pki/ca.crt", "/var/lib/kiln/node.json"] {
        assert!(!machine.at(path).exists(), "{path}");
    }
}

fn genuine() -> serde_json::Value {
    let plane = ControlPlane::shared();
    let info = plane.kubectl(&["get", "--raw", &format!("/{INFO}")]);
    serde_json::from_str(&info).expect("JSON")
}

#[test]
fn another_authority_in_a_signed_cluster_info() {
    let mut info = genuine();
    let plane = ControlPlane::shared();
    let (ours, theirs) = (STANDARD.encode(plane.ca()), STANDARD.encode(Authority::new().pem));
    let kubeconfig = info["data"]["kubeconfig"].as_str().expect("a kubeconfig");
    let forged = kubeconfig.replace(&ours, &theirs);
    assert_ne!(forged, kubeconfig);
    info["data"]["kubeconfig"] = forged.into();
    refused("forged", &info, "signature is not by the token abcdef of the seed", "needs-token");
}

/// Whoever has a token can sign a bundle of the pinned authority and his own (kubeadm trusts all of
/// it): the agent trusts what is pinned, and its token stays here.
#[test]
fn another_authority_beside_the_pinned_one() {
    let mut info = genuine();
    let (plane, theirs) = (ControlPlane::shared(), Authority::new());
    let bundle = STANDARD.encode(format!("{}{}", plane.ca(), theirs.pem));
    let kubeconfig = info["data"]["kubeconfig"].as_str().expect("a kubeconfig");
    let kubeconfig = kubeconfig.replace(&STANDARD.encode(plane.ca()), &bundle);
    assert!(kubeconfig.contains(&bundle));
    let (id, secret) = TOKEN.split_once('.').expect("a token");
    let header = URL_SAFE_NO_PAD.encode(format!("{{\"alg\":\"HS256\",\"kid\":\"{id}\"}}"));
    let message = format!("{header}.{}", URL_SAFE_NO_PAD.encode(&kubeconfig));
    let mac = openssl(&["dgst", "-sha256", "-hmac", secret, "-r"], message.as_bytes());
    let mac: Vec<u8> = (0..64).step_by(2).map(|at| u8::from_str_radix(&mac[at..at + 2], 16).expect("digits")).collect();
    info["data"][format!("jws-kubeconfig-{id}")] = format!("{header}..{}", URL_SAFE_NO_PAD.encode(mac)).into();
    info["data"]["kubeconfig"] = kubeconfig.into();
    let complaint = format!("cluster-info has authorities that are not pinned, and so not trusted: {}", theirs.pin());
    refused_by(&theirs, "bundled", &info, &complaint, "waiting");
}

#[test]
fn no_signature() {
    let mut info = genuine();
    info["data"].as_object_mut().expect("an object").retain(|name, _| name == "kubeconfig");
    refused("unsigned", &info, "cluster-info is not signed by the token abcdef", "needs-token");
}

/// The genuine public cluster-info, served by an impostor: the agent does not send the token.
#[test]
fn a_genuine_cluster_info_from_another() {
    refused("replayed", &genuine(), "making a TLS connection to 127.0.0.1", "waiting");
}

#[test]
fn no_kubeconfig_in_it() {
    refused("empty", &serde_json::json!({"data": {}}), "it contains no kubeconfig", "failed");
}
