//! The shipped worker, booted in QEMU with a seed, becomes a Ready Node.

use crate::control_plane::{ControlPlane, TOKEN};
use crate::joins::seed;
use crate::worker;
use kiln::boot::{Accelerator, Guest, Handout, Machine, PxeSet, kvm_works};
use std::time::Duration;

/// Wall time from power-on to Ready: a minute and a half on four quiet cores without KVM.
const LIMIT: Duration = Duration::from_secs(600);

/// Prints what the agent did, once kubelet runs.
const SCRIPT: &str = "\
until systemctl --quiet is-active kubelet.service; do sleep 0.5; done
read -r seconds _ </proc/uptime; echo \"kubelet $seconds\"
journalctl -b -u kiln-agent -u systemd-networkd -o short-monotonic --no-pager
echo \"hostname $(cat /proc/sys/kernel/hostname)\"
echo \"failed $(systemctl list-units --failed --plain --no-legend)\"
for place in /etc /var /run/kiln /run/systemd /tmp; do echo \"token $(grep -rlF SECRET $place 2>/dev/null)\"; done
echo end
";

#[test]
fn a_worker_from_the_network_becomes_ready() {
    let plane = ControlPlane::shared();
    let directory = tempfile::tempdir().expect("a directory");
    let set = PxeSet::open(&worker::build_worker(directory.path(), "trixie")).expect("a PXE set");
    let fields = "kubelet: {labels: {example.org/pool: blue}, taints: [{key: example.org/new, value: \"yes\", effect: NoSchedule}], podCIDR: 10.77.0.0/24}\n";
    // From the guest, the host's loopback is 10.0.2.2, which is in the API server's certificate.
    let text = seed(plane, "guest-1", TOKEN, fields).replace("127.0.0.1", "10.0.2.2");
    let accelerator = if kvm_works(&set).expect("QEMU") { Accelerator::Kvm } else { Accelerator::Tcg };
    let handout = Handout::none().seed(text).script(SCRIPT.replace("SECRET", &TOKEN[7..]));
    let mut guest = Guest::start(&Machine::new(accelerator), &set, &handout).expect("QEMU");
    let lines = guest.lines_until("end", LIMIT).unwrap_or_else(|error| panic!("{error}\n{}", guest.console()));
    println!("{}", lines.join("\n"));
    let ready = "jsonpath={.status.conditions[?(@.type==\"Ready\")].status}";
    plane.wait_for("a Ready node", || {
        plane.kubectl(&["get", "node", "guest-1", "--ignore-not-found", "-o", ready]) == "True"
    });
    println!("Ready {:.1} s after power-on", guest.uptime().as_secs_f64());
    let node = plane.kubectl(&[
        "get",
        "node",
        "guest-1",
        "-o",
        "jsonpath={.metadata.labels.example\\.org/pool} {.spec.taints[*].key} {.status.nodeInfo.kubeletVersion}",
    ]);
    assert!(node.starts_with("blue ") && node.contains("example.org/new") && node.ends_with("v1.20.2"), "{node}");
    for expected in ["hostname guest-1", "failed", "token"] {
        let name = expected.split(' ').next().expect("a word");
        let found: Vec<_> = lines.iter().filter(|line| line.split(' ').next() == Some(name)).collect();
        assert!(!found.is_empty() && found.iter().all(|line| *line == expected), "{found:?}");
    }
    assert_eq!(plane.requests("guest-1").len(), 1);
}
