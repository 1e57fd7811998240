//! Samples of files that services and tools write.

use super::imported::{Imported, RELEASE, import, samples, written_by_kubeadm};
use super::judge::{configz, differing, made};
use kiln_agent::seed::Seed;
use kiln_profile::import::Fate;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

/// The authentication settings of all samples, and the agent's path of the authority.
fn check_callers(imported: &Imported) {
    let config: Value = serde_saphyr::from_str(&imported.rendered("var/lib/kubelet/config.yaml")).expect("YAML");
    let authentication = &config["authentication"];
    assert_eq!(authentication["anonymous"], json!({ "enabled": false }));
    assert_eq!(authentication["webhook"]["enabled"], json!(true));
    assert_eq!(authentication["x509"], json!({ "clientCAFile": "/etc/kubernetes/pki/ca.crt" }));
    assert_eq!(config["authorization"]["mode"], json!("Webhook"));
}

/// The labels in `--node-labels` of `flags`.
fn labels(flags: &[String]) -> BTreeSet<String> {
    let labels = flags.iter().filter_map(|flag| flag.strip_prefix("--node-labels="));
    labels.flat_map(|labels| labels.split(',')).map(str::to_owned).collect()
}

/// Imports `files` of `sample`, and compares the resulting kubelet with one started as by systemd,
/// with the arguments in `argv` and the file `config`.
fn check(sample: &str, files: &[&str], config: Option<&str>, cgroup_driver: &str) -> Imported {
    let read = |name: &str| fs::read_to_string(samples().join(sample).join(name)).expect("a sample");
    let argv: Vec<String> = read("argv").lines().map(str::to_owned).collect();
    let before = configz(&argv, config.map(read).as_deref(), cgroup_driver);
    compare(sample, import(sample, files, RELEASE), &argv, &before)
}

fn compare(sample: &str, imported: Imported, argv: &[String], before: &Value) -> Imported {
    let after = configz(&imported.flags(), Some(&imported.rendered("var/lib/kubelet/config.yaml")), "systemd");
    let mut told = imported.differing();
    told.remove("authentication");
    assert_eq!(differing(before, &after), told, "{sample}: {before}\n{after}");
    check_callers(&imported);
    // Every label is either in the image or in the seed.
    let seed = Seed::parse(imported.seed.as_bytes()).unwrap_or_else(|error| panic!("{sample}: {error}"));
    let own = seed.kubelet.labels.iter().map(|(key, value)| format!("{key}={value}"));
    let all = labels(&imported.flags()).into_iter().chain(own).collect::<BTreeSet<_>>();
    assert_eq!(all, labels(argv), "{sample}");
    imported
}

#[test]
fn forty_flags_of_a_managed_service() {
    let files = ["kubelet.service", "10-containerd.conf", "10-bootstrap.conf", "kubelet"];
    let aks = check("aks", &files, None, "cgroupfs");
    assert_eq!(aks.differing().iter().map(String::as_str).collect::<Vec<_>>(), ["authentication", "cgroupDriver"]);
    assert!(aks.count(Fate::Translated) > 25, "{}", aks.report);
    assert!(aks.says(Fate::Dropped, "--network-plugin=cni") && aks.says(Fate::Impossible, "--cloud-config="));
    assert!(aks.text.contains("    # --max-pods ("), "{}", aks.text);
}

#[test]
fn the_unit_the_drop_ins_and_the_json_of_a_cloud() {
    let files = ["kubelet.service", "10-kubelet-args.conf", "30-kubelet-extra-args.conf", "kubelet-config.json"];
    let eks = check("eks", &files, Some("kubelet-config.json"), "cgroupfs");
    assert_eq!(eks.profile.kubelet.config["serverTLSBootstrap"], json!(true));
    assert!(eks.says(Fate::Kept, "taint dedicated=batch:NoSchedule") && eks.seed.contains("nodeIP: \"192.0.2.17\""));
    assert!(eks.flags().contains(&"--register-with-taints=dedicated=batch:NoSchedule".to_owned()), "{:?}", eks.flags());
}

#[test]
fn one_variable_with_all_flags_beside_a_file() {
    let gke =
        check("gke", &["kubelet.service", "kubelet", "kubelet-config.yaml"], Some("kubelet-config.yaml"), "cgroupfs");
    assert!(gke.differing().contains("volumePluginDir") && gke.says(Fate::Dropped, "--dynamic-config-dir"));
}

#[test]
fn variables_without_the_unit_that_reads_them() {
    let spray = check("kubespray", &["kubelet.env", "kubelet-config.yaml"], Some("kubelet-config.yaml"), "systemd");
    assert_eq!(spray.differing().into_iter().collect::<Vec<_>>(), ["authentication", "volumePluginDir"]);
    assert!(spray.seed.contains("nodeName: node1"), "{}", spray.seed);
}

