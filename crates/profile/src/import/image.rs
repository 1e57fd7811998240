//! Adjusts a node's configuration to an image: what must change, and what the profile must set so
//! that the rest stays the same.

use super::node::Node;
use super::report::Fate;
use crate::kubelet::{self, CGROUP_DRIVER, RESOLV_CONF, VOLUME_PLUGINS};
use kiln_agent::paths::CA_FILE;
use kiln_kubernetes::{Minor, kubelet_config};
use serde_json::{Map, Value, json};

/// Writable directories.
const WRITABLE: [&str; 4] = ["/etc/", "/run/", "/tmp/", "/var/"];

/// The fields rendered for every node that a cluster's file sets.
const CLUSTER: [&str; 2] = ["clusterDNS", "clusterDomain"];

/// Moves fields that belong elsewhere out of the configuration, and changes those that must differ
/// on an immutable node.
pub(super) fn fit(node: &mut Node, minor: Minor, cluster_file: bool) {
    move_elsewhere(node, cluster_file);
    let text = |node: &Node, field: &str| node.config.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
    if text(node, "cgroupDriver") != CGROUP_DRIVER {
        change(
            node,
            "cgroupDriver",
            json!(CGROUP_DRIVER),
            "containerd and systemd use this driver: control groups have one owner",
        );
    }
    if ["", "/etc/resolv.conf", "/run/systemd/resolve/stub-resolv.conf"].contains(&text(node, "resolvConf").as_str()) {
        let why = "/etc/resolv.conf names systemd-resolved's stub, which no pod can reach";
        change(node, "resolvConf", json!(RESOLV_CONF), why);
    }
    let plugins = text(node, "volumePluginDir");
    if !WRITABLE.iter().any(|writable| plugins.starts_with(writable)) {
        change(node, "volumePluginDir", json!(VOLUME_PLUGINS), "kubelet creates the directory, and /usr is read-only");
    }
    let authority = node.config.get("authentication").and_then(|it| it.pointer("/x509/clientCAFile"));
    if let Some(path) =
        authority.and_then(Value::as_str).map(str::to_owned).filter(|path| ![CA_FILE, ""].contains(&path.as_str()))
    {
        *kubelet::slot(&mut node.config, "authentication.x509.clientCAFile") = json!(CA_FILE);
        let why = "where the agent writes the cluster's authority";
        report_change(
            node,
            "authentication",
            &format!("authentication.x509.clientCAFile={path}"),
            &json!(CA_FILE),
            why,
        );
    }
    for field in ["tlsCertFile", "tlsPrivateKeyFile"] {
        if let Some(path) = node.config.remove(field) {
            node.report.moved(field);
            let why = "a serving certificate belongs to one node: set serverTLSBootstrap and approve its requests; until then kubelet signs its own";
            let entry = node.report.add(Fate::Impossible, format!("{field}={path}"), "");
            entry.why(why).differs(field);
        }
    }
    for field in ["containerRuntimeEndpoint", "imageServiceEndpoint"] {
        if let Some(path) = node.config.remove(field) {
            node.report.moved(field);
            let (fate, why) = super::route::served_by(path.as_str().unwrap_or_default());
            let entry = node.report.add(fate, format!("{field}={path}"), "").why(why).differs(field);
            if fate == Fate::Translated {
                entry.to("containerd");
            }
        }
    }
    // The profile must set every field that kiln renders, otherwise a node that did not set it
    // would get kiln's value.
    for path in kubelet::rendered().into_iter().filter(|path| !(cluster_file && CLUSTER.contains(path))) {
        let default = default_of(path, minor);
        let slot = kubelet::slot(&mut node.config, path);
        if slot.is_null() {
            *slot = default;
            node.note(path.split('.').next().unwrap_or(path), "not set there: kubelet's default");
        }
    }
}

/// kubelet's default of a field.
fn default_of(path: &str, minor: Minor) -> Value {
    kubelet_config::field(path).map_or(Value::Null, |field| field.unset(minor))
}

fn change(node: &mut Node, field: &str, to: Value, why: &str) {
    let old = node.config.insert(field.to_owned(), to.clone());
    if old.as_ref() != Some(&to) {
        node.report.moved(field);
        let what = old.map_or_else(|| format!("{field} not set"), |old| format!("{field}={old}"));
        report_change(node, field, &what, &to, why);
    }
}

