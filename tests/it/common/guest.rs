//! Boots an image in QEMU, and reads the report of a probe inside.

use kiln::boot::{Accelerator, Guest, Handout, Image, Machine, PxeSet, kvm_works};
use std::fs::OpenOptions;
use std::io::Write as _;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The number of tests that run a machine now, and a signal for when one of them ends.
static RUNNING: Mutex<u64> = Mutex::new(0);
static ENDED: Condvar = Condvar::new();
/// Memory of the host for one machine, in KiB: the guest's and QEMU's own.
const MEMORY: u64 = 4 << 20;

/// The wall time that a boot may take: about 40 s on four idle cores without KVM, many times that
/// on a busy machine.
pub(crate) const LIMIT: Duration = Duration::from_secs(900);

/// A guest's report, and its console output for failure messages.
pub(crate) struct Report {
    /// The lines, each `key: value`.
    pub lines: Vec<String>,
    /// The console output.
    pub console: String,
}

impl Report {
    /// All values of `key`, in order.
    pub(crate) fn all(&self, key: &str) -> Vec<&str> {
        self.lines.iter().filter_map(|line| line.strip_prefix(key)?.strip_prefix(':').map(str::trim)).collect()
    }

    /// Checks that `key` was reported once, as `expected`.
    pub(crate) fn check(&self, key: &str, expected: &str) {
        assert_eq!(self.all(key), [expected], "{key}\n{}\nconsole:\n{}", self.lines.join("\n"), self.console);
    }

    /// The only number reported as `key`.
    pub(crate) fn number(&self, key: &str) -> f64 {
        let all = self.all(key);
        let one = if let [one] = all[..] { one.parse().ok() } else { None };
        one.unwrap_or_else(|| panic!("{key} is {all:?}\n{}\nconsole:\n{}", self.lines.join("\n"), self.console))
    }
}

/// Boots `set` and reads the probe's report.
pub(crate) fn boot(set: &PxeSet, handout: Handout) -> Report {
    boot_and_ask(set, handout, "")
}

/// As [`boot`]; the bash script `questions` may define a function of that name, which the probe
/// calls before it exits.
pub(crate) fn boot_and_ask(set: &PxeSet, handout: Handout, questions: &str) -> Report {
    run(set, handout, &format!("{questions}{}", include_str!("../boot/probe.sh")))
}

/// Boots `image` and reads what `script` reports until it powers off.
pub(crate) fn run<'a>(image: impl Into<Image<'a>>, handout: Handout, script: &str) -> Report {
    let _turn = turn();
    let image = image.into();
    run_on(&machine(image), image, handout, script)
}

/// As [`run`], on `machine`, while holding its turn.
pub(crate) fn run_on<'a>(machine: &Machine, image: impl Into<Image<'a>>, handout: Handout, script: &str) -> Report {
    let mut guest = Guest::start(machine, image, &handout.script(script)).expect("QEMU");
    let lines = guest.lines_until("end:", LIMIT).unwrap_or_else(|error| panic!("{error}\n{}", guest.console()));
    guest.wait(LIMIT).unwrap_or_else(|error| panic!("{error}\n{}", guest.console()));
    Report { lines, console: guest.console() }
}

/// The machine that runs `image` in tests.
pub(crate) fn machine<'a>(image: impl Into<Image<'a>>) -> Machine {
    Machine::new(if kvm_works(image).expect("QEMU") { Accelerator::Kvm } else { Accelerator::Tcg })
}

/// A test's turn to run machines.
pub(crate) struct Turn {
    _timed: Timed,
}

/// Adds the seconds until it is dropped to the table that `make test` prints (hack/stage.sh), under the
/// name of the test.
pub(crate) struct Timed(Instant);

impl Timed {
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }
}

impl Drop for Timed {
    fn drop(&mut self) {
        let Some(table) = std::env::var_os("KILN_STAGES") else { return };
        let (seconds, thread) = (self.0.elapsed().as_secs_f64(), std::thread::current());
        let line = format!("0 {seconds:.3} 0 0 boot: {}\n", thread.name().unwrap_or("unnamed"));
        // One write, because tests run at the same time.
        let written = OpenOptions::new().append(true).open(table).and_then(|mut file| file.write_all(line.as_bytes()));
        written.unwrap_or_else(|error| eprintln!("the table of stages: {error}"));
    }
}

/// Waits until this host has a core and memory for one more machine.
pub(crate) fn turn() -> Turn {
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64);
    let most = cores.min(total_memory() / MEMORY).max(1);
    let running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
    let mut running = ENDED.wait_while(running, |running| *running >= most).unwrap_or_else(PoisonError::into_inner);
    *running += 1;
    Turn { _timed: Timed::start() }
}

impl Drop for Turn {
    fn drop(&mut self) {
        *RUNNING.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        ENDED.notify_one();
    }
}

/// Memory of this host in KiB (proc(5), `MemTotal`).
fn total_memory() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").expect("/proc");
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:")).expect("MemTotal");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

/// Checks what holds on every node whose root is in memory, with or without a cluster.
pub(crate) fn check_node(report: &Report) {
    check_node_on(report, "rootfs");
}

/// Checks what holds on every node whose root file system is a `root`.
pub(crate) fn check_node_on(report: &Report, root: &str) {
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
    report.check("root", &format!("{root} shared 755:0:0"));
    report.check("parent", "1");
    report.check("cgroup", "cgroup2fs");
    report.check("container", "process 1 sees: bin dev etc lib lib64 proc run sbin sys tmp usr");
}