/// Each kubelet flag that is also a field, with a distinct value.
#[test]
fn every_flag_that_is_a_field() {
    let read = fs::read_to_string(samples().join("every-flag/argv")).expect("a sample");
    let output = Command::new(made("kubelet")).arg("--help").output().expect("kubelet starts");
    let help = String::from_utf8_lossy(&output.stdout);
    let known = help.lines().filter_map(|line| line.trim_start().split_once("--").map(|(_, rest)| rest));
    let names = known.filter_map(|rest| rest.split_whitespace().next()).collect::<BTreeSet<_>>();
    assert!(names.len() > 150, "{names:?}");
    let is_field = |name: &&str| {
        matches!(
            kiln_kubernetes::kubelet_flags::flag(name, kiln_kubernetes::Minor::new(20)),
            kiln_kubernetes::kubelet_flags::Flag::Field(_)
        )
    };
    let given: BTreeSet<String> = read
        .lines()
        .map(|word| word.trim_start_matches('-').split('=').next().unwrap_or_default().replace('_', "-"))
        .collect();
    let missing: Vec<_> = names.into_iter().filter(is_field).filter(|name| !given.contains(*name)).collect();
    // The first flag excludes the cgroups of reserved resources; and kubelet would need a serving
    // certificate, which an image does not contain.
    assert_eq!(missing, ["reserved-cpus", "tls-cert-file", "tls-private-key-file"]);
    let all = check("every-flag", &["kubelet.txt"], None, "systemd");
    assert_eq!(all.differing().into_iter().collect::<Vec<_>>(), ["podCIDR", "providerID"]);
    // Not comparable through kubelet, which is queried without authentication.
    let config: Value = serde_saphyr::from_str(&all.rendered("var/lib/kubelet/config.yaml")).expect("YAML");
    assert_eq!(config["authentication"]["webhook"]["cacheTTL"], "3m");
    assert_eq!(config["serverTLSBootstrap"], json!(true));
    assert_eq!(
        config["authorization"]["webhook"],
        json!({ "cacheAuthorizedTTL": "6m", "cacheUnauthorizedTTL": "31s" })
    );
}

/// kubeadm itself writes a node's files from the same documents.
#[test]
fn a_pair_of_kubeadms() {
    let (argv, config) = written_by_kubeadm();
    let before = configz(&argv, Some(&config), "systemd");
    let init = compare("kubeadm", import("kubeadm", &["init-v1beta2.yaml"], RELEASE), &argv, &before);
    for line in [
        "kubernetes: \"1.20.2\"",
        "- \"https://api.prod.example.org:6443\"",
        "- \"10.100.0.0/16\"",
        "- \"10.200.0.0/16\"",
        "nodeCIDRMaskSizeIPv4: 25",
        "  domain: prod.example",
        "  - \"10.100.0.10\"",
    ] {
        assert!(init.cluster.lines().any(|it| it == line), "{line}\n{}", init.cluster);
    }
    for version in ["v1beta3", "v1beta4"] {
        let other = import("kubeadm", &[&format!("init-{version}.yaml")], RELEASE);
        assert_eq!(
            other.rendered("var/lib/kubelet/config.yaml"),
            init.rendered("var/lib/kubelet/config.yaml"),
            "{version}"
        );
        assert_eq!(
            (other.flags(), &other.cluster, &other.seed),
            (init.flags(), &init.cluster, &init.seed),
            "{version}"
        );
    }
}

/// `/var/lib/kubelet/config.yaml` as written by kubeadm since 1.30: with all of Go's zero values.
#[test]
fn an_untouched_file_of_a_new_kubeadm() {
    let text = fs::read_to_string(samples().join("kubeadm/config.yaml")).expect("a sample");
    let before = configz(&[], Some(&text), "systemd");
    let old = compare("kubeadm", import("kubeadm", &["config.yaml"], RELEASE), &[], &before);
    // Each field has one fate.
    assert!(old.says(Fate::Dropped, "memorySwap was added in") && !old.says(Fate::Kept, "memorySwap"));
    let new = import("kubeadm", &["config.yaml"], "v1.36.4");
    assert_eq!(new.profile.kubelet.config["logging"]["flushFrequency"], json!(0), "{}", new.text);
}

#[test]
fn a_join_is_a_role_and_a_seed_without_its_token() {
    let joins: Vec<_> = ["v1beta2", "v1beta3", "v1beta4"]
        .iter()
        .map(|version| import("kubeadm", &[&format!("join-{version}.yaml")], RELEASE))
        .collect();
    for join in &joins {
        let seed = Seed::parse(join.seed.as_bytes()).expect("a seed");
        assert_eq!(
            (seed.node_name.as_deref(), seed.api_servers.len(), seed.discovery.ca_cert_hashes.len()),
            (Some("node-1"), 1, 1)
        );
        assert!(seed.token.is_none());
        for text in [&join.text, &join.seed, &join.cluster, &join.report.to_string()] {
            assert!(!text.contains("0123456789abcdef"), "{text}");
        }
        assert_eq!(seed.kubelet.labels["topology.kubernetes.io/zone"], "a");
        let flags = join.flags();
        assert!(flags.contains(&"--register-with-taints=dedicated=ingress:NoSchedule".to_owned()), "{flags:?}");
        assert!(flags.contains(&"--node-labels=node.kubernetes.io/nodetype=ingress".to_owned()), "{flags:?}");
        assert!(join.says(Fate::Translated, "--container-runtime-endpoint=/var/run/dockershim.sock"));
        assert_eq!(join.rendered("var/lib/kubelet/config.yaml"), joins[0].rendered("var/lib/kubelet/config.yaml"));
    }
}

/// All samples can also be imported for a release that dropped many of their settings.
#[test]
fn samples_for_the_newest_release() {
    let aks = ["kubelet.service", "10-containerd.conf", "10-bootstrap.conf", "kubelet"];
    let eks = ["kubelet.service", "10-kubelet-args.conf", "30-kubelet-extra-args.conf", "kubelet-config.json"];
    let gke = ["kubelet.service", "kubelet", "kubelet-config.yaml"];
    for (sample, files) in [
        ("aks", &aks[..]),
        ("eks", &eks[..]),
        ("gke", &gke[..]),
        ("kubespray", &["kubelet.env", "kubelet-config.yaml"]),
    ] {
        let imported = import(sample, files, "v1.36.4");
        assert!(imported.count(Fate::Translated) > 3, "{sample}: {}", imported.report);
        if sample == "aks" {
            assert!(
                imported.says(Fate::Dropped, "--cloud-config=")
                    && imported.says(Fate::Dropped, "featureGates.CSIMigration")
            );
        }
    }
}
