//! kubelet's configuration file, `KubeletConfiguration` of `kubelet.config.k8s.io/v1beta1`.

use super::{RenderError, Rendered, cri, yaml};
use kiln_agent::paths::{KUBELET_CONFIG, SHARED_FIELDS, in_tree};
use kiln_kubernetes::kubelet_config;
use kiln_profile::{KubeletConfigSource, Profile, kubelet};
use serde_json::{Map, Value, json};

/// Fields that must be equal in a cluster, each with what goes wrong otherwise (kubernetes.io:
/// Configuring each kubelet in your cluster using kubeadm, "Propagating cluster-level configuration
/// to each kubelet"). Not included are the fields that this page assigns to the node (`resolvConf`,
/// `cgroupDriver`, the runtime's socket, taints), paths, and the size of a node (`maxPods`,
/// reservations, evictions).
const SHARED: [&str; 7] = [
    // Pods query an address at which no server answers.
    "clusterDNS",
    // Names of Services are not found, or resolve to something else.
    "clusterDomain",
    // Anyone who reaches port 10250 can read logs and run programs in pods, or the API server's
    // probes of it are rejected.
    "authentication.anonymous.enabled",
    // Only the other nodes admit service accounts, such as a metrics server's.
    "authentication.webhook.enabled",
    // Only the other nodes apply the cluster's RBAC rules for nodes/proxy and nodes/metrics.
    "authorization.mode",
    // Requests for serving certificates must be approved, and an API server with
    // --kubelet-certificate-authority trusts no other certificates.
    "serverTLSBootstrap",
    // Gates of features that API server and kubelet implement together: nodes would run the same
    // pod in different ways.
    "featureGates",
];

/// Formats the fields as JSON pointers (RFC 6901) with the defaults of the release's kubelet.
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

/// The configuration that every node of this profile has unless the profile says otherwise.
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
