//! The shipped release v1.36.4: the source and destination of each file, and the files rendered for
//! it. Its actual files are not available everywhere. They are replaced by containerd 2, runc and
//! the CNI plugins of Debian 14, of similar versions and in archives with upstream's layout.
//! kubelet and crictl are not in Debian; placeholders replace them.

use crate::upstream::archives::{File, sha256, stand_in, tar};
use crate::upstream::bench::{Bench, inputs};
use crate::upstream::golden;
use crate::upstream::guest::{boot, check_node};
use crate::upstream::programs::Programs;
use crate::upstream::release::Published;
use kiln::boot::{Handout, PxeSet};
use std::fs;

fn published(containerd: &[File], plugins: &[File], runc: Vec<u8>, arch: &str) -> Vec<Published> {
    let crictl = [("crictl".to_owned(), stand_in("crictl"))];
    vec![
        Published::new("kubelet", "1.36.4", arch, stand_in("kubelet")),
        Published::new("containerd", "2.3.4", arch, tar(containerd, "bin", "gzip")),
        Published::new("runc", "1.4.3", arch, runc),
        Published::new("cni-plugins", "1.9.1", arch, tar(plugins, ".", "gzip")),
        Published::new("crictl", "1.36.0", arch, tar(&crictl, "crictl", "gzip")),
    ]
}

/// The image matches `tests/golden/worker-v1.36.4`, and containerd 2 accepts its rendered
/// configuration: its CRI plugin runs, nothing in the configuration is deprecated, and it starts a
/// container.
#[test]
fn a_worker_of_upstreams_release_has_these_files() {
    let bench = Bench::new();
    let programs = Programs::of("forky");
    let published = published(&programs.containerd(), &programs.plugins(), programs.runc(), "amd64");
    let _server = bench.publish("v1.36.4", &published, &[]);
    let out = bench.build("v1.36.4");
    golden::compare(&out, "worker-v1.36.4");
    let artifacts: Vec<String> =
        inputs(&out, "artifact").iter().map(|(name, version)| format!("{name} {version}")).collect();
    assert_eq!(artifacts, ["cni-plugins 1.9.1", "containerd 2.3.4", "crictl 1.36.0", "kubelet 1.36.4", "runc 1.4.3"]);

    let report = boot(&PxeSet::open(&out).expect("a PXE set"), Handout::none());
    check_node(&report);
    report.check("unit kubelet", "inactive");
    assert_eq!(report.all("deprecation"), [""; 0], "containerd's configuration");
    let version = report.all("containerd-version");
    assert!(matches!(version[..], [version] if version.contains("/containerd/v2 2.")), "{version:?}");
}

/// The architecture for which this kiln has no `/init` can be locked and planned; a build fails
/// before it fetches anything.
#[test]
fn another_architecture_is_locked_and_planned_but_not_built() {
    let bench = Bench::new();
    let programs = ["containerd", "containerd-shim-runc-v2", "ctr"];
    let containerd = programs.map(|name| (format!("bin/{name}"), stand_in(name)));
    let plugins = [("bridge".to_owned(), stand_in("bridge"))];
    let published = published(&containerd, &plugins, stand_in("runc"), "arm64");
    let server = bench.publish("v1.36.4", &published, &[]);
    bench.succeeds("lock", "v1.36.4", &["--arch", "arm64"]);
    let lock = fs::read_to_string(bench.path("profiles/worker@v1.36.4@trixie@arm64.lock")).expect("a lock");
    for part in ["linux-image-cloud-arm64", "_arm64.deb", &sha256(&published[1].bytes)] {
        assert!(lock.contains(part), "{part} is not in the lock");
    }
    let plan = bench.succeeds("plan", "v1.36.4", &["--arch", "arm64"]);
    assert!(plan.contains("debian      trixie arm64, kernel linux-image-cloud-arm64\n"), "{plan}");
    assert!(plan.contains("worker@v1.36.4@trixie@arm64.lock: "), "{plan}");

    let said = bench.refuses("build", "v1.36.4", &["--arch", "arm64", "--offline", "-o", "out"]);
    let expected = "kiln: this kiln contains kiln-init for amd64, not for arm64: build kiln on an arm64 machine";
    assert!(said.starts_with(expected), "{said}");
    assert!(server.requests().is_empty(), "something was fetched");
}