fn report_change(node: &mut Node, field: &str, what: &str, to: &Value, why: &str) {
    node.note(field, format!("was {what}: {why}"));
    node.report.add(Fate::Translated, what, "").to(format!("kubelet.config: {to}")).why(why).differs(field);
}

/// Moves fields that do not belong to a role.
fn move_elsewhere(node: &mut Node, cluster_file: bool) {
    if let Some(taints) = node.config.remove("registerWithTaints") {
        node.report.moved("registerWithTaints");
        node.taint(&taints, "registerWithTaints");
    }
    for (field, to) in [("providerID", "kubelet.providerID"), ("podCIDR", "kubelet.podCIDR")] {
        let Some(value) = node.config.remove(field) else { continue };
        node.report.moved(field);
        let value = value.as_str().unwrap_or_default().to_owned();
        let entry = node.report.add(Fate::Translated, format!("{field}={value}"), "");
        entry.to(format!("{to} of the seed")).why("it differs per node").differs(field);
        match field {
            "providerID" => node.seed.provider_id = Some(value),
            _ => node.seed.pod_cidr = Some(value),
        }
    }
    if let Some(dns) = node.config.get("clusterDNS").and_then(Value::as_array) {
        node.cluster.dns_addresses = dns.iter().filter_map(Value::as_str).map(str::to_owned).collect();
    }
    if let Some(domain) = node.config.get("clusterDomain").and_then(Value::as_str) {
        node.cluster.dns_domain = Some(domain.to_owned());
    }
    if cluster_file {
        for field in CLUSTER {
            if let Some(value) = node.config.remove(field) {
                node.report.moved(field);
                let to = "dns in the cluster's file";
                node.report
                    .add(Fate::Translated, format!("{field}={value}"), "")
                    .to(to)
                    .why("it belongs to the cluster");
            }
        }
    }
}

/// A child that, merged over `parent`, results in `wanted`: the wanted values, and `null` for all
/// others.
///
/// Lists append, so a list that does not begin with the parent's cannot be expressed: its path is
/// returned.
pub(super) fn over(wanted: &Map<String, Value>, parent: &Map<String, Value>) -> (Map<String, Value>, Vec<String>) {
    let mut unsayable = Vec::new();
    let mut child = lay(wanted, parent, "", &mut unsayable);
    child.extend(parent.keys().filter(|key| !wanted.contains_key(*key)).map(|key| (key.clone(), Value::Null)));
    (child, unsayable)
}

fn lay(
    wanted: &Map<String, Value>,
    parent: &Map<String, Value>,
    path: &str,
    unsayable: &mut Vec<String>,
) -> Map<String, Value> {
    let mut child = Map::new();
    for (key, value) in wanted {
        let path = format!("{path}{key}");
        let said = match (value, parent.get(key)) {
            (Value::Object(wanted), Some(Value::Object(parent))) => {
                let mut inner = lay(wanted, parent, &format!("{path}."), unsayable);
                inner.extend(
                    parent.keys().filter(|key| !wanted.contains_key(*key)).map(|key| (key.clone(), Value::Null)),
                );
                inner.into()
            }
            (Value::Array(wanted), Some(Value::Array(parent))) => {
                if !wanted.starts_with(parent) {
                    unsayable.push(path);
                }
                wanted.get(parent.len()..).unwrap_or_default().to_vec().into()
            }
            _ => value.clone(),
        };
        child.insert(key.clone(), said);
    }
    child
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_sets_what_is_wanted_and_removes_the_rest() {
        let object = |value: Value| value.as_object().cloned().expect("an object");
        let wanted = object(json!({ "a": { "x": 1 }, "l": [1, 2], "m": [3], "n": 1 }));
        let parent = object(json!({ "a": { "x": 2, "y": 3 }, "l": [1], "m": [4], "gone": true }));
        let (child, unsayable) = over(&wanted, &parent);
        assert_eq!(json!(child), json!({ "a": { "x": 1, "y": null }, "l": [2], "m": [], "n": 1, "gone": null }));
        assert_eq!(unsayable, ["m"]);
    }

    #[test]
    fn rendered_fields_have_defaults() {
        for path in kubelet::rendered() {
            assert!(![20, 36].iter().any(|minor| default_of(path, Minor::new(*minor)).is_null()), "{path}");
        }
        assert_eq!(default_of("healthzPort", Minor::new(20)), json!(10248));
        assert_eq!(default_of("clusterDNS", Minor::new(20)), json!([]));
    }
}
