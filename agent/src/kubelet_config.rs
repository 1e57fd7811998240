//! Compares the image's `KubeletConfiguration` with the cluster's, which `kubeadm init phase
//! upload-config kubelet` has made.
//!
//! The result is for people. It changes nothing on the node, and nothing waits for it.

use crate::api::{Api, ApiError, printable};
use crate::install::{self, Node};
use crate::net::{Network, Proxy, Resolver, Verify};
use crate::paths::{KUBELET_CONFIG, SHARED_FIELDS};
use crate::root::RootDir;
use crate::yaml;
use serde_json::Value;

/// A limit above the size of any ConfigMap, in bytes.
const MAX_CONFIG: usize = 1 << 20;
const WHAT: &str = "reading the cluster's kubelet configuration";

/// The differences, one line each; none if the profile does not ask for it, and none for a node
/// that another tool manages.
pub fn compare(root: &RootDir) -> Vec<String> {
    let read = |path: &str| root.read(path).ok().flatten().unwrap_or_default();
    let fields: Value = serde_json::from_str(&read(SHARED_FIELDS)).unwrap_or_default();
    let (Some(fields), Ok(Some(node))) = (fields.as_object(), Node::load(root)) else { return Vec::new() };
    let (name, theirs) = match of_cluster(root, &node) {
        Ok(found) => found,
        Err(why) => return vec![format!("the cluster's kubelet configuration is not known: {why}")],
    };
    let own = yaml::parse(&read(KUBELET_CONFIG), MAX_CONFIG).unwrap_or_default();
    let mut lines: Vec<String> = Vec::new();
    for (path, default) in fields {
        let (own, theirs) = (value(&own, path, default), value(&theirs, path, default));
        if own != theirs {
            let field = path.trim_start_matches('/').replace('/', ".");
            lines.push(printable(&format!("kubelet's {field} is {own} here, and {theirs} in the cluster ({name})")));
        }
    }
    if lines.is_empty() {
        lines.push(format!("kubelet's configuration agrees with the cluster's ({name})"));
    }
    lines
}

/// The value of a field; what Go treats as "not set" is the default.
fn value<'a>(config: &'a Value, path: &str, default: &'a Value) -> &'a Value {
    let is_set = |value: &&Value| !matches!(value.to_string().as_str(), "null" | "\"\"" | "[]" | "{}");
    config.pointer(path).filter(is_set).unwrap_or(default)
}

/// The ConfigMap's name and contents. Before Kubernetes 1.24, its name contained the version.
fn of_cluster(root: &RootDir, node: &Node) -> Result<(String, Value), String> {
    let network = Network { resolver: Resolver::read(root.directory()), proxy: Proxy::new(&node.seed.proxy) };
    let identity = install::identity(root, &node.trusted.authorities).map_err(|error| error.to_string())?;
    let mut api = Api::new(&network, &node.trusted.servers, Verify::Mutual(identity), None);
    let said = |error: ApiError| error.to_string();
    let mut name = "kubelet-config".to_owned();
    let mut found = get(&mut api, &name);
    // Roles name the ConfigMap, so for one that does not exist, the API answers that the node may
    // not read it.
    if found.as_ref().is_err_and(|error| matches!(error.status(), Some(403 | 404))) {
        let version = api.get(WHAT, "/version").map_err(said)?;
        let minor = version["minor"].as_str().unwrap_or_default().trim_end_matches('+').to_owned();
        name = format!("kubelet-config-1.{}", minor.parse::<u16>().unwrap_or_default());
        found = get(&mut api, &name);
    }
    let map = found.map_err(said)?;
    let text = map["data"]["kubelet"].as_str().unwrap_or_default();
    let config = yaml::parse(text, MAX_CONFIG).map_err(|error| format!("{name}: {error}"))?;
    Ok((name, config))
}

fn get(api: &mut Api<'_>, name: &str) -> Result<Value, ApiError> {
    api.get(WHAT, &format!("/api/v1/namespaces/kube-system/configmaps/{name}"))
}
