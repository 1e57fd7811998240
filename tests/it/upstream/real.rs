//! Boots a node with real programs, packed and served as upstream does.

use crate::upstream::archives::{sha256, tar};
use crate::upstream::bench::{Bench, extract, inputs, inspect};
use crate::upstream::guest::{boot, check_node};
use crate::upstream::programs::Programs;
use crate::upstream::release::Published;
use crate::upstream::server::Server;
use crate::upstream::tools::tool;
use crate::upstream::{hub, worker};
use kiln::boot::{Handout, PxeSet};
use kiln_manifest::FileRecord;
use kiln_tree::Origin;
use std::fs;
use std::path::Path;

/// Replacements for values of the shipped release that do not apply to the programs of Debian 13
/// and Kubernetes 1.20.2.
const OLD: [(&str, &str); 3] = [
    ("kubernetes: 1.36.4", "kubernetes: 1.20.2"),
    ("pause:3.10.2", "pause:3.2"),
    ("containerdSeries: \"2\"", "containerdSeries: \"1\""),
];

/// The plugins that the baked network and add-ons use.
const PLUGINS: [&str; 7] = ["bandwidth", "bridge", "firewall", "host-local", "loopback", "portmap", "tuning"];

/// Downloads fail, are cut and redirected; files are at the release's paths, whatever archive they
/// came in; none of them is Debian's; and the node is healthy.
#[test]
fn a_node_of_upstreams_files_is_healthy() {
    let bench = Bench::new();
    let programs = Programs::of("trixie");
    let file = |component, package: &str, bytes| Published::new(component, &programs.version(package), "amd64", bytes);
    let kubelet = fs::read(worker::kubelet()).expect("a kubelet");
    let mut published = vec![
        Published::new("kubelet", "1.20.2", "amd64", kubelet),
        file("containerd", "containerd", tar(&programs.containerd(), "bin", "gzip")),
        file("runc", "runc", programs.runc()),
        file("cni-plugins", "containernetworking-plugins", tar(&programs.plugins(), ".", "gzip")),
    ];
    let server = bench.publish("upstream", &published, &OLD);
    let out = bench.build("upstream");

    check_requests(&server, &published);
    check_inputs(&out);
    check_files(&out, &published, &programs);
    check_unit(&out, &bench.path("root"));

    let changes = repack(&mut published, &programs);
    let _server = bench.publish("repacked", &published, &[&OLD[..], &changes].concat());
    assert_eq!(brought(&out), brought(&bench.build("repacked")));

    let report = boot(&PxeSet::open(&out).expect("a PXE set"), Handout::none().standalone());
    check_node(&report);
    report.check("unit kubelet", "active");
    let (containerd, healthz) = (report.number("containerd-active"), report.number("healthz"));
    println!("upstream's files: containerd active after {containerd} s, kubelet healthy after {healthz} s");
}

fn check_requests(server: &Server, published: &[Published]) {
    let requests = server.requests();
    for file in published {
        // Status 503, half of the file, and the rest: no byte is sent twice.
        assert_eq!(hub::offsets(&requests, &file.url), [0, 0, file.bytes.len() / 2], "{}", file.url);
    }
    let asked = requests.iter().filter(|request| !request.target.starts_with("/objects/")).count();
    assert_eq!(asked, 3 * published.len(), "every attempt begins at the URL of the release: signed ones expire");
}

fn check_inputs(out: &Path) {
    // crictl is optional; a worker does not contain kubeadm and kubectl.
    let artifacts: Vec<String> = inputs(out, "artifact").into_iter().map(|(name, _)| name).collect();
    assert_eq!(artifacts, ["cni-plugins", "containerd", "kubelet", "runc"]);
    for (package, version) in inputs(out, "package") {
        let ours = ["containerd", "containernetworking-plugins", "runc"].contains(&package.as_str());
        assert!(!ours, "{package} {version} comes from Debian");
    }
}

