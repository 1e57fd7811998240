//! The destination of each kubelet flag: a field, a flag, the seed, or none.

use super::ImportError;
use super::flags::{Given, Layer, taints};
use super::node::Node;
use super::report::Fate;
use kiln_agent::flags;
use kiln_kubernetes::kubelet_flags::{self, Flag};
use kiln_kubernetes::{Minor, NEWEST, NO_CLOUD_PROVIDERS_SINCE, runtimes};
use serde_json::Value;
use std::net::IpAddr;

/// `kubelet --help` of every release since 1.10.
const DEPRECATED: &str = "kubelet --help: \"DEPRECATED: This parameter should be set via the config file\"";

/// Flags that can be dropped, in addition to those that kiln or its agent sets, each with the
/// reason.
const OWN: [(&str, &str); 2] = [
    ("experimental-bootstrap-kubeconfig", "the agent obtains the node's credentials"),
    ("help", "it does not start kubelet"),
];

/// Flags that name a file which must exist when kubelet starts.
const FILES: [&str; 6] = [
    "azure-container-registry-config",
    "cloud-config",
    "experimental-mounter-path",
    "image-credential-provider-bin-dir",
    "image-credential-provider-config",
    "seccomp-profile-root",
];

/// Applies one flag to a node with Kubernetes 1.`minor`.
///
/// # Errors
/// [`ImportError::At`]: a flag or a value that no kubelet accepts.
pub(super) fn route(given: &Given, minor: Minor, layer: &mut Layer, node: &mut Node) -> Result<(), ImportError> {
    let Given { name, value, place } = given;
    let (name, value) = (name.as_str(), value.as_str());
    if value.contains("${") || value.starts_with('$') {
        let why = "the variable, or specifier of systemd, has a value of its own on each node: set it in the seed, or give the file that sets it";
        node.report.add(Fate::Impossible, given.written(), place).why(why);
        return Ok(());
    }
    let own = || OWN.iter().find(|(own, _)| *own == name).map(|(_, why)| *why);
    if let Some(why) = flags::managed_in_import(name).or_else(own) {
        node.report.add(Fate::Dropped, given.written(), place).why(why);
        return Ok(());
    }
    match name {
        "hostname-override" => {
            node.report
                .add(Fate::Translated, given.written(), place)
                .to("nodeName of the seed")
                .why("it differs per node");
            node.seed.node_name = Some(value.to_owned());
        }
        // An unspecified address selects the address family, which belongs to the role.
        "node-ip" if !value.parse::<IpAddr>().is_ok_and(|address| address.is_unspecified()) => {
            node.report
                .add(Fate::Translated, given.written(), place)
                .to("kubelet.nodeIP of the seed")
                .why("it differs per node");
            node.seed.node_ip = Some(value.to_owned());
        }
        "node-labels" => {
            for part in value.split(',').filter(|part| !part.is_empty()) {
                // As in ConfigurationMap.Set, a name alone is a label with an empty value.
                let (key, value) = part.split_once('=').unwrap_or((part, ""));
                node.label(key.trim(), value.trim(), place);
            }
        }
        "register-with-taints" => {
            let taints = taints(value).map_err(|why| ImportError::at(place, why))?;
            node.taint(&taints, place);
        }
        "container-runtime" | "container-runtime-endpoint" | "image-service-endpoint" => runtime(given, node),
        "pod-infra-container-image" => {
            let why = "the release names the pause image, for kubelet and containerd alike";
            let (since, _) = kubelet_flags::gone(name).unwrap_or_default();
            node.report
                .add(Fate::Translated, given.written(), place)
                .to("pauseImage of the release")
                .why(why)
                .since(since);
        }
        "network-plugin-mtu" => {
            let (since, why) = kubelet_flags::gone(name).unwrap_or_default();
            let entry = node.report.add(Fate::Translated, given.written(), place).since(since).why(why);
            match value.parse() {
                Ok(mtu @ 68..=65535) => {
                    entry.to(format!("cni.mtu: {mtu}"));
                    node.mtu = Some(mtu);
                }
                Ok(0) => entry.fate = Fate::Dropped,
                _ => return Err(ImportError::at(place, format!("{}: is not an MTU", given.written()))),
            }
        }
        "cloud-provider" if !minor.has_cloud_providers() && !matches!(value, "" | "external") => {
            let why = "kubelet no longer has cloud providers, and the cluster must run the cloud's controller manager";
            node.report
                .add(Fate::Translated, given.written(), place)
                .to("kubelet.args.cloud-provider: external")
                .why(why)
                .since(NO_CLOUD_PROVIDERS_SINCE);
            node.args.insert(name.to_owned(), ("external".to_owned(), place.clone()));
        }
        _ => known(given, minor, layer, node)?,
    }
    Ok(())
}

