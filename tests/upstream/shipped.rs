//! The shipped release v1.36.4 against archives laid out as their projects lay them out. The programs in them only stand for the
//! real ones, which cannot be had everywhere: what is proven is where each would come from and go to, and what is rendered for it.

use crate::archives::{sha256, stand_in, tar, write};
use crate::bench::{Bench, manifest};
use crate::release::{Published, files, text};
use crate::tools::{run, text as stdout};
use crate::{golden, hub};
use std::fs;

/// Plugins for Linux of release 1.9 of github.com/containernetworking/plugins, and what else is in its archive.
const PLUGINS: [&str; 20] = [
    "LICENSE",
    "README.md",
    "bandwidth",
    "bridge",
    "dhcp",
    "dummy",
    "firewall",
    "host-device",
    "host-local",
    "ipvlan",
    "loopback",
    "macvlan",
    "portmap",
    "ptp",
    "sbr",
    "static",
    "tap",
    "tuning",
    "vlan",
    "vrf",
];

/// What each project publishes for `arch`, by the URLs its documentation gives.
fn published(bench: &Bench, arch: &str) -> Vec<Published> {
    let containerd = bench.path("containerd");
    let programs = ["bin/containerd", "bin/containerd-shim-runc-v2", "bin/containerd-stress", "bin/ctr"];
    write(&containerd, &programs.map(|name| (name, stand_in(name))));
    let plugins = bench.path("cni-plugins");
    write(&plugins, &PLUGINS.map(|name| (name, stand_in(name))));
    let crictl = bench.path("crictl");
    write(&crictl, &[("crictl", stand_in("crictl"))]);
    let file = |component, version: &str, url: String, bytes| Published { component, version: version.into(), url, bytes };
    let github = |project: &str, file: String| format!("github.com/{project}/releases/download/{file}");
    vec![
        file("kubelet", "1.36.4", format!("dl.k8s.io/release/v1.36.4/bin/linux/{arch}/kubelet"), stand_in("kubelet")),
        file(
            "containerd",
            "2.3.4",
            github("containerd/containerd", format!("v2.3.4/containerd-2.3.4-linux-{arch}.tar.gz")),
            tar(&containerd, "bin", "gzip"),
        ),
        file("runc", "1.4.3", github("opencontainers/runc", format!("v1.4.3/runc.{arch}")), stand_in("runc")),
        file(
            "cni-plugins",
            "1.9.1",
            github("containernetworking/plugins", format!("v1.9.1/cni-plugins-linux-{arch}-v1.9.1.tgz")),
            tar(&plugins, ".", "gzip"),
        ),
        file(
            "crictl",
            "1.36.0",
            github("kubernetes-sigs/cri-tools", format!("v1.36.0/crictl-v1.36.0-linux-{arch}.tar.gz")),
            tar(&crictl, "crictl", "gzip"),
        ),
    ]
}

#[test]
fn a_worker_of_upstreams_release_has_these_files() {
    let bench = Bench::new();
    let published = published(&bench, "amd64");
    let server = hub::start(files(&published));
    bench.release("v1.36.4", &text(&published, &server, &[]));
    let out = bench.build("v1.36.4", "out");
    golden::compare(&out, "worker-v1.36.4");
    let inputs = manifest(&out).inputs;
    let artifacts: Vec<String> = inputs
        .iter()
        .filter(|input| input.kind == "artifact")
        .map(|input| format!("{} {}", input.name, input.version))
        .collect();
    assert_eq!(artifacts, ["cni-plugins 1.9.1", "containerd 2.3.4", "crictl 1.36.0", "kubelet 1.36.4", "runc 1.4.3"]);
}

/// The architecture this kiln has no `/init` for can be locked and planned; a build says so before it fetches anything.
#[test]
fn another_architecture_is_locked_and_planned_but_not_built() {
    let bench = Bench::new();
    let published = published(&bench, "arm64");
    let server = hub::start(files(&published));
    bench.release("v1.36.4", &text(&published, &server, &[]));
    let arm64 = |verb: &str| {
        let mut command = bench.kiln();
        command.args([verb, "worker", "--suite", "trixie", "--release", "v1.36.4", "--arch", "arm64"]);
        command
    };
    run(&mut arm64("lock"));
    let lock = fs::read_to_string(bench.path("profiles/worker@v1.36.4@trixie@arm64.lock")).expect("a lock");
    for part in ["linux-image-cloud-arm64", "_arm64.deb", &sha256(&published[1].bytes)] {
        assert!(lock.contains(part), "{part} is not in the lock");
    }
    let plan = stdout(&mut arm64("plan"));
    assert!(plan.contains("debian      trixie arm64, kernel linux-image-cloud-arm64\n"), "{plan}");
    assert!(plan.contains("worker@v1.36.4@trixie@arm64.lock: "), "{plan}");

    let output = arm64("build").arg("--offline").output().expect("kiln starts");
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("this kiln holds an /init for amd64, not for arm64: build kiln on such a machine"), "{said}");
    assert!(!bench.path("out").exists(), "something was written");
    assert!(server.requests().is_empty(), "something was fetched");
}