/// Checks that each file is at the release's path, owned by root, executable, and identical to the
/// packed one.
fn check_files(out: &Path, published: &[Published], programs: &Programs) {
    let records = inspect(out);
    let find = |path: &str| -> &FileRecord {
        records.iter().find(|record| record.path.as_str() == path).unwrap_or_else(|| panic!("there is no /{path}"))
    };
    let named = |component: &str| published.iter().find(|file| file.component == component).expect("published");
    let mut expected = vec![
        ("usr/bin/kubelet".to_owned(), "kubelet", sha256(&named("kubelet").bytes)),
        ("usr/sbin/runc".to_owned(), "runc", sha256(&named("runc").bytes)),
    ];
    let containerd = programs.containerd().into_iter().filter(|(name, _)| !name.ends_with("-stress"));
    expected.extend(containerd.map(|(name, bytes)| (format!("usr/{name}"), "containerd", sha256(&bytes))));
    let plugins = programs.plugins().into_iter().filter(|(name, _)| name.chars().all(|c| !c.is_ascii_uppercase()));
    let (kept, pruned): (Vec<_>, Vec<_>) = plugins.partition(|(name, _)| PLUGINS.contains(&name.as_str()));
    assert_eq!(kept.len(), PLUGINS.len(), "{pruned:?}");
    for (name, _) in pruned {
        let path = format!("opt/cni/bin/{name}");
        assert!(records.iter().all(|record| record.path.as_str() != path), "/{path} is in the image");
    }
    let kept = kept.into_iter().map(|(name, bytes)| (format!("opt/cni/bin/{name}"), "cni-plugins", sha256(&bytes)));
    expected.extend(kept);
    for (path, component, sha256) in &expected {
        let record = find(path);
        assert_eq!(
            (record.kind.as_str(), record.mode.as_str(), record.uid, record.gid),
            ("file", "0755", 0, 0),
            "/{path}"
        );
        assert_eq!(record.sha256.map(|digest| digest.to_string()).as_ref(), Some(sha256), "/{path}");
        let origin = format!("{component}={}", named(component).version);
        assert_eq!(record.origin, Origin::Artifact(origin.into()), "/{path}");
    }
    // Directories are group-writable in the archives, but not in the image.
    for directory in ["usr/bin", "opt/cni/bin"] {
        assert_eq!((find(directory).mode.as_str(), find(directory).uid), ("0755", 0), "/{directory}");
    }
    for path in ["usr/bin/containerd-stress", "usr/lib/cni", "opt/cni/bin/README.md"] {
        assert!(records.iter().all(|record| record.path.as_str() != path), "/{path} is in the image");
    }
}

/// Checks with systemd-analyze the unit that upstream's archive lacks and kiln renders.
fn check_unit(out: &Path, root: &Path) {
    // Units, their programs, and the links of shared libraries; not the kernel's modules.
    extract(
        out,
        root,
        ["usr/lib/systemd/*", "etc/systemd/*", "usr/bin/*", "usr/sbin/*", "bin", "sbin", "lib", "lib64"],
    );
    let unit = fs::read_to_string(root.join("usr/lib/systemd/system/containerd.service")).expect("a unit");
    assert!(unit.contains("\nExecStart=/usr/bin/containerd\n"), "{unit}");
    let mut analyze = tool("systemd-analyze", "systemd");
    analyze.arg("verify").arg(format!("--root={}", root.display())).args(["--man=no", "--generators=no"]);
    let output = analyze.args(["containerd.service", "kubelet.service"]).output().expect("it starts");
    let said = String::from_utf8_lossy(&output.stderr);
    // It also reports Debian's units, for which this systemd may be too old.
    let ours: Vec<&str> = said.lines().filter(|line| line.contains("containerd") || line.contains("kubelet")).collect();
    assert!(ours.is_empty(), "{}", ours.join("\n"));
}

/// Packs the same files into other kinds of archives, and runc into Debian's package of it; returns
/// the changes to the release.
fn repack(published: &mut [Published], programs: &Programs) -> [(&'static str, &'static str); 4] {
    let mut repack = |component: &str, bytes: Vec<u8>, suffix: (&str, &str)| {
        let file = published.iter_mut().find(|file| file.component == component).expect("published");
        file.bytes = bytes;
        file.url = file.url.replace(suffix.0, suffix.1);
    };
    repack("containerd", tar(&programs.containerd(), "bin", "zstd"), (".tar.gz", ".tar.zst"));
    repack("cni-plugins", tar(&programs.plugins(), ".", "xz"), (".tgz", ".tar.xz"));
    repack("runc", fs::read(programs.deb("runc")).expect("a package"), ("runc.amd64", "runc_amd64.deb"));
    [
        ("containerd-{version}-linux-{arch}.tar.gz", "containerd-{version}-linux-{arch}.tar.zst"),
        ("-v{version}.tgz", "-v{version}.tar.xz"),
        ("runc.{arch}", "runc_{arch}.deb"),
        ("install: /usr/sbin/runc", "deb: true"),
    ]
}

/// Path, permissions and digest of the programs from artifacts.
fn brought(out: &Path) -> Vec<String> {
    let programs = inspect(out).into_iter().filter(|record| {
        let ours = match &record.origin {
            Origin::Artifact(_) => true,
            Origin::Package(name) => name.starts_with("runc="),
            _ => false,
        };
        ours && record.kind == "file" && !record.path.as_str().starts_with("usr/share/")
    });
    programs
        .map(|record| format!("{} {} {}:{} {:?}", record.path, record.mode, record.uid, record.gid, record.sha256))
        .collect()
}