/// Applies a flag by the tables of `kiln_kubernetes`.
fn known(given: &Given, minor: Minor, layer: &mut Layer, node: &mut Node) -> Result<(), ImportError> {
    let Given { name, value, place } = given;
    if let Some(why) = kubelet_flags::useless(name) {
        let (since, _) = kubelet_flags::gone(name).unwrap_or_default();
        node.report.add(Fate::Dropped, given.written(), place).why(why).since(since);
        return Ok(());
    }
    match kubelet_flags::flag(name, minor) {
        Flag::Flag if !flags::is_passable(value) => {
            let why = "the flags' file takes no blanks, quotes, backslashes or dollar signs: express it in another way";
            node.report.add(Fate::Impossible, given.written(), place).why(why);
        }
        Flag::Flag => {
            if FILES.contains(&name.as_str()) {
                let why = format!("{value} must exist: add it with an overlay, or \"files\" of the seed");
                node.report.add(Fate::Impossible, given.written(), place).to(format!("kubelet.args.{name}")).why(why);
            } else {
                node.report.add(Fate::Kept, given.written(), place).to(format!("kubelet.args.{name}"));
            }
            node.args.insert(name.clone(), (value.clone(), place.clone()));
        }
        Flag::Field(path) => {
            layer.set(&mut node.config, path, given).map_err(|why| ImportError::at(place, why))?;
            let top = path.split('.').next().unwrap_or(path);
            node.note(top, format!("--{name} ({place})"));
            node.report
                .add(Fate::Translated, given.written(), place)
                .to(format!("kubelet.config.{path}"))
                .why(DEPRECATED);
        }
        Flag::Gone { since, instead } => {
            node.report.add(Fate::Dropped, given.written(), place).since(since).why(instead);
        }
        Flag::Later { .. } | Flag::Unknown => unknown(given, minor, node)?,
    }
    Ok(())
}

/// Reports a flag of a newer release, or rejects one of no release.
fn unknown(given: &Given, minor: Minor, node: &mut Node) -> Result<(), ImportError> {
    let Given { name, place, .. } = given;
    match kubelet_flags::flag(name, NEWEST) {
        Flag::Unknown => {
            let known: Vec<String> = kubelet_flags::all_names().collect();
            let near = kiln_suggest::nearest(name, known.iter().map(String::as_str));
            let hint = near.map(|near| format!(", did you mean --{near}?")).unwrap_or_default();
            Err(ImportError::at(place, format!("no kubelet has a flag --{}{hint}", kiln_agent::names::short(name))))
        }
        _ => {
            let later = kubelet_flags::came_after(name, minor);
            let since = later.map(|since| format!(" before 1.{since}")).unwrap_or_default();
            let why = format!("no kubelet{since} has this flag, and this is 1.{minor}: build with a newer --release");
            node.report.add(Fate::Impossible, given.written(), place).why(why);
            Ok(())
        }
    }
}

/// Reports a container runtime, which containerd replaces.
fn runtime(given: &Given, node: &mut Node) {
    let (since, _) = kubelet_flags::gone(&given.name).unwrap_or_default();
    let (fate, why) = served_by(&given.value);
    let entry = node.report.add(fate, given.written(), &given.place).why(why).since(since);
    if fate == Fate::Translated {
        entry.to("containerd");
    }
}

/// What becomes of another runtime, or of another socket of containerd.
pub(super) fn served_by(runtime: &str) -> (Fate, &'static str) {
    match runtimes::replacement(runtime) {
        Some(why) => (Fate::Translated, why),
        None => (Fate::Dropped, "the node's containerd is its only runtime"),
    }
}

/// Fields whose defaults differ in a kubelet without `--config` (`applyLegacyDefaults` of
/// `cmd/kubelet/app/options`).
pub(super) fn legacy_defaults() -> Value {
    serde_json::json!({
        "authentication": { "anonymous": { "enabled": true }, "webhook": { "enabled": false } },
        "authorization": { "mode": "AlwaysAllow" },
        "readOnlyPort": 10255,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_of_old_guides_do_not_stop_an_import() {
        let (mut node, mut layer) = (Node::default(), Layer::default());
        for (name, value) in [
            ("node-labels", "gpu,zone=a"),
            ("experimental-fail-swap-on", "false"),
            ("reconcile-cidr", "true"),
            ("low-diskspace-threshold-mb", "256"),
            ("azure-container-registry-config", "/etc/kubernetes/azure.json"),
        ] {
            let given = Given { name: name.to_owned(), value: value.to_owned(), place: "node:1".to_owned() };
            route(&given, NEWEST, &mut layer, &mut node).expect("a flag that was one");
        }
        assert_eq!(node.labels["gpu"], "");
        assert_eq!(node.config["failSwapOn"], false);
        assert_eq!(node.report.count(Fate::Dropped), 3, "{}", node.report);
    }
}
