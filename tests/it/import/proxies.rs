//! kube-proxy's configuration, for a cluster's DaemonSet or for a service of the node.

use super::imported::{RELEASE, import, import_with, run, samples};
use kiln_kubernetes::kube_proxy_config::Mode;
use kiln_profile::import::Fate;
use serde_json::{Value, json};

#[test]
fn a_daemon_set_is_kept_unless_a_service_is_requested() {
    let files = ["init-v1beta3.yaml"];
    let left = import("kubeadm", &files, RELEASE);
    assert!(left.says(Fate::Dropped, "KubeProxyConfiguration") && left.profile.kube_proxy.is_none());
    let report = left.report.to_string();
    assert!(report.contains("DaemonSet") && report.contains("--kube-proxy"), "{report}");
    let baked = import_with("kubeadm", &files, RELEASE, &["--kube-proxy"]);
    let proxy = baked.profile.kube_proxy.as_ref().expect("kube-proxy");
    assert_eq!((proxy.mode, json!(proxy.config)), (Mode::Ipvs, json!({ "mode": "ipvs" })));
    assert_eq!(baked.profile.kubelet.config, left.profile.kubelet.config);
    assert!(baked.says(Fate::Impossible, "kube-proxy of the cluster"));
    // kubeadm's name for the pods' networks.
    assert!(left.cluster.contains("- \"10.200.0.0/16\"") && baked.cluster == left.cluster, "{}", baked.cluster);
}

#[test]
fn a_config_map_alone_gives_a_service_and_no_kubelet() {
    let made = import_with("kube-proxy", &["config.conf"], RELEASE, &["--kube-proxy"]);
    let rendered: Value = serde_saphyr::from_str(&made.rendered("etc/kube-proxy/config.yaml")).expect("YAML");
    let expected = json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "bindAddress": "0.0.0.0",
        "bindAddressHardFail": false,
        "clientConnection": { "kubeconfig": "/etc/kubernetes/kube-proxy.conf", "burst": 0, "qps": 0 },
        "clusterCIDR": "10.200.0.0/16",
        "conntrack": { "tcpEstablishedTimeout": "0s" },
        "enableProfiling": false,
        "iptables": { "masqueradeAll": false },
        "ipvs": { "scheduler": "lc", "strictARP": true },
        "mode": "ipvs",
    });
    assert_eq!(rendered, expected);
    assert!(made.rendered("usr/lib/modules-load.d/kiln.conf").contains("ip_vs_lc"));
    assert!(!made.text.contains("kubelet"), "{}", made.text);
    for (fate, what) in [
        (Fate::Kept, "mode"),
        (Fate::Dropped, "winkernel"),
        (Fate::Dropped, "conntrack.tcpBeLiberal"),
        (Fate::Impossible, "clientConnection.kubeconfig=\"/var/lib/kube-proxy/kubeconfig.conf\""),
        (Fate::Translated, "clusterCIDR=10.200.0.0/16"),
    ] {
        assert!(made.says(fate, what), "{what}: {}", made.report);
    }
    assert!(made.cluster.contains("podCIDRs:\n- \"10.200.0.0/16\""), "{}", made.cluster);
}

#[test]
fn settings_that_cannot_become_a_service_are_reported() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("proxy.yaml");
    let header = "kind: KubeProxyConfiguration\napiVersion: kubeproxy.config.k8s.io/";
    let alone = samples().join("kube-proxy/config.conf");
    let kubelet = samples().join("kubespray/kubelet-config.yaml");
    let cases = [
        (&["--release", RELEASE][..], None, alone, "config.conf: is kube-proxy's configuration alone"),
        (&["--release", RELEASE, "--kube-proxy"], None, kubelet, "--kube-proxy: no file has a KubeProxyConfiguration"),
        (
            &["--release", RELEASE, "--kube-proxy"],
            Some("v1alpha1\nmode: nftables\n"),
            file.clone(),
            "proxy.yaml:3:7: mode is nftables",
        ),
        (&["--release", RELEASE, "--kube-proxy"], Some("v1alpha2\n"), file.clone(), "proxy.yaml:2:13: apiVersion is"),
        (
            &["--release", "v1.36.4", "--kube-proxy"],
            Some("v1alpha1\n"),
            file.clone(),
            "release v1.36.4 has no \"kube-proxy\"",
        ),
    ];
    for (arguments, text, given, expected) in cases {
        if let Some(text) = text {
            std::fs::write(&file, format!("{header}{text}")).expect("written");
        }
        let output = run(directory.path(), arguments, &[given]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(expected), "{expected}: {said}");
    }
}
