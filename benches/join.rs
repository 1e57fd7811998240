//! Measures how long a join takes, compared with the same requests by curl and openssl to the same
//! real control plane on this machine.
//!
//! `cargo bench --bench join` prints medians; it fails when a limit is exceeded.

#[path = "../tests/it/cluster/agent.rs"]
#[expect(dead_code, reason = "tests use more of it")]
mod agent;
#[path = "../tests/it/cluster/control_plane.rs"]
#[expect(dead_code, reason = "tests use more of it")]
mod control_plane;

use agent::Machine;
use control_plane::{ControlPlane, TOKEN};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

/// Joins of each kind, alternating; their medians count.
const RUNS: usize = 15;
/// The maximum ratio of the agent's time to that of curl and openssl.
const BAR: f64 = 1.2;
/// The maximum time of a boot with a valid certificate.
const NO_OP_BAR: Duration = Duration::from_millis(20);

fn main() -> ExitCode {
    let plane = ControlPlane::shared();
    let (mut joins, mut no_ops, mut by_hand) = (Vec::new(), Vec::new(), Vec::new());
    for run in 0..RUNS {
        let machine = Machine::new(&format!(
            "kind: NodeSeed\nnodeName: agent-{run}\napiServers: [\"127.0.0.1:{}\"]\ntoken: {TOKEN}\n\
             discovery: {{caCertHashes: [\"{}\"]}}\n",
            plane.port, plane.pin
        ));
        joins.push(timed(|| drop(machine.join())));
        no_ops.push(timed(|| drop(machine.join())));
        by_hand.push(timed(|| by_curl(plane, &format!("curl-{run}"))));
    }
    println!("medians of {RUNS}, at a kube-apiserver 1.20.2 on this machine:");
    let [join, no_op, by_hand] = [
        ("kiln-agent, from its start to its end", joins),
        ("kiln-agent, with a valid certificate", no_ops),
        ("the same requests by curl, openssl and jq", by_hand),
    ]
    .map(|(what, times)| median(what, times));
    let ratio = join.as_secs_f64() / by_hand.as_secs_f64();
    let join_holds = said(&format!("{ratio:8.3}    of curl and openssl"), ratio <= BAR, &format!("{BAR}"));
    let no_op_holds = said("            with a valid certificate", no_op <= NO_OP_BAR, &format!("{NO_OP_BAR:?}"));
    if join_holds && no_op_holds { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn by_curl(plane: &ControlPlane, node: &str) {
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/join.sh");
    let mut command = Command::new("bash");
    command.args([script, &format!("127.0.0.1:{}", plane.port), TOKEN, &plane.pin, node]).arg(directory.path());
    let status = command.status().expect("bash");
    assert!(status.success(), "join.sh: {status}; it needs the Debian packages curl, jq and openssl");
}

fn timed(work: impl FnOnce()) -> Duration {
    let started = Instant::now();
    work();
    started.elapsed()
}

fn median(what: &str, mut times: Vec<Duration>) -> Duration {
    times.sort();
    let seconds = |index: usize| times[index].as_secs_f64();
    println!("{:8.3} s  {what} ({:.3} to {:.3})", seconds(times.len() / 2), seconds(0), seconds(times.len() - 1));
    times[times.len() / 2]
}

fn said(what: &str, holds: bool, bar: &str) -> bool {
    println!("{what}: {} at most {bar}", if holds { "within the limit," } else { "EXCEEDED," });
    holds
}
