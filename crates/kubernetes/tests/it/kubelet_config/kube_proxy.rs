//! Compares kiln's checks of `KubeProxyConfiguration` with those of a real kube-proxy, 1.20.2.
//!
//! Without an API server, kube-proxy exits right after it has validated its configuration.

use super::MINOR;
use super::kubelet::{Verdict, made, side_by_side, unprivileged};
use super::samples::{object, sample};
use kiln_kubernetes::kube_proxy_config::{FIELDS, check};
use kiln_kubernetes::{Field, Minor, NEWEST};
use serde_json::{Map, Value, json};
use std::path::Path;

fn verdicts<'a>(configs: impl Iterator<Item = &'a Map<String, Value>> + Send) -> Vec<Verdict> {
    side_by_side(&made("kube-proxy"), configs, |program, directory, config| {
        let mut full = json!({ "apiVersion": "kubeproxy.config.k8s.io/v1alpha1", "kind": "KubeProxyConfiguration" });
        full.as_object_mut().expect("an object").extend(config.clone());
        verdict(program, directory, &full)
    })
}

fn verdict(program: &Path, directory: &Path, config: &Value) -> Verdict {
    let mut proxy = unprivileged(program, &directory.join("config.json"), &config.to_string());
    let output = proxy.output().expect("unshare starts; it is in Debian's util-linux");
    let text = String::from_utf8_lossy(&output.stderr);
    if let Some((_, unknown)) = text.split_once("found unknown field: ") {
        return Verdict::Unknown(unknown.split(',').next().unwrap_or_default().to_owned());
    }
    match text.lines().find(|line| line.starts_with('F')) {
        Some(line) if line.contains("unable to load in-cluster configuration") => Verdict::Accepted,
        line => Verdict::Rejected(line.or(text.lines().last()).unwrap_or_default().to_owned()),
    }
}

/// What kubeadm 1.20 writes to the ConfigMap: Go writes all fields, including empty ones and those
/// for Windows.
const KUBEADM: &str = r#"{
    "bindAddress": "0.0.0.0", "bindAddressHardFail": false, "clusterCIDR": "", "configSyncPeriod": "0s", "detectLocalMode": "",
    "clientConnection": { "acceptContentTypes": "", "burst": 0, "contentType": "", "kubeconfig": "", "qps": 0 },
    "conntrack": { "maxPerCore": null, "min": null, "tcpCloseWaitTimeout": null, "tcpEstablishedTimeout": null },
    "enableProfiling": false, "healthzBindAddress": "", "hostnameOverride": "",
    "iptables": { "masqueradeAll": false, "masqueradeBit": null, "minSyncPeriod": "0s", "syncPeriod": "0s" },
    "ipvs": {
        "excludeCIDRs": null, "minSyncPeriod": "0s", "scheduler": "", "strictARP": false, "syncPeriod": "0s",
        "tcpFinTimeout": "0s", "tcpTimeout": "0s", "udpTimeout": "0s"
    },
    "metricsBindAddress": "", "mode": "", "nodePortAddresses": null, "oomScoreAdj": null, "portRange": "",
    "showHiddenMetricsForVersion": "", "udpIdleTimeout": "0s",
    "winkernel": { "enableDSR": false, "networkName": "", "sourceVip": "" }
}"#;

#[test]
fn empty_values_are_accepted() {
    let both = "10.244.0.0/16,fd00:2::/48";
    let configs = [
        serde_json::from_str(KUBEADM).expect("JSON"),
        json!({ "bindAddress": "" }),
        json!({ "healthzBindAddress": "" }),
        json!({ "metricsBindAddress": "" }),
        json!({ "healthzBindAddress": "0.0.0.0" }),
        json!({ "udpIdleTimeout": "0s" }),
        json!({ "winkernel": {} }),
        json!({ "winkernel": { "enableDSR": true, "networkName": "cbr0", "sourceVip": "10.244.0.2" } }),
        // A network of each family, where dual stack is on.
        json!({ "clusterCIDR": both, "featureGates": { "IPv6DualStack": true } }),
        json!({ "clusterCIDR": "fd00:2::/48,10.244.0.0/16", "featureGates": { "AllAlpha": true } }),
        json!({ "clusterCIDR": "fd00:2::/48" }),
    ]
    .map(object);
    let verdicts = verdicts(configs.iter());
    for (config, verdict) in configs.iter().zip(verdicts) {
        assert_eq!((verdict, check(config, MINOR)), (Verdict::Accepted, Ok(())), "{config:?}");
    }
}

/// A valid value of the field that is not its default.
fn valid(field: &Field, minor: Minor) -> Value {
    match field.name {
        "mode" => json!("ipvs"),
        "detectLocalMode" => json!("NodeCIDR"),
        "clusterCIDR" => json!("10.244.0.0/16"),
        "featureGates" => json!({ "AllAlpha": false }),
        "showHiddenMetricsForVersion" => json!(format!("1.{}", minor.previous())),
        "nodePortAddresses" => json!(["192.168.0.0/16"]),
        "portRange" => json!("30000-32767"),
        "logging" => json!({ "format": "text" }),
        // A longer minimum would need a longer period.
        "iptables" | "ipvs" | "nftables" => json!({ "syncPeriod": "45s", "minSyncPeriod": "5s" }),
        "clientConnection" => json!({ "qps": 7.5, "burst": 20, "acceptContentTypes": "application/json" }),
        _ => sample(&field.of, false),
    }
}

