//! kubelet's configuration file, `KubeletConfiguration` of `kubelet.config.k8s.io/v1beta1`.

use super::{RenderError, Rendered, cri, yaml};
use kiln_kubernetes::kubelet_config;
use kiln_profile::{KubeletConfigSource, Profile};
use serde_json::{Map, Value, json};

/// For the agent: the fields that it compares, and their values when they are not set.
const SHARED_FIELDS: &str = "usr/lib/kiln/kubelet-config-fields.json";

/// Fields that must be equal in a cluster (kubernetes.io: Configuring each kubelet in your cluster using kubeadm, "Propagating cluster-level
/// configuration to each kubelet"), each with what goes wrong where they are not. What that page calls the node's own (`resolvConf`,
/// `cgroupDriver`, the runtime's socket, taints), paths, and a node's size (`maxPods`, reservations, evictions) are left alone.
const SHARED: [&str; 7] = [
    // Pods ask an address that nobody answers.
    "clusterDNS",
    // Names of Services are not found, or somebody else's are.
    "clusterDomain",
    // Whoever reaches port 10250 reads logs and runs programs in pods, or the API server's probes of it are refused.
    "authentication.anonymous.enabled",
    // Service accounts, such as a metrics server's, are let in by the other nodes only.
    "authentication.webhook.enabled",
    // The cluster's RBAC rules for nodes/proxy and nodes/metrics hold on the other nodes only.
    "authorization.mode",
    // Somebody has to approve requests for serving certificates, and an API server with --kubelet-certificate-authority believes no others.
    "serverTLSBootstrap",
    // Gates of what API server and kubelet do together: a pod that one node runs as it was meant, another runs otherwise.
    "featureGates",
];

/// As JSON pointers (RFC 6901) with the defaults of the release's kubelet.
fn shared_fields(profile: &Profile) -> String {
    let minor = profile.release.kubernetes.minor;
    let fields = SHARED.iter().filter_map(|path| {
        let field = kubelet_config::field(path)?;
        Some((format!("/{}", path.replace('.', "/")), field.unset(minor)))
    });
    format!("{:#}\n", Value::Object(fields.collect()))
}

pub(super) fn render(profile: &Profile, rendered: &mut Rendered) -> Result<(), RenderError> {
    let mut config = defaults(profile);
    yaml::merge(&mut config, &profile.kubelet.config);
    rendered.file("kubelet", "var/lib/kubelet/config.yaml", yaml::document(&Value::Object(config)))?;
    match profile.kubelet_config {
        KubeletConfigSource::Baked => Ok(()),
        KubeletConfigSource::Cluster => rendered.file("kubelet", SHARED_FIELDS, shared_fields(profile)),
    }
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
    if minor.has_runtime_endpoint_field() {
        set("containerRuntimeEndpoint", json!(cri::endpoint(profile.cri)));
    }
    if minor.has_taints_field() && !profile.kubelet.taints.is_empty() {
        let taints = profile.kubelet.taints.iter();
        let taints = taints.map(|taint| json!({ "key": taint.key, "value": taint.value, "effect": taint.effect }));
        set("registerWithTaints", taints.collect());
    }
    config
}
