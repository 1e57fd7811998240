//! `KubeProxyConfiguration`: of the cluster's DaemonSet, or of a service of the node.
//!
//! Sources: `pkg/proxy/apis/config/v1alpha1/defaults.go` of Kubernetes (values that mean "not
//! set"); `cmd/kubeadm/app/phases/addons/proxy` (the DaemonSet).

use super::ImportError;
use super::booleans;
use super::documents::Documents;
use super::node::Node;
use super::report::Fate;
use crate::{Located, authority};
use kiln_kubernetes::{Field, Minor, Step, Type, kube_proxy_config};
use serde_json::{Map, Value};

/// The kubeconfig of the service.
const KUBECONFIG: &str = "/etc/kubernetes/kube-proxy.conf";

/// Fields in which zero is a value and not kube-proxy's default: it leaves the kernel's setting.
const ZERO_SAYS: [&str; 2] = ["tcpCloseWaitTimeout", "tcpEstablishedTimeout"];

/// Fields that nothing reads on Linux.
const OF_WINDOWS: [&str; 2] = ["winkernel", "windowsRunAsService"];

/// Reads the only document, if any; with `bake` it becomes the configuration of the node, for
/// Kubernetes 1.`minor`.
///
/// # Errors
/// [`ImportError::At`]: a second document, or a value that kube-proxy would reject.
pub(super) fn read(documents: &Documents<'_>, bake: bool, minor: Minor, node: &mut Node) -> Result<(), ImportError> {
    if let Some(second) = documents.kube_proxy.get(1) {
        let what = "a second KubeProxyConfiguration: give the one that kube-proxy reads";
        return Err(ImportError::at(second.place(&[]).source, what));
    }
    let Some(document) = documents.kube_proxy.first() else { return Ok(()) };
    let mut config = document.object();
    booleans::read(&mut config, kube_proxy_config::FIELDS);
    remove_unset(kube_proxy_config::FIELDS, &mut config);
    read_pod_cidrs(&config, document, node);
    if !bake {
        let why = "the DaemonSet of kubeadm's clusters carries it to every node: it belongs to the cluster and not to the image. \
                   --kube-proxy bakes kube-proxy as a service of the node, for a cluster without that DaemonSet";
        node.report.add(Fate::Dropped, "KubeProxyConfiguration", document.file_name()).why(why);
        return Ok(());
    }
    for name in OF_WINDOWS {
        if config.remove(name).is_some() {
            node.report.add(Fate::Dropped, name, at(document, &[name])).why("it applies to Windows only");
        }
    }
    for misfit in kube_proxy_config::remove_ignored(&mut config, minor) {
        node.report.add(Fate::Dropped, misfit.to_string(), document.place(&misfit.path)).why("kube-proxy ignores it");
    }
    kube_proxy_config::check(&config, minor)
        .map_err(|misfit| ImportError::misfit(document.place(&misfit.path), authority::KUBE_PROXY, &misfit))?;
    move_elsewhere(&mut config, document, node);
    for field in config.keys() {
        node.report.add(Fate::Kept, field, at(document, &[field])).to("kubeProxy.config");
    }
    let why = "remove the DaemonSet of kube-proxy, which must not run beside it: kubectl -n kube-system delete daemonset kube-proxy";
    node.report.add(Fate::Impossible, "kube-proxy of the cluster", document.file_name()).why(why);
    node.kube_proxy = Some(config);
    Ok(())
}

fn at(document: &Located, path: &[&str]) -> String {
    document.place(&path.iter().map(|step| Step::Key((*step).to_owned())).collect::<Vec<_>>()).to_string()
}

/// Removes values that kube-proxy treats as "not set": Go writes all fields of a configuration, and
/// a ConfigMap contains them.
fn remove_unset(fields: &'static [Field], object: &mut Map<String, Value>) {
    object.retain(|name, value| {
        let of = fields.iter().find(|field| field.name == name).map(|field| &field.of);
        if let (Some(Type::Object(fields)), Value::Object(inner)) = (of, &mut *value) {
            remove_unset(fields, inner);
        }
        match (of, &*value) {
            (_, Value::String(text)) if text.is_empty() => false,
            (_, Value::Object(inner)) => !inner.is_empty(),
            // Go writes some durations that are zero as a number.
            (Some(Type::Duration(_) | Type::TimeOrDuration), value) if !ZERO_SAYS.contains(&name.as_str()) => {
                *value != 0 && *value != "0s"
            }
            _ => true,
        }
    });
}

/// Takes the pods' networks of the cluster, unless kubeadm's documents set them.
fn read_pod_cidrs(config: &Map<String, Value>, document: &Located, node: &mut Node) {
    let Some(cidrs) = config.get("clusterCIDR").and_then(Value::as_str) else { return };
    if node.cluster.pod_cidrs.is_empty() {
        let to = "podCIDRs of the cluster's file";
        node.report.add(Fate::Translated, format!("clusterCIDR={cidrs}"), at(document, &["clusterCIDR"])).to(to);
        node.cluster.pod_cidrs = cidrs.split(',').map(|part| part.trim().to_owned()).collect();
    }
}

/// Moves fields that a service of the node has elsewhere.
fn move_elsewhere(config: &mut Map<String, Value>, document: &Located, node: &mut Node) {
    for field in ["apiVersion", "kind"] {
        config.remove(field);
    }
    if let Some(name) = config.remove("hostnameOverride") {
        let why = "it differs per node: --hostname-override in KUBE_PROXY_EXTRA_ARGS of /etc/default/kube-proxy, a file of the seed";
        let what = format!("hostnameOverride={name}");
        node.report.add(Fate::Impossible, what, at(document, &["hostnameOverride"])).why(why);
    }
    let connection = config.get_mut("clientConnection").and_then(Value::as_object_mut);
    let path = connection.and_then(|connection| connection.remove("kubeconfig"));
    if config.get("clientConnection").and_then(Value::as_object).is_some_and(Map::is_empty) {
        config.remove("clientConnection");
    }
    let what = match path {
        Some(path) => format!("clientConnection.kubeconfig={path}"),
        None => "clientConnection.kubeconfig not set".to_owned(),
    };
    let why = "it needs a kubeconfig of its own, for the user system:kube-proxy or another that is bound to system:node-proxier: \
               add it to \"files\" of the seed";
    let place = at(document, &["clientConnection", "kubeconfig"]);
    node.report.add(Fate::Impossible, what, place).to(KUBECONFIG).why(why);
}
