//! Real programs, packed and served as upstream does, on a node that is booted.

use crate::archives::{sha256, stand_in, tar, write};
use crate::bench::{Bench, debian, extract, inspect, manifest};
use crate::guest::{boot, check_node};
use crate::release::{Published, files, text};
use crate::tools::tool;
use crate::{hub, worker};
use kiln::boot::{Handout, PxeSet};
use kiln::manifest::FileRecord;
use kiln::tree::Origin;
use std::fs;
use std::path::Path;

/// What the shipped release says and the programs of Debian and Kubernetes 1.20.2 are not.
const OLD: [(&str, &str); 3] = [
    ("kubernetes: 1.36.4", "kubernetes: 1.20.2"),
    ("pause:3.10.2", "pause:3.2"),
    ("containerdSeries: \"2\"", "containerdSeries: \"1\""),
];

/// Kubernetes' own kubelet; containerd, runc and the CNI plugins as Debian built them.
fn published(bench: &Bench) -> Vec<Published> {
    let debian = debian();
    let read = |path: &Path| fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let (containerd, plugins) = (bench.path("containerd"), bench.path("cni-plugins"));
    let bin = debian.unpacked("containerd").join("usr/bin");
    let program = |name: &str| read(&bin.join(name));
    write(
        &containerd,
        &[
            ("bin/containerd", program("containerd")),
            ("bin/containerd-shim-runc-v2", program("containerd-shim-runc-v2")),
            ("bin/containerd-stress", stand_in("containerd-stress")),
            ("bin/ctr", program("ctr")),
        ],
    );
    write(&plugins, &[("LICENSE", stand_in("the licence")), ("README.md", stand_in("the introduction"))]);
    for entry in fs::read_dir(debian.unpacked("containernetworking-plugins").join("usr/lib/cni")).expect("plugins") {
        let path = entry.expect("a plugin").path();
        write(&plugins, &[(path.file_name().and_then(|name| name.to_str()).expect("a name"), read(&path))]);
    }
    let runc = read(&debian.unpacked("runc").join("usr/sbin/runc"));
    let kubelet = read(&worker::test_cache().join("kubernetes-1.20.2/amd64/kubelet"));
    let file = |component, version: String, url: &str, bytes| {
        let url = url.replace("{version}", &version);
        Published { component, version, url, bytes }
    };
    let github = "github.com/containerd/containerd/releases/download/v{version}/containerd-{version}-linux-amd64.tar.gz";
    let cni = "github.com/containernetworking/plugins/releases/download/v{version}/cni-plugins-linux-amd64-v{version}.tgz";
    vec![
        file("kubelet", "1.20.2".into(), "dl.k8s.io/release/v{version}/bin/linux/amd64/kubelet", kubelet),
        file("containerd", debian.version("containerd"), github, tar(&containerd, "bin", "gzip")),
        file(
            "runc",
            debian.version("runc"),
            "github.com/opencontainers/runc/releases/download/v{version}/runc.amd64",
            runc,
        ),
        file("cni-plugins", debian.version("containernetworking-plugins"), cni, tar(&plugins, ".", "gzip")),
    ]
}

/// Downloads that fail, are cut and redirected; files where the release says; nothing of it from Debian; and a node that runs.
#[test]
fn a_node_of_upstreams_files_is_healthy() {
    let bench = Bench::new();
    let published = published(&bench);
    let server = hub::start(files(&published));
    bench.release("upstream", &text(&published, &server, &OLD));
    let out = bench.build("upstream", "out");

    let requests = server.requests();
    for file in &published {
        // 503, half of it, and the rest: not a byte twice.
        assert_eq!(hub::offsets(&requests, &file.url), [0, 0, file.bytes.len() / 2], "{}", file.url);
    }
    let asked = requests.iter().filter(|request| !request.target.starts_with("/objects/")).count();
    assert_eq!(asked, 3 * published.len(), "every attempt begins at the URL of the release: signed ones expire");

    check_inputs(&out);
    check_files(&out, &published);
    check_unit(&out, &bench.path("root"));

    let report = boot(&PxeSet::open(&out).expect("a PXE set"), Handout::none().standalone());
    check_node(&report);
    report.check("unit kubelet", "active");
    let (containerd, healthz) = (report.number("containerd-active"), report.number("healthz"));
    println!("upstream's files: containerd active after {containerd} s, kubelet healthy after {healthz} s");
}

