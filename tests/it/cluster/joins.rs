//! The state of a node that has joined.

use crate::cluster::agent::{Machine, mode};
use crate::cluster::control_plane::{ControlPlane, MANUAL_TOKEN, TOKEN, kubectl, openssl};
use crate::cluster::tls::{public_key, sign};
use std::fs;

/// A seed of `node` with more `fields`.
pub(super) fn seed(plane: &ControlPlane, node: &str, token: &str, fields: &str) -> String {
    format!(
        "kind: NodeSeed\nnodeName: {node}\napiServers: [\"127.0.0.1:{}\"]\ntoken: {token}\ndiscovery: {{caCertHashes: [\"{}\"]}}\n{fields}",
        plane.port, plane.pin
    )
}

/// A seed of `node` with the authority of `server`, so that no discovery is needed.
pub(super) fn seed_with_authority(node: &str, server: &str, ca: &str, token: &str) -> String {
    let ca = ca.replace('\n', "\n    ");
    format!(
        "kind: NodeSeed\nnodeName: {node}\napiServers: [\"{server}\"]\ntoken: {token}\ndiscovery:\n  caCertificates: |\n    {ca}\n"
    )
}

#[test]
fn a_node_joins_and_the_next_boot_has_nothing_to_do() {
    let plane = ControlPlane::shared();
    // Only root may give files to others.
    let (user, group) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    let fields = format!(
        "kubelet: {{nodeIP: 10.0.0.5, labels: {{example.org/pool: blue}}, taints: [{{key: a, effect: NoSchedule}}], args: {{v: \"2\"}}}}\n\
         files: {{/etc/motd: {{content: hello, mode: \"0640\", uid: {user}, gid: {group}}}}}\n"
    );
    let machine = Machine::new(&seed(plane, "Joins-1", TOKEN, &fields));
    fs::create_dir_all(machine.at("/usr/lib/kiln")).expect("a directory");
    fs::write(machine.at("/usr/lib/kiln/kubeadm-flags.env"), "KUBELET_KUBEADM_ARGS=\"--node-labels=x=y --v=1\"\n")
        .expect("written");
    let said = machine.join();
    println!("{said:#?}");
    for (path, expected) in [
        ("/etc/kubernetes/kubelet.conf", 0o600),
        ("/etc/kubernetes/pki/ca.crt", 0o644),
        ("/var/lib/kubelet/kubeadm-flags.env", 0o644),
        ("/var/lib/kiln/node.json", 0o600),
        ("/etc/motd", 0o640),
        ("/run/kiln/status.json", 0o644),
    ] {
        assert_eq!(mode(&machine.at(path)), expected, "{path}");
    }
    assert_eq!(mode(&machine.certificate()), 0o600);
    assert_eq!(machine.read("/etc/kubernetes/pki/ca.crt"), plane.ca());
    assert_eq!(machine.read("/etc/hostname"), "joins-1\n");
    assert_eq!(
        machine.read("/var/lib/kubelet/kubeadm-flags.env"),
        "KUBELET_KUBECONFIG_ARGS=\"--kubeconfig=/etc/kubernetes/kubelet.conf\"\nKUBELET_KUBEADM_ARGS=\"--hostname-override=joins-1 \
         --node-ip=10.0.0.5 --node-labels=example.org/pool=blue,x=y --register-with-taints=a=:NoSchedule --v=2\"\n"
    );
    let pem = fs::read(machine.certificate()).expect("the certificate");
    let subject = openssl(&["x509", "-noout", "-subject", "-nameopt", "RFC2253"], &pem);
    assert_eq!(subject, "subject=CN=system:node:joins-1,O=system:nodes");
    // The cluster's view: the node may register itself, and no other node.
    let node = r#"{"apiVersion":"v1","kind":"Node","metadata":{"name":"NAME"}}"#;
    let register = |name: &str| {
        let file = machine.root().join(format!("{name}.json"));
        fs::write(&file, node.replace("NAME", name)).expect("written");
        kubectl(&machine.kubeconfig(), &["create", "-f", &file.display().to_string()])
    };
    register("joins-1").expect("registered");
    let refused = register("joins-2").expect_err("another name");
    assert!(refused.contains("Forbidden") || refused.contains("forbidden"), "{refused}");
    let requests = plane.requests("joins-1");
    assert_eq!(requests.len(), 1, "{requests:?}");
    // Neither the token nor parts of an unfinished request remain.
    for file in files(&machine.root()) {
        let bytes = fs::read(&file).expect("a file");
        assert!(
            !bytes.windows(TOKEN.len()).any(|window| window == TOKEN.as_bytes()),
            "{} holds the token",
            file.display()
        );
        assert!(!file.display().to_string().ends_with(".tmp"), "{}", file.display());
    }

    // Without a seed and a server: no requests are made.
    machine.reseed("kind: NodeSeed\n");
    fs::remove_file(machine.at("/etc/hostname")).expect("as after a boot");
    let said = machine.join();
    assert!(said.iter().any(|line| line.contains("the client certificate is valid")), "{said:#?}");
    assert_eq!(machine.read("/etc/hostname"), "joins-1\n");
    assert_eq!(machine.status("state"), "joined");
    assert_eq!(plane.requests("joins-1"), requests);
}