#[test]
fn every_field_of_kube_proxy_is_accepted_and_newer_ones_are_unknown() {
    let configs: Vec<_> = FIELDS
        .iter()
        .filter(|field| !["apiVersion", "kind"].contains(&field.name))
        .map(|field| (field, object(json!({ field.name: valid(field, MINOR) }))))
        .collect();
    let verdicts = verdicts(configs.iter().map(|(_, config)| config));
    let mut wrong = Vec::new();
    for ((field, config), verdict) in configs.iter().zip(verdicts) {
        let (ours, newest) =
            (check(config, MINOR), check(&object(json!({ field.name: valid(field, NEWEST) })), NEWEST));
        let is_same = match field.is_in(MINOR) {
            true => verdict == Verdict::Accepted && ours.is_ok(),
            false => verdict == Verdict::Unknown(field.name.to_owned()) && ours.is_err(),
        };
        if !is_same || newest.is_ok() != field.is_in(NEWEST) {
            wrong.push(format!("{config:?}: kube-proxy {verdict:?}, kiln {ours:?}, {newest:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_kube_proxy_rejects_is_rejected() {
    let rejected = [
        json!({ "mode": "iptable" }),
        json!({ "mode": "nftables" }),
        json!({ "bindAddress": "node" }),
        json!({ "metricsBindAddress": "127.0.0.1:0" }),
        json!({ "healthzBindAddress": "0.0.0.0:65536" }),
        json!({ "clusterCIDR": "10.244.0.0" }),
        json!({ "clusterCIDR": "10.244.0.0/16,fd00:2::/48" }),
        json!({ "clusterCIDR": "10.244.0.0/16,fd00:2::/48", "featureGates": { "AllBeta": true } }),
        json!({ "clusterCIDR": "10.244.0.0/16,10.245.0.0/16", "featureGates": { "IPv6DualStack": true } }),
        json!({ "clusterCIDR": "10.244.0.0/16,fd00:2::/48,fd00:3::/48", "featureGates": { "IPv6DualStack": true } }),
        json!({ "clusterCIDR": "10.244.0.0/16," }),
        json!({ "nodePortAddresses": ["eth0"] }),
        json!({ "nodePortAddresses": [""] }),
        json!({ "oomScoreAdj": 1001 }),
        json!({ "portRange": "1-x" }),
        json!({ "showHiddenMetricsForVersion": "1.18" }),
        json!({ "udpIdleTimeout": "-1s" }),
        json!({ "configSyncPeriod": "-1s" }),
        json!({ "configSyncPeriod": 900 }),
        json!({ "clientConnection": { "burst": -1 } }),
        json!({ "clientConnection": { "qps": "5" } }),
        json!({ "conntrack": { "maxPerCore": -1 } }),
        json!({ "conntrack": { "min": -1 } }),
        json!({ "conntrack": { "tcpEstablishedTimeout": "-1s" } }),
        json!({ "iptables": { "masqueradeBit": 32 } }),
        json!({ "iptables": { "syncPeriod": "10s", "minSyncPeriod": "20s" } }),
        json!({ "iptables": { "minSyncPeriod": "31s" } }),
        json!({ "iptables": { "masqueradeAll": "true" } }),
        json!({ "mode": "ipvs", "ipvs": { "syncPeriod": "10s", "minSyncPeriod": "20s" } }),
        json!({ "mode": "ipvs", "ipvs": { "scheduler": "round-robin" } }),
        json!({ "mode": "ipvs", "ipvs": { "tcpTimeout": "-1s" } }),
        json!({ "mode": "ipvs", "ipvs": { "excludeCIDRs": ["10.0.0.1"] } }),
        json!({ "featureGates": { "EndpointSliceProxying": "true" } }),
    ]
    .map(object);
    // What kube-proxy accepts, but ignores or rejects only when it implements Services.
    let accepted = [
        json!({ "Mode": "ipvs" }),
        json!({ "proxyMode": "ipvs" }),
        json!({ "detectLocalMode": "BridgeInterface" }),
        json!({ "iptables": { "localhostNodePorts": false } }),
        json!({ "winkernel": { "forwardHealthCheckVip": true } }),
        json!({ "clientConnection": { "qps": -1 } }),
    ]
    .map(object);
    let configs: Vec<_> =
        rejected.iter().map(|config| (config, true)).chain(accepted.iter().map(|config| (config, false))).collect();
    let verdicts = verdicts(configs.iter().map(|(config, _)| *config));
    let mut wrong = Vec::new();
    for ((config, rejected), verdict) in configs.iter().zip(verdicts) {
        let ours = check(config, MINOR);
        if ours.is_ok() || matches!(verdict, Verdict::Rejected(_)) != *rejected {
            wrong.push(format!("{config:?}: kube-proxy {verdict:?}, kiln {ours:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
