//! kube-proxy as a service of the node: its unit and `KubeProxyConfiguration` (`kubeproxy.config.k8s.io/v1alpha1`).

use super::{RenderError, Rendered, program, yaml};
use crate::profile::{KubeProxy, Profile};
use crate::tree::FileTree;
use serde_json::json;

const BY: &str = "kube-proxy";
const UNIT: &str = "usr/lib/systemd/system/kube-proxy.service";
const CONFIG: &str = "etc/kube-proxy/config.yaml";
/// Its identity, `system:node-proxier`: another one than kubelet's, so a seed's `files` or an operator brings it.
const KUBECONFIG: &str = "/etc/kubernetes/kube-proxy.conf";

pub(super) fn render(profile: &Profile, tree: &FileTree, rendered: &mut Rendered) -> Result<(), RenderError> {
    let Some(KubeProxy { config, mode }) = &profile.kube_proxy else { return Ok(()) };
    for package in mode.packages() {
        // Of each package the program that kube-proxy calls.
        let name = if *package == "nftables" { "nft" } else { package };
        program(tree, "kube-proxy", name)?;
    }
    rendered.file(BY, UNIT, unit(&program(tree, "kube-proxy", "kube-proxy")?))?;
    let mut document = json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": mode,
        "clientConnection": { "kubeconfig": KUBECONFIG },
    });
    if let Some(fields) = document.as_object_mut() {
        if let Some(cluster) = &profile.cluster {
            fields.insert("clusterCIDR".into(), cluster.pod_cidrs().into());
        }
        yaml::merge(fields, config);
    }
    rendered.file(BY, CONFIG, yaml::document(&document))
}

/// There is no such unit upstream; it is made as kubelet's is.
fn unit(kube_proxy: &str) -> String {
    format!(
        "\
[Unit]
Description=kube-proxy: The Kubernetes Service Network
Documentation=https://kubernetes.io/docs/
Wants=network-online.target
After=network-online.target
ConditionPathExists={KUBECONFIG}
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
