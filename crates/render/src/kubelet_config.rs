//! kubelet's configuration file, `KubeletConfiguration` of `kubelet.config.k8s.io/v1beta1`.

use super::{RenderError, Rendered, cri, yaml};
use kiln_agent::paths::{KUBELET_CONFIG, SHARED_FIELDS, in_tree};
use kiln_kubernetes::kubelet_config;
use kiln_profile::{KubeletConfigSource, Profile, kubelet};
use serde_json::{Map, Value, json};

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
    rendered.file("kubelet", in_tree(KUBELET_CONFIG), yaml::document(&Value::Object(config)))?;
    match profile.kubelet_config {
        KubeletConfigSource::Baked => Ok(()),
        KubeletConfigSource::Cluster => rendered.file("kubelet", in_tree(SHARED_FIELDS), shared_fields(profile)),
    }
}

/// What every node of this profile has unless the profile says otherwise.
fn defaults(profile: &Profile) -> Map<String, Value> {
    let minor = profile.release.kubernetes.minor;
    let (dns, domain) = match &profile.cluster {
        Some(cluster) => (json!(cluster.dns_addresses), cluster.dns_domain.as_str()),
        None => (json!([kubelet::KUBEADM_DNS]), kubelet::KUBEADM_DOMAIN),
    };
    let mut config = kubelet::defaults(dns, domain);
    let mut set = |field: &str, value: Value| config.insert(field.to_owned(), value);
    set("apiVersion", json!(kubelet_config::API_VERSION));
    set("kind", json!(kubelet_config::KIND));
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
