//! kube-proxy as a service of the node: its unit and its `KubeProxyConfiguration`
//! (`kubeproxy.config.k8s.io/v1alpha1`).

use super::{PROGRAMS, RenderError, Rendered, find, program, yaml};
use kiln_kubernetes::kube_proxy_config;
use kiln_profile::{Key, KubeProxy, Profile, fields};
use kiln_tree::FileTree;
use serde_json::{Map, Value, json};

const BY: &str = "kube-proxy";
const UNIT: &str = "usr/lib/systemd/system/kube-proxy.service";
const CONFIG: &str = "etc/kube-proxy/config.yaml";
/// kube-proxy's identity, `system:node-proxier`, unless the profile names another file. It differs
/// from kubelet's, so a seed's `files` or an operator brings it.
const KUBECONFIG: &str = "/etc/kubernetes/kube-proxy.conf";

/// The package has no program of this name, only alternatives for it.
const IPTABLES_LINK: &str = ", and add it to alternatives: \"/usr/sbin/iptables: /usr/sbin/iptables-nft\"";

pub(super) fn render(profile: &Profile, tree: &FileTree, rendered: &mut Rendered) -> Result<(), RenderError> {
    let Some(KubeProxy { config, mode }) = &profile.kube_proxy else { return Ok(()) };
    for package in mode.packages() {
        // The program of each package that kube-proxy runs.
        let name = if *package == "nftables" { "nft" } else { package };
        if find(tree, name).is_none() && !is_alternative(profile, tree, name) {
            let hint = if name == "iptables" { IPTABLES_LINK } else { "" };
            return Err(RenderError::NoHelper { component: "kube-proxy", name, package, hint });
        }
    }
    let kubeconfig = kubeconfig(config)?;
    rendered.file(BY, UNIT, unit(&program(tree, "kube-proxy", "kube-proxy")?, kubeconfig))?;
    let mut document = json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": mode,
    });
    if let Some(fields) = document.as_object_mut() {
        if let Some(cluster) = &profile.cluster {
            let dual_stack = kube_proxy_config::is_dual_stack(config, profile.release.kubernetes.minor);
            fields.insert("clusterCIDR".into(), cluster.cluster_cidr(dual_stack).into());
        }
        yaml::merge(fields, config);
        // The unit must wait for the file that kube-proxy reads, even if the profile has "" or null
        // here.
        yaml::merge(fields, &Map::from_iter([("clientConnection".into(), json!({ "kubeconfig": kubeconfig }))]));
    }
    rendered.file(BY, CONFIG, yaml::document(&document))
}

/// Whether one of the profile's alternatives provides the program `name`; the links are made after
/// rendering.
fn is_alternative(profile: &Profile, tree: &FileTree, name: &str) -> bool {
    profile.alternatives.iter().any(|(link, alternative)| {
        let directory = link.as_str().strip_suffix(name).and_then(|rest| rest.strip_suffix('/'));
        directory.is_some_and(|directory| PROGRAMS.contains(&directory)) && tree.resolve(&alternative.target).is_some()
    })
}

/// Returns the path of kube-proxy's identity according to `config`.
fn kubeconfig(config: &Map<String, Value>) -> Result<&str, RenderError> {
    let connection = config.get("clientConnection").and_then(|connection| connection.get("kubeconfig"));
    match connection.and_then(Value::as_str).filter(|path| !path.is_empty()) {
        None => Ok(KUBECONFIG),
        // The path is at the end of a line of the unit.
        Some(path) if path.ends_with(['\\', ' ']) || path.contains(char::is_control) => Err(RenderError::BadValue {
            key: Key::from(fields::KUBE_PROXY_CONFIG).below("clientConnection").below("kubeconfig"),
            value: path.to_owned(),
            why: "cannot be written to a unit: it has a control character, or ends with a blank or a backslash; rename the file",
        }),
        Some(path) => Ok(path),
    }
}

/// Upstream has no such unit; this one follows kubelet's.
fn unit(kube_proxy: &str, kubeconfig: &str) -> String {
    // systemd reads % as the beginning of a specifier.
    let kubeconfig = kubeconfig.replace('%', "%%");
    format!(
        "\
[Unit]
Description=kube-proxy: The Kubernetes Service Network
Documentation=https://kubernetes.io/docs/
Wants=network-online.target
After=network-online.target
ConditionPathExists={kubeconfig}
StartLimitIntervalSec=0

[Service]
# KUBE_PROXY_EXTRA_ARGS, such as --hostname-override where kubelet has it.
EnvironmentFile=-/etc/default/kube-proxy
ExecStart={kube_proxy} --config=/{CONFIG} $KUBE_PROXY_EXTRA_ARGS
Restart=always
RestartSec=10

[Install]
WantedBy=multi-user.target
"
    )
}
