//! Many nodes at once, and the cost of one of them.

use crate::cluster::agent::Machine;
use crate::cluster::control_plane::{ControlPlane, TOKEN};
use crate::cluster::joins::seed;
use std::time::Instant;

/// The number of concurrent joins, unless KILN_HERD is set. The controller manager approves and
/// signs about seven per second.
const HERD: usize = 30;

#[test]
fn a_herd_joins() {
    let plane = ControlPlane::shared();
    let count = std::env::var("KILN_HERD").map_or(HERD, |text| text.parse().expect("a number"));
    let machines: Vec<Machine> =
        (0..count).map(|number| Machine::new(&seed(plane, &format!("herd-{number}"), TOKEN, ""))).collect();
    let before = requests(plane);
    let started = Instant::now();
    let agents: Vec<_> = machines.iter().map(Machine::boot).collect();
    for (agent, machine) in agents.into_iter().zip(&machines) {
        let (code, said) = agent.end();
        assert_eq!(code, Some(0), "{said:#?}");
        assert!(machine.is_joined());
    }
    let took = started.elapsed().as_secs_f64();
    let each = (requests(plane) - before) / count as f64;
    println!("{count} nodes joined in {took:.1} s, with {each:.1} requests each");
    // cluster-info twice, the node, the request, a watch; each watch that ends without a decision
    // costs three more.
    assert!(each <= 20.0, "{each} requests each");
}

/// The number of agents' requests that the API server has answered: for cluster-info, Nodes by
/// name, and certificate requests without their status.
fn requests(plane: &ControlPlane) -> f64 {
    let metrics = plane.kubectl(&["get", "--raw", "/metrics"]);
    let is_ours = |line: &&str| {
        let has = |label: &str, value: &str| line.contains(&format!("{label}=\"{value}\""));
        let csr = has("resource", "certificatesigningrequests")
            && has("subresource", "")
            && (has("verb", "POST") || has("verb", "GET") || has("verb", "WATCH"));
        let node = has("resource", "nodes") && has("verb", "GET") && has("subresource", "");
        let info = has("resource", "configmaps") && has("verb", "GET") && has("scope", "resource");
        line.starts_with("apiserver_request_total{") && (csr || node || info)
    };
    metrics.lines().filter(is_ours).filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

/// Peak memory and time of a join, and of a boot with nothing to do.
#[test]
fn the_cost_of_a_join() {
    let plane = ControlPlane::shared();
    let machine = Machine::new(&seed(plane, "costs", TOKEN, ""));
    for expected in ["certificate, kubeconfig and flags are in place", "the client certificate is valid"] {
        let output = machine.under_time();
        assert!(output.contains(expected), "{output}");
        let last = output.lines().last().unwrap_or_default();
        let kib: u64 = last.split(' ').next().and_then(|word| word.parse().ok()).expect("KiB");
        println!("{output}");
        assert!(kib <= 10_240, "{kib} KiB");
    }
}