fn check_inputs(out: &Path) {
    let inputs = manifest(out).inputs;
    let names = |kind: &str| -> Vec<&str> {
        inputs.iter().filter(|input| input.kind == kind).map(|input| input.name.as_str()).collect()
    };
    // crictl is optional, kubeadm and kubectl are not a worker's.
    assert_eq!(names("artifact"), ["cni-plugins", "containerd", "kubelet", "runc"]);
    for package in ["containerd", "containernetworking-plugins", "runc"] {
        assert!(!names("package").contains(&package), "{package} comes from Debian");
    }
}

/// Each file is where the release says, root's, executable, and byte for byte what was packed.
fn check_files(out: &Path, published: &[Published]) {
    let records = inspect(out);
    let find = |path: &str| -> &FileRecord {
        records.iter().find(|record| record.path.as_str() == path).unwrap_or_else(|| panic!("there is no /{path}"))
    };
    let debian = debian();
    let mut expected = vec![("usr/bin/kubelet".to_owned(), "kubelet", sha256(&published[0].bytes))];
    let mut from = |package: &str, component, directory: &str, names: &[&str], to: &str| {
        for name in names {
            let bytes = fs::read(debian.unpacked(package).join(directory).join(name)).expect("a file");
            expected.push((format!("{to}/{name}"), component, sha256(&bytes)));
        }
    };
    from("containerd", "containerd", "usr/bin", &["containerd", "containerd-shim-runc-v2", "ctr"], "usr/bin");
    from("runc", "runc", "usr/sbin", &["runc"], "usr/sbin");
    let plugins = ["bandwidth", "bridge", "firewall", "host-local", "loopback", "portmap", "ptp", "tuning", "vlan"];
    from("containernetworking-plugins", "cni-plugins", "usr/lib/cni", &plugins, "opt/cni/bin");
    for (path, component, sha256) in &expected {
        let record = find(path);
        assert_eq!((record.kind.as_str(), record.mode.as_str(), record.uid, record.gid), ("file", "0755", 0, 0), "/{path}");
        assert_eq!(record.sha256.map(|digest| digest.to_string()).as_ref(), Some(sha256), "/{path}");
        let version = &published.iter().find(|file| file.component == *component).expect("published").version;
        assert_eq!(record.origin, Origin::Artifact(format!("{component}={version}").into()), "/{path}");
    }
    // The archives' directories are group-writable, the image's are not.
    for directory in ["usr/bin", "opt/cni/bin"] {
        assert_eq!((find(directory).mode.as_str(), find(directory).uid), ("0755", 0), "/{directory}");
    }
    for path in ["usr/bin/containerd-stress", "usr/lib/cni", "opt/cni/bin/README.md"] {
        assert!(records.iter().all(|record| record.path.as_str() != path), "/{path} is in the image");
    }
}

/// systemd has nothing to say about the unit that upstream's archive lacks and kiln renders.
fn check_unit(out: &Path, root: &Path) {
    // Units, what they run, and the shared libraries' links; not the kernel's modules.
    extract(out, root, ["usr/lib/systemd/*", "etc/systemd/*", "usr/bin/*", "usr/sbin/*", "bin", "sbin", "lib", "lib64"]);
    let unit = fs::read_to_string(root.join("usr/lib/systemd/system/containerd.service")).expect("a unit");
    assert!(unit.contains("\nExecStart=/usr/bin/containerd\n"), "{unit}");
    let mut analyze = tool("systemd-analyze", "systemd");
    analyze.arg("verify").arg(format!("--root={}", root.display())).args(["--man=no", "--generators=no"]);
    let output = analyze.args(["containerd.service", "kubelet.service"]).output().expect("it starts");
    let said = String::from_utf8_lossy(&output.stderr);
    // It also speaks of Debian's units, which this systemd may be too old for.
    let ours: Vec<&str> = said.lines().filter(|line| line.contains("containerd") || line.contains("kubelet")).collect();
    assert!(ours.is_empty(), "{}", ours.join("\n"));
}

