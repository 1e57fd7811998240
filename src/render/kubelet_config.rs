//! kubelet's configuration file, `KubeletConfiguration` of `kubelet.config.k8s.io/v1beta1`.

use super::containerd::SOCKET;
use super::{RenderError, Rendered, yaml};
use crate::profile::Profile;
use serde_json::{Map, Value, json};

pub(super) fn render(profile: &Profile, rendered: &mut Rendered) -> Result<(), RenderError> {
    let mut config = defaults(profile);
    yaml::merge(&mut config, &profile.kubelet.config);
    rendered.file("kubelet", "var/lib/kubelet/config.yaml", yaml::document(&Value::Object(config)))
}

/// What kubeadm writes for a node, and what an immutable node needs.
fn defaults(profile: &Profile) -> Map<String, Value> {
    let minor = profile.release.kubernetes.minor;
    let mut config = Map::new();
    let mut set = |field: &str, value: Value| config.insert(field.to_owned(), value);
    set("apiVersion", json!("kubelet.config.k8s.io/v1beta1"));
    set("kind", json!("KubeletConfiguration"));
    set(
        "authentication",
        json!({
            "anonymous": { "enabled": false },
            "webhook": { "enabled": true },
            "x509": { "clientCAFile": "/etc/kubernetes/pki/ca.crt" },
        }),
    );
    set("authorization", json!({ "mode": "Webhook" }));
    set("cgroupDriver", json!("systemd"));
    match &profile.cluster {
        Some(cluster) => {
            set("clusterDNS", json!(cluster.dns_addresses));
            set("clusterDomain", json!(cluster.dns_domain));
        }
        // kubeadm's.
        None => {
            set("clusterDNS", json!(["10.96.0.10"]));
            set("clusterDomain", json!("cluster.local"));
        }
    }
    set("healthzBindAddress", json!("127.0.0.1"));
    set("healthzPort", json!(10248));
    // resolved's stub on 127.0.0.53 is of no use inside a pod.
    set("resolvConf", json!("/run/systemd/resolve/resolv.conf"));
    set("rotateCertificates", json!(true));
    set("staticPodPath", json!("/etc/kubernetes/manifests"));
    // kubelet makes this directory; its default is below /usr, which is read-only.
    set("volumePluginDir", json!("/var/lib/kubelet/volumeplugins"));
    if minor >= 27 {
        set("containerRuntimeEndpoint", json!(SOCKET));
    }
    if minor >= 23 && !profile.kubelet.taints.is_empty() {
        let taints = profile.kubelet.taints.iter();
        let taints = taints.map(|taint| json!({ "key": taint.key, "value": taint.value, "effect": taint.effect }));
        set("registerWithTaints", taints.collect());
    }
    config
}
