//! A node as it is read: kubelet's settings, the cluster's, and those of this node alone.

use super::report::{Fate, Report};
use kiln_agent::names;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// Everything that was read, before it becomes a profile.
#[derive(Debug, Default)]
pub(super) struct Node {
    /// kubelet's configuration: fields set by files or flags; all others have kubelet's default.
    pub config: Map<String, Value>,
    /// The origin of its fields: lines of comment, by the field's name.
    pub notes: BTreeMap<String, Vec<String>>,
    /// Flags that stay flags: value and place, by name.
    pub args: BTreeMap<String, (String, String)>,
    /// Labels of the role.
    pub labels: BTreeMap<String, String>,
    /// Taints: key, value, effect.
    pub taints: Vec<(String, String, String)>,
    /// kube-proxy's configuration, if it is to be a service of the node.
    pub kube_proxy: Option<Map<String, Value>>,
    /// MTU of the pods' devices.
    pub mtu: Option<u32>,
    /// Settings that differ per node.
    pub seed: Seed,
    /// Settings of its cluster.
    pub cluster: Cluster,
    /// What became of each setting.
    pub report: Report,
}

/// Settings that differ per node, as in `kind: NodeSeed`; never a token.
#[derive(Debug, Default)]
pub(super) struct Seed {
    /// `nodeName`.
    pub node_name: Option<String>,
    /// `kubelet.nodeIP`.
    pub node_ip: Option<String>,
    /// `kubelet.providerID`.
    pub provider_id: Option<String>,
    /// `kubelet.podCIDR`.
    pub pod_cidr: Option<String>,
    /// `kubelet.labels`.
    pub labels: BTreeMap<String, String>,
    /// `discovery.caCertHashes`.
    pub ca_cert_hashes: Vec<String>,
}

/// Settings of a cluster's file.
#[derive(Debug, Default)]
pub(super) struct Cluster {
    /// Version of its API servers.
    pub kubernetes: Option<String>,
    /// URLs.
    pub api_servers: Vec<String>,
    /// Address of the first control plane, and its place; the API's address when no other is named.
    pub local_api: Option<(SocketAddr, String)>,
    /// PEM.
    pub ca_certificate: Option<String>,
    /// Networks of Services.
    pub service_cidrs: Vec<String>,
    /// Networks of pods.
    pub pod_cidrs: Vec<String>,
    /// Prefix lengths of each node's part, IPv4 and IPv6.
    pub masks: [Option<u64>; 2],
    /// Domain.
    pub dns_domain: Option<String>,
    /// DNS servers.
    pub dns_addresses: Vec<String>,
}

impl Node {
    /// Adds a line of comment beside `field`.
    pub(super) fn note(&mut self, field: &str, text: impl Into<String>) {
        self.notes.entry(field.to_owned()).or_default().push(text.into());
    }

    /// Adds a label of this machine or of the role. Labels that kubelet may not set are only
    /// reported.
    pub(super) fn label(&mut self, key: &str, value: &str, place: &str) {
        let what = format!("label {key}={value}");
        let valid = names::qualified_name(key).and_then(|()| names::label_value(value));
        if let Err(why) = valid.and_then(|()| names::self_settable(key)) {
            self.report.add(Fate::Impossible, what, place).why(why);
        } else if OF_MACHINES.contains(&key) {
            self.report.add(Fate::Translated, what, place).to("kubelet.labels of the seed").why("it differs per node");
            self.seed.labels.insert(key.to_owned(), value.to_owned());
        } else {
            self.report.add(Fate::Kept, what, place).to("kubelet.labels");
            self.labels.insert(key.to_owned(), value.to_owned());
        }
    }

    /// Replaces the taints by those of `list`, in the format of kubelet's and kubeadm's
    /// configuration.
    pub(super) fn taint(&mut self, list: &Value, place: &str) {
        self.taints.clear();
        for taint in list.as_array().into_iter().flatten() {
            let text = |name: &str| taint.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
            let (key, value, effect) = (text("key"), text("value"), text("effect"));
            let what = format!("taint {}", names::taint(&key, &value, &effect));
            let checked = names::qualified_name(&key).and_then(|()| names::label_value(&value));
            match checked.and_then(|()| names::taint_effect(&effect)) {
                Ok(()) => {
                    self.report.add(Fate::Kept, what, place).to("kubelet.taints");
                    self.taints.push((key, value, effect));
                }
                Err(why) => {
                    self.report.add(Fate::Impossible, what, place).why(why);
                }
            }
        }
    }
}

/// Labels for the location and the type of one machine.
const OF_MACHINES: [&str; 8] = [
    "kubernetes.io/hostname",
    "topology.kubernetes.io/zone",
    "topology.kubernetes.io/region",
    "failure-domain.beta.kubernetes.io/zone",
    "failure-domain.beta.kubernetes.io/region",
    "node.kubernetes.io/instance-type",
    "beta.kubernetes.io/instance-type",
    "topology.ebs.csi.aws.com/zone",
];