/// kubelet renews its certificate by itself, and writes the key as Go's x509.MarshalECPrivateKey
/// does (RFC 5915, with the curve).
#[test]
fn a_certificate_that_kubelet_has_renewed() {
    let plane = ControlPlane::shared();
    let machine = Machine::new(&seed(plane, "renewed", TOKEN, ""));
    machine.join();
    let (key, subject) = (
        openssl(&["ecparam", "-genkey", "-name", "prime256v1", "-noout"], b""),
        "/O=system:nodes/CN=system:node:renewed",
    );
    assert!(key.starts_with("-----BEGIN EC PRIVATE KEY-----"), "{key}");
    let chain = sign(&plane.authority(), &public_key(&key), subject, "extendedKeyUsage=clientAuth", "now");
    let renewed = "/var/lib/kubelet/pki/kubelet-client-2099-01-01-00-00-00.pem";
    let text = format!("{chain}{key}\n");
    fs::write(machine.at(renewed), &text).expect("written");
    let link = machine.at("/var/lib/kubelet/pki/kubelet-client-current.pem");
    fs::remove_file(&link).expect("removed");
    std::os::unix::fs::symlink(renewed, &link).expect("a link");
    let said = machine.join();
    assert!(said.iter().any(|line| line.contains("the client certificate is valid")), "{said:#?}");
    assert_eq!(fs::read_link(&link).expect("a link").to_str(), Some(renewed), "an older one was used");
    assert_eq!(machine.read(renewed), text);
}

#[test]
fn a_person_approves() {
    let plane = ControlPlane::shared();
    let machine = Machine::new(&seed(plane, "approved", MANUAL_TOKEN, ""));
    let mut agent = machine.boot();
    agent.wait_for("is not approved");
    assert_eq!(machine.status("state"), "needs-approval");
    assert!(!machine.is_joined());
    plane.kubectl(&["certificate", "approve", &machine.status("request")]);
    let (code, said) = agent.end();
    assert_eq!(code, Some(0), "{said:#?}");
    assert!(machine.is_joined());
}

#[test]
fn an_authority_in_the_seed_needs_no_discovery() {
    let plane = ControlPlane::shared();
    let ca = plane.ca().replace('\n', "\n    ");
    let text = format!(
        "kind: NodeSeed\nhostname: with-ca\napiServers: [\"localhost:1\", \"https://localhost:{}\"]\ntoken: {TOKEN}\n\
         discovery:\n  caCertificates: |\n    {ca}\n",
        plane.port
    );
    let machine = Machine::new(&text);
    fs::create_dir_all(machine.at("/etc")).expect("a directory");
    fs::write(machine.at("/etc/hosts"), "127.0.0.1 localhost\n").expect("written");
    machine.join();
    let server = format!("server: https://localhost:{}", plane.port);
    assert!(machine.read("/etc/kubernetes/kubelet.conf").contains(&server), "the one that answered");
}

#[test]
fn an_image_baked_for_a_cluster_needs_only_a_token() {
    let plane = ControlPlane::shared();
    let machine = Machine::new(&format!("kind: NodeSeed\nhostname: of-the-cluster\ntoken: {TOKEN}\n"));
    let cluster = serde_json::json!({
        "kind": "NodeSeed",
        "apiServers": [format!("https://127.0.0.1:{}", plane.port)],
        "discovery": { "caCertificates": plane.ca() },
    });
    fs::create_dir_all(machine.at("/usr/lib/kiln")).expect("a directory");
    fs::write(machine.at("/usr/lib/kiln/cluster.yaml"), cluster.to_string()).expect("written");
    machine.join();
    assert!(machine.is_joined());
}

/// Killed after each line it prints, the agent continues at the next start, and requests only one
/// certificate.
#[test]
fn killed_at_each_step() {
    let plane = ControlPlane::shared();
    for step in 0.. {
        let node = format!("killed-{step}");
        let machine = Machine::new(&seed(plane, &node, TOKEN, ""));
        let mut agent = machine.boot();
        let Some(line) = agent.wait_for_line(step) else { break };
        agent.kill();
        println!("killed after: {line}");
        machine.join();
        assert!(machine.is_joined());
        assert_eq!(plane.requests(&node).len(), 1, "{line}");
        assert!(step < 20, "it prints too many lines");
    }
}

/// All regular files below `directory`.
pub(super) fn files(directory: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).expect("a directory").map(|entry| entry.expect("an entry")) {
        match entry.file_type().expect("a type") {
            kind if kind.is_dir() => found.extend(files(&entry.path())),
            kind if kind.is_file() => found.push(entry.path()),
            _ => {}
        }
    }
    found
}