/// Whatever archive the same files are in, the same node comes out; a package is laid as Debian's are.
#[test]
fn other_archives_make_the_same_node() {
    let bench = Bench::new();
    let mut published = published(&bench);
    let server = hub::start(files(&published));
    bench.release("gzip", &text(&published, &server, &OLD));
    let gzip = artifact_files(&bench.build("gzip", "gzip-out"));

    let mut repack = |component: &str, bytes: Vec<u8>, suffix: (&str, &str)| {
        let file = published.iter_mut().find(|file| file.component == component).expect("published");
        file.bytes = bytes;
        file.url = file.url.replace(suffix.0, suffix.1);
    };
    repack("containerd", tar(&bench.path("containerd"), "bin", "zstd"), (".tar.gz", ".tar.zst"));
    repack("cni-plugins", tar(&bench.path("cni-plugins"), ".", "xz"), (".tgz", ".tar.xz"));
    repack("runc", fs::read(debian().deb("runc")).expect("a package"), ("runc.amd64", "runc_amd64.deb"));
    let server = hub::start(files(&published));
    let changes = [
        ("containerd-{version}-linux-{arch}.tar.gz", "containerd-{version}-linux-{arch}.tar.zst"),
        ("-v{version}.tgz", "-v{version}.tar.xz"),
        ("runc.{arch}", "runc_{arch}.deb"),
        ("install: /usr/sbin/runc", "deb: true"),
    ];
    bench.release("others", &text(&published, &server, &[&OLD[..], &changes].concat()));
    let others = artifact_files(&bench.build("others", "others-out"));
    assert!(gzip.len() > 15, "{gzip:?}");
    assert_eq!(gzip, others);
}

/// Path, permissions and digest of what artifacts brought: the programs.
fn artifact_files(out: &Path) -> Vec<String> {
    let programs = inspect(out).into_iter().filter(|record| {
        let ours = matches!(&record.origin, Origin::Artifact(_))
            || matches!(&record.origin, Origin::Package(name) if name.starts_with("runc="));
        ours && record.kind == "file" && !record.path.as_str().starts_with("usr/share/")
    });
    programs
        .map(|record| format!("{} {} {}:{} {:?}", record.path, record.mode, record.uid, record.gid, record.sha256))
        .collect()
}

/// Other bytes than the release announces are refused before anything is made of them.
#[test]
fn wrong_bytes_are_refused() {
    let bench = Bench::new();
    let published = vec![
        Published {
            component: "runc",
            version: "1.4.3".into(),
            url: "github.com/opencontainers/runc/releases/download/v1.4.3/runc.amd64".into(),
            bytes: stand_in("runc"),
        },
    ];
    let (announced, served) = (sha256(&published[0].bytes), stand_in("something else"));
    let server = hub::start([(published[0].url.clone(), served.clone())].into());
    bench.release("bad", &text(&published, &server, &[]));
    // The rest of a node comes from Debian, and from this host.
    let text = fs::read_to_string(bench.path("profiles/releases/bad.yaml")).expect("a release")
        + "  kubelet:\n    version: 1.20.2\n    file: ~/.cache/kiln-test/kubernetes-{version}/{arch}/kubelet\n    \
           install: /usr/bin/kubelet\npackages:\n  containerd: containerd\n  cni-plugins: containernetworking-plugins\n";
    bench.release("bad", &text);
    let output = bench.try_build("bad", "out");
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let last = said.trim_end().lines().last().unwrap_or_default();
    for part in ["runc 1.4.3: ", &announced, &sha256(&served), "/runc.amd64"] {
        assert!(last.contains(part), "{part} is not in: {said}");
    }
    assert!(!bench.path("out").exists(), "something was written");
    // The next attempt does not take them for the right ones, either.
    assert!(!bench.try_build("bad", "out").status.success());
}
