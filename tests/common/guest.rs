//! Booting an image in QEMU, and what a probe inside says about it.

use kiln::boot::{Accelerator, Guest, Handout, Machine, PxeSet, kvm_works};
use std::sync::Mutex;
use std::time::Duration;

/// One machine at a time: side by side they would only slow each other down.
static TURN: Mutex<()> = Mutex::new(());

/// Wall time a boot may take: some 40 s on four quiet cores without KVM, several times that beside other tests.
const LIMIT: Duration = Duration::from_secs(400);

/// What a guest said, and its console for when that is wrong.
pub struct Report {
    /// `key: value`, line by line.
    pub lines: Vec<String>,
    /// All of it.
    pub console: String,
}

impl Report {
    /// All values of `key`, in order.
    pub fn all(&self, key: &str) -> Vec<&str> {
        self.lines.iter().filter_map(|line| line.strip_prefix(key)?.strip_prefix(':').map(str::trim)).collect()
    }

    /// Checks that `key` was reported once, as `expected`.
    pub fn check(&self, key: &str, expected: &str) {
        assert_eq!(self.all(key), [expected], "{key}\n{}\nconsole:\n{}", self.lines.join("\n"), self.console);
    }

    /// The one number reported as `key`.
    pub fn number(&self, key: &str) -> f64 {
        let all = self.all(key);
        let one = if let [one] = all[..] { one.parse().ok() } else { None };
        one.unwrap_or_else(|| panic!("{key} is {all:?}\n{}\nconsole:\n{}", self.lines.join("\n"), self.console))
    }
}

/// Boots `set` and reads the probe's report.
pub fn boot(set: &PxeSet, handout: Handout) -> Report {
    let _turn = TURN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let accelerator = if kvm_works(set).expect("QEMU") { Accelerator::Kvm } else { Accelerator::Tcg };
    let machine = Machine::new(accelerator);
    let handout = handout.script(include_str!("../boot/probe.sh"));
    let mut guest = Guest::start(&machine, set, &handout).expect("QEMU");
    let lines = guest.lines_until("end:", LIMIT).unwrap_or_else(|error| panic!("{error}\n{}", guest.console()));
    guest.wait(LIMIT).unwrap_or_else(|error| panic!("{error}\n{}", guest.console()));
    Report { lines, console: guest.console() }
}

/// What holds on every node, with or without a cluster.
pub fn check_node(report: &Report) {
    assert_eq!(report.all("failed"), [""; 0], "failed units\n{}", report.console);
    report.check("state", "running");
    for unit in ["containerd", "systemd-networkd", "systemd-resolved"] {
        report.check(&format!("unit {unit}"), "active");
    }
    let modules = report.all("module");
    for module in ["br_netfilter", "nf_conntrack", "overlay"] {
        assert!(modules.contains(&module), "{module} is not loaded: {modules:?}");
    }
    let cri = report.all("cri");
    assert!(!cri.is_empty() && cri.iter().all(|status| *status == "ok"), "the CRI plugin: {cri:?}\n{}", report.console);
    report.check("sysctl vm.overcommit_memory", "1");
    report.check("sysctl kernel.panic", "10");
    report.check("sysctl kernel.panic_on_oops", "1");
    report.check("sysctl kernel.keys.root_maxkeys", "1000000");
    report.check("sysctl net.ipv4.ip_forward", "1");
    report.check("sysctl net.ipv6.conf.all.forwarding", "1");
    report.check("sysctl net.bridge.bridge-nf-call-iptables", "1");
    report.check("root", "rootfs shared 755:0:0");
    report.check("parent", "1");
    report.check("cgroup", "cgroup2fs");
    report.check("container", "process 1 sees: bin dev etc lib lib64 proc run sbin sys tmp usr");
}
