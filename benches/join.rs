//! How long a node takes to join, from the agent's start to its end, against the same steps with curl and openssl, and how long a boot takes
//! that has nothing to do. One control plane serves both, in turns.
//!
//! `cargo bench --bench join` prints medians and the ratio; it fails when a bar is missed.

#[path = "../tests/cluster/agent.rs"]
#[allow(dead_code, reason = "the tests use the rest")]
mod agent;
#[path = "../tests/cluster/control_plane.rs"]
#[allow(dead_code, reason = "the tests use the rest")]
mod control_plane;

use agent::Machine;
use control_plane::{ControlPlane, TOKEN};
use std::process::{Command, ExitCode};
use std::time::Instant;

/// Joins of each kind; their medians count.
const RUNS: usize = 15;
/// The most that the agent may take of what curl and openssl do.
const BAR: f64 = 1.2;
/// A boot with nothing to do, in seconds.
const IDLE: f64 = 0.020;

fn main() -> ExitCode {
    let plane = ControlPlane::shared();
    let (mut agent, mut by_hand, mut idle) = (Vec::new(), Vec::new(), Vec::new());
    for run in 0..RUNS {
        by_hand.push(seconds(|| join_by_hand(plane, &format!("by-hand-{run}"))));
        let machine = Machine::new(&seed(plane, &format!("agent-{run}")));
        agent.push(seconds(|| drop(machine.join())));
        assert!(machine.is_joined());
        idle.push(seconds(|| drop(machine.join())));
    }
    let by_hand = median("curl and openssl", by_hand);
    let (agent, idle) = (median("kiln-agent", agent), median("kiln-agent, at a later boot", idle));
    let ratio = agent / by_hand;
    let word = |kept| if kept { "as promised" } else { "MISSED" };
    println!("{ratio:8.3}    of curl and openssl: {}, at most {BAR}", word(ratio <= BAR));
    println!("{idle:8.3} s  at a later boot: {}, at most {IDLE} s", word(idle <= IDLE));
    if ratio <= BAR && idle <= IDLE { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn seed(plane: &ControlPlane, node: &str) -> String {
    let (port, pin) = (plane.port, &plane.pin);
    format!(
        "kind: NodeSeed\nnodeName: {node}\napiServers: [\"127.0.0.1:{port}\"]\ntoken: {TOKEN}\ndiscovery: {{caCertHashes: [\"{pin}\"]}}\n"
    )
}

fn join_by_hand(plane: &ControlPlane, node: &str) {
    let directory = tempfile::tempdir().expect("a directory");
    let mut command = Command::new("bash");
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/benches/join.sh")).arg(plane.port.to_string());
    command.args([&plane.pin, TOKEN, node]).arg(directory.path());
    let output = command.output().expect("bash");
    assert!(output.status.success(), "{node}: {}", String::from_utf8_lossy(&output.stderr));
}

fn seconds(work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    start.elapsed().as_secs_f64()
}

/// The median, printed.
fn median(name: &str, mut seconds: Vec<f64>) -> f64 {
    seconds.sort_by(f64::total_cmp);
    let median = seconds[seconds.len() / 2];
    println!("{median:8.3} s  {name} ({:.3} to {:.3})", seconds[0], seconds[seconds.len() - 1]);
    median
}
