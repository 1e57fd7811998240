//! kubelet's configuration file, `KubeletConfiguration` of `kubelet.config.k8s.io/v1beta1`.

use super::containerd::SOCKET;
use super::{RenderError, Rendered, yaml};
use crate::profile::Profile;
use serde_json::{Map, Value, json};

pub(super) fn render(profile: &Profile, rendered: &mut Rendered) -> Result<(), RenderError> {
    let mut config = defaults(profile);
    merge(&mut config, &profile.kubelet.config);
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

/// Lays `over` on `config` as RFC 7396 does: maps merge, `null` removes, everything else replaces.
fn merge(config: &mut Map<String, Value>, over: &Map<String, Value>) {
    for (key, value) in over {
        match value {
            Value::Null => {
                config.remove(key);
            }
            Value::Object(over) => {
                let slot = config.entry(key.clone()).or_insert(Value::Null);
                if !slot.is_object() {
                    *slot = Value::Object(Map::new());
                }
                if let Value::Object(map) = slot {
                    merge(map, over);
                }
            }
            _ => {
                config.insert(key.clone(), value.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_merge_null_removes_the_rest_replaces() {
        let object = |value: Value| value.as_object().cloned().expect("an object");
        let mut config = object(json!({ "a": { "b": 1, "c": 2 }, "d": [1, 2], "e": 3, "f": 4 }));
        merge(&mut config, &object(json!({ "a": { "b": 5 }, "d": [9], "e": null, "f": { "g": { "h": null } } })));
        assert_eq!(Value::Object(config), json!({ "a": { "b": 5, "c": 2 }, "d": [9], "f": { "g": {} } }));
    }
}
