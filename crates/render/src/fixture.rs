//! A worker's profile and the tree it is rendered on, written out in full.

use kiln_kubernetes::Minor;
use kiln_profile::*;
use kiln_tree::{Entry, FileTree, Origin, TreePath};
use std::collections::{BTreeMap, BTreeSet};

fn set(words: &[&str]) -> BTreeSet<String> {
    words.iter().map(ToString::to_string).collect()
}

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect()
}

/// A worker of Kubernetes 1.`minor` with containerd `series`.
pub(crate) fn worker(minor: u32, series: ContainerdSeries) -> Profile {
    Profile {
        role: "worker".into(),
        path: "profiles/worker.yaml".into(),
        places: Places::default(),
        image: Image { id: "kiln-worker".into(), version: "1".into() },
        arch: Arch::Amd64,
        debian: Debian {
            suite: "trixie".into(),
            components: vec!["main".into()],
            mirrors: vec![],
            security_mirrors: vec![],
            snapshot: None,
            keyring: None,
            packages: BTreeSet::new(),
            exclude: BTreeSet::new(),
        },
        kernel: Kernel {
            package: "linux-image-cloud-amd64".into(),
            modules_keep: vec![],
            modules_load: set(&["br_netfilter", "nf_conntrack", "overlay"]),
            sysctls: map(&[
                ("fs.inotify.max_user_instances", "8192"),
                ("fs.inotify.max_user_watches", "524288"),
                ("kernel.keys.root_maxbytes", "25000000"),
                ("kernel.keys.root_maxkeys", "1000000"),
                ("kernel.panic", "10"),
                ("kernel.panic_on_oops", "1"),
                ("net.bridge.bridge-nf-call-ip6tables", "1"),
                ("net.bridge.bridge-nf-call-iptables", "1"),
                ("net.ipv4.ip_forward", "1"),
                ("net.ipv4.ip_local_reserved_ports", "30000-32767"),
                ("net.ipv6.conf.all.forwarding", "1"),
                ("vm.overcommit_memory", "1"),
                ("vm.panic_on_oom", "0"),
            ]),
            cmdline: vec!["console=ttyS0".into(), "panic=10".into()],
        },
        release: Release {
            name: "test".into(),
            kubernetes: KubernetesVersion { major: 1, minor: Minor::new(minor), patch: 2 },
            pause_image: "registry.k8s.io/pause:3.2".into(),
            components: BTreeMap::new(),
            packages: set(&["containerd", "containernetworking-plugins", "runc"]),
            containerd: series,
        },
        cluster: None,
        kubelet: Kubelet {
            config: serde_json::from_str(r#"{ "protectKernelDefaults": true }"#).expect("an object"),
            args: map(&[("v", "2")]),
            labels: map(&[("node.kubernetes.io/nodetype", "app")]),
            taints: vec![Taint { key: "dedicated".into(), value: "app".into(), effect: "NoSchedule".into() }],
        },
        kubelet_config: KubeletConfigSource::Cluster,
        kube_proxy: None,
        cri: Cri::Containerd,
        containerd: Containerd {
            snapshotter: "overlayfs".into(),
            mirrors: BTreeMap::new(),
            runtimes: BTreeMap::new(),
            metrics: None,
        },
        cni: Cni::Bridge { name: "cbr0".into(), subnet: "10.88.0.0/16".into(), assigned: true, mtu: None },
        artifacts: vec![],
        images: BTreeMap::new(),
        units: Units { default_target: "multi-user.target".into(), ..Units::default() },
        accounts: Accounts::default(),
        files: BTreeMap::new(),
        overlays: vec![],
        alternatives: BTreeMap::new(),
        diversions: vec![],
        prune: BTreeMap::new(),
        privileged: BTreeMap::new(),
        root: RootFileSystem::Ext4,
        seed: Seed::default(),
        disk: Disk { esp_size: 256 << 20, root_size: None, size: None },
        outputs: BTreeSet::from([Output::Pxe]),
    }
}

/// What Debian's packages and a kubelet bring, as far as rendering reads it.
pub(crate) fn debian_tree() -> FileTree {
    let mut tree = FileTree::new();
    let programs = ["containerd", "kubelet"].map(|name| format!("usr/bin/{name}"));
    let plugins = ["bridge", "host-local", "loopback", "portmap"].map(|name| format!("usr/lib/cni/{name}"));
    let others = ["usr/sbin/runc", "etc/containerd/config.toml", "usr/lib/systemd/system/containerd.service"];
    for path in programs.iter().chain(&plugins).map(String::as_str).chain(others) {
        let entry = Entry::file("", 0o755, Origin::Package("some=1".into()));
        tree.insert(TreePath::new(path).expect("a path"), entry).expect("inserted");
    }
    tree
}
