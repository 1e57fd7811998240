//! Boots workers as they are built and reads from inside the guest what they are.
//!
//! Nothing is in the images for it: kubelet is made standalone, and `boot/probe.sh` brought in, by a credential.

use kiln::boot::{Accelerator, Guest, Handout, Machine, PxeSet, kvm_works};
use kiln_init::xattrs::{self, Xattr};
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

#[path = "common/worker.rs"]
mod worker;

/// One machine at a time: side by side they would only slow each other down.
static TURN: Mutex<()> = Mutex::new(());

/// Wall time a boot may take: some 40 s on four quiet cores without KVM, several times that beside other tests.
const LIMIT: Duration = Duration::from_secs(400);

/// What a guest said, and its console for when that is wrong.
struct Report {
    lines: Vec<String>,
    console: String,
}

impl Report {
    /// All values of `key`, in order.
    fn all(&self, key: &str) -> Vec<&str> {
        self.lines.iter().filter_map(|line| line.strip_prefix(key)?.strip_prefix(':').map(str::trim)).collect()
    }

    /// Checks that `key` was reported once, as `expected`.
    fn check(&self, key: &str, expected: &str) {
        assert_eq!(self.all(key), [expected], "{key}\n{}\nconsole:\n{}", self.lines.join("\n"), self.console);
    }

    /// The one number reported as `key`.
    fn number(&self, key: &str) -> f64 {
        let all = self.all(key);
        let one = if let [one] = all[..] { one.parse().ok() } else { None };
        one.unwrap_or_else(|| panic!("{key} is {all:?}\n{}\nconsole:\n{}", self.lines.join("\n"), self.console))
    }
}

/// Boots `set` and reads the probe's report.
fn boot(set: &PxeSet, handout: Handout) -> Report {
    let _turn = TURN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let accelerator = if kvm_works(set).expect("QEMU") { Accelerator::Kvm } else { Accelerator::Tcg };
    let machine = Machine::new(accelerator);
    let handout = handout.script(include_str!("boot/probe.sh"));
    let mut guest = Guest::start(&machine, set, &handout).expect("QEMU");
    let lines = guest.lines_until("end:", LIMIT).unwrap_or_else(|error| panic!("{error}\n{}", guest.console()));
    guest.wait(LIMIT).unwrap_or_else(|error| panic!("{error}\n{}", guest.console()));
    Report { lines, console: guest.console() }
}

/// What holds on every node, with or without a cluster.
fn check_node(report: &Report) {
    assert_eq!(report.all("failed"), [""; 0], "failed units\n{}", report.console);
    report.check("state", "running");
    for unit in ["containerd", "systemd-networkd", "systemd-resolved"] {
        report.check(&format!("unit {unit}"), "active");
    }
    let modules = report.all("module");
    for module in ["br_netfilter", "nf_conntrack", "overlay"] {
        assert!(modules.contains(&module), "{module} is not loaded: {modules:?}");
    }
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

/// Boots `suite`'s worker with kubelet standalone.
fn healthy(suite: &str) {
    let directory = tempfile::tempdir().expect("a directory");
    let report = boot(&built(directory.path(), suite), Handout::none().standalone());
    check_node(&report);
    report.check("unit kubelet", "active");
    let (containerd, healthz) = (report.number("containerd-active"), report.number("healthz"));
    println!("{suite}: containerd active after {containerd} s, kubelet healthy after {healthz} s");
    if std::env::var_os("KILN_BOOT_SHOW").is_some() {
        println!("{}", report.lines.join("\n"));
    }
}

/// The shipped worker of `suite`, built into `directory`.
fn built(directory: &Path, suite: &str) -> PxeSet {
    PxeSet::open(&worker::build_worker(directory, suite)).expect("a PXE set")
}

#[test]
fn a_trixie_worker_is_healthy() {
    healthy("trixie");
}

#[test]
fn a_bookworm_worker_is_healthy() {
    healthy("bookworm");
}

/// Without credentials kubelet waits, and nothing has failed. The initramfs' list of extended attributes is obeyed.
#[test]
fn a_worker_without_a_cluster_waits() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut set = built(dir.path(), "trixie");
    let initramfs = dir.path().join("initramfs.cpio.zst");
    std::fs::copy(&set.initramfs, &initramfs).expect("copied");
    let mut file = File::options().append(true).open(&initramfs).expect("opened");
    file.write_all(&archive_with_capability("usr/bin/cat")).expect("appended");
    set.initramfs = initramfs;
    let report = boot(&set, Handout::none());
    check_node(&report);
    report.check("unit kubelet", "inactive");
    report.check("capabilities", "0000000000002000");
}

/// A compressed archive to follow an initramfs: a list that gives `program` CAP_NET_RAW.
fn archive_with_capability(program: &str) -> Vec<u8> {
    // struct vfs_ns_cap_data of capability.h, revision 2: flags, then permitted and inheritable, low and high words.
    let value = [0x0200_0001_u32, 1 << 13, 0, 0, 0].iter().flat_map(|word| word.to_le_bytes()).collect();
    let xattr = Xattr { path: program.into(), name: "security.capability".into(), value };
    let list = xattrs::encode(&[xattr]).expect("a list");
    let directory = cpio::newc::Builder::new("usr/lib/kiln").mode(0o040_755).nlink(2).write(Vec::new(), 0);
    let mut file = cpio::newc::Builder::new(xattrs::FILE)
        .mode(0o100_644)
        .nlink(1)
        .write(directory.finish().expect("written"), u32::try_from(list.len()).expect("it is short"));
    file.write_all(list.as_bytes()).expect("written");
    let archive = cpio::newc::trailer(file.finish().expect("written")).expect("written");
    zstd::encode_all(&archive[..], 3).expect("compressed")
}
