//! Pod networks that kube-controller-manager assigns to nodes.

use crate::cluster::agent::Machine;
use crate::cluster::control_plane::{ControlPlane, TOKEN, kubectl};
use crate::cluster::joins::seed;
use serde_json::{Value, json};
use std::fs;

const CONFLIST: &str = "/etc/cni/net.d/90-bridge.conflist";
const WANTED: &str = "/run/kiln/pod-cidr-wanted";

/// Makes `/etc` as in an image; if `assigned`, the profile leaves the range to the cluster.
fn bake(machine: &Machine, assigned: bool) {
    let conflist = json!({"cniVersion": "1.0.0", "name": "bridge", "plugins": [
        {"type": "bridge", "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.88.0.0/16"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
        {"type": "portmap"},
    ]});
    for path in [CONFLIST, "/usr/lib/kiln/90-bridge.conflist"].iter().take(1 + usize::from(assigned)) {
        let path = machine.at(path);
        fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
        fs::write(path, conflist.to_string()).expect("written");
    }
    fs::remove_file(machine.at(WANTED)).ok();
}

/// The networks of pod addresses.
fn ranges(machine: &Machine) -> Vec<String> {
    let conflist: Value = serde_json::from_str(&machine.read(CONFLIST)).expect("JSON");
    let sets = conflist["plugins"][0]["ipam"]["ranges"].as_array().expect("ranges").clone();
    sets.iter().map(|set| set[0]["subnet"].as_str().expect("a subnet").to_owned()).collect()
}

/// Registers the node as its kubelet does, with its certificate.
fn register(machine: &Machine, node: &str) {
    let file = machine.root().join("node.json");
    fs::write(&file, json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": node}}).to_string())
        .expect("written");
    kubectl(&machine.kubeconfig(), &["create", "-f", &file.display().to_string()]).expect("registered");
}

fn assigned(plane: &ControlPlane, node: &str) -> Vec<String> {
    let text = plane.kubectl(&["get", "node", node, "-o", "jsonpath={.spec.podCIDRs[*]}"]);
    text.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn the_cluster_assigns_one() {
    let plane = ControlPlane::shared();
    let machine = Machine::new(&seed(plane, "pods-1", TOKEN, ""));
    bake(&machine, true);
    machine.join();
    assert!(!machine.at(CONFLIST).exists(), "with the baked range all nodes would have the same addresses");
    assert!(machine.at(WANTED).exists());
    // kubelet has not registered the node yet.
    let mut agent = machine.pod_cidr();
    std::thread::sleep(std::time::Duration::from_secs(2));
    assert!(agent.runs());
    register(&machine, "pods-1");
    let (code, said) = agent.end();
    assert_eq!(code, Some(0), "{said:#?}");
    let first = assigned(plane, "pods-1");
    assert_eq!(ranges(&machine), first);
    assert!(first[0].starts_with("10.") && first[0].ends_with("/24"), "{first:?}");
    assert_eq!(said, [format!("kiln-agent: the cluster has assigned the pod network {}", first[0])]);

    // The next boot starts with it.
    bake(&machine, true);
    machine.reseed("kind: NodeSeed\n");
    machine.join();
    assert_eq!(ranges(&machine), first);
    let said = machine.pod_cidr().end().1;
    assert_eq!(said, [format!("kiln-agent: the pod network of this node is still {}", first[0])]);

    // After deletion and registration, the cluster assigns another one.
    plane.kubectl(&["delete", "node", "pods-1"]);
    register(&machine, "pods-1");
    let said = machine.pod_cidr().end().1;
    let second = assigned(plane, "pods-1");
    assert_eq!(ranges(&machine), second);
    assert!(said.len() == 1 && said[0].contains(&second[0]), "{said:#?}");
}

/// The agent does not query a range that the seed or the profile contains.
#[test]
fn a_known_network_is_not_queried() {
    let plane = ControlPlane::shared();
    let machine = Machine::new(&seed(plane, "pods-2", TOKEN, "kubelet: {podCIDR: 10.77.0.0/24}\n"));
    bake(&machine, true);
    machine.join();
    assert_eq!(ranges(&machine), ["10.77.0.0/24"]);
    assert!(!machine.at(WANTED).exists());
    assert_eq!(machine.pod_cidr().end(), (Some(0), vec![]));

    let machine = Machine::new(&seed(plane, "pods-3", TOKEN, ""));
    bake(&machine, false);
    machine.join();
    assert_eq!(ranges(&machine), ["10.88.0.0/16"]);
    assert!(!machine.at(WANTED).exists());
}

/// The agent queries a server that is down, or does not know the certificate, again after growing
/// waits.
#[test]
fn a_server_that_is_down_meanwhile() {
    let plane = ControlPlane::shared();
    let machine = Machine::new(&seed(plane, "pods-4", TOKEN, ""));
    bake(&machine, true);
    machine.join();
    register(&machine, "pods-4");
    let known = machine.read("/var/lib/kiln/node.json");
    let [dead] = crate::cluster::control_plane::free_ports();
    let change = |text: &str| fs::write(machine.at("/var/lib/kiln/node.json"), text).expect("written");
    change(&known.replace(&format!("127.0.0.1:{}", plane.port), &format!("127.0.0.1:{dead}")));
    let mut agent = machine.pod_cidr();
    agent.wait_for("connecting to 127.0.0.1");
    assert!(agent.runs());
    agent.kill();
    assert!(!machine.at(CONFLIST).exists());
    change(&known);
    assert_eq!(machine.pod_cidr().end().0, Some(0));
    assert_eq!(ranges(&machine), assigned(plane, "pods-4"));
}
