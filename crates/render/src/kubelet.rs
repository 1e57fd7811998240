//! kubelet's unit, kubeadm's drop-in for it, and the flags that have no field in its configuration.

use super::{RenderError, Rendered, cri, program};
use kiln_kubernetes::Minor;
use kiln_profile::{Profile, Taint};
use kiln_tree::FileTree;
use std::collections::BTreeMap;

const BY: &str = "kubelet";
const UNIT: &str = "usr/lib/systemd/system/kubelet.service";
const DROP_IN: &str = "usr/lib/systemd/system/kubelet.service.d/10-kubeadm.conf";
const FLAGS: &str = "var/lib/kubelet/kubeadm-flags.env";
/// The same once more, for the agent to add the node's own: it also has to find them when an updated image meets an old `/var`.
const BAKED_FLAGS: &str = "usr/lib/kiln/kubeadm-flags.env";

/// Where kubelet looks for drop-ins of its configuration, files whose names end in `.conf`: the example of Kubernetes' documentation.
pub(super) const DROP_INS: &str = "etc/kubernetes/kubelet.conf.d";

/// Upstream's unit, except that kubelet waits for what it cannot do without: the runtime, and credentials.
///
/// Without any of the three files the unit is skipped, not failed; starting it again is up to whoever brings one:
/// kubeadm does so, and the agent is ordered before it. `/etc/kubernetes/standalone` says that there is no cluster.
fn unit(kubelet: &str, runtime: &str) -> String {
    format!(
        "\
[Unit]
Description=kubelet: The Kubernetes Node Agent
Documentation=https://kubernetes.io/docs/
Wants=network-online.target {runtime} kiln-agent.service
After=network-online.target {runtime} kiln-agent.service
ConditionPathExists=|/etc/kubernetes/kubelet.conf
ConditionPathExists=|/etc/kubernetes/bootstrap-kubelet.conf
ConditionPathExists=|/etc/kubernetes/standalone

[Service]
ExecStart={kubelet}
Restart=always
StartLimitInterval=0
RestartSec=10

[Install]
WantedBy=multi-user.target
"
    )
}

/// kubeadm's own drop-in: the same variables and files, in the same order; of its two packages' files the later wins.
fn drop_in(kubelet: &str, minor: Minor) -> String {
    let drop_ins = if minor.has_config_drop_ins() { format!(" --config-dir=/{DROP_INS}") } else { String::new() };
    format!(
        "\
[Service]
Environment=\"KUBELET_KUBECONFIG_ARGS=--bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf \
         --kubeconfig=/etc/kubernetes/kubelet.conf\"
Environment=\"KUBELET_CONFIG_ARGS=--config=/var/lib/kubelet/config.yaml{drop_ins}\"
# Flags without a field in config.yaml: baked, and written anew by kubeadm init and join.
EnvironmentFile=-/{FLAGS}
# KUBELET_EXTRA_ARGS, an operator's last resort, and the last word: where kubeadm's deb has it, and where its rpm does.
EnvironmentFile=-/etc/default/kubelet
EnvironmentFile=-/etc/sysconfig/kubelet
ExecStart=
ExecStart={kubelet} $KUBELET_KUBECONFIG_ARGS $KUBELET_CONFIG_ARGS $KUBELET_KUBEADM_ARGS $KUBELET_EXTRA_ARGS
"
    )
}

pub(super) fn render(profile: &Profile, tree: &FileTree, rendered: &mut Rendered) -> Result<(), RenderError> {
    let kubelet = program(tree, "kubelet", "kubelet")?;
    let minor = profile.release.kubernetes.minor;
    rendered.file(BY, UNIT, unit(&kubelet, cri::unit(profile.cri)))?;
    rendered.file(BY, DROP_IN, drop_in(&kubelet, minor))?;
    let words = flags(profile)?.into_iter().map(|(name, value)| format!("--{name}={value}"));
    let flags = format!("KUBELET_KUBEADM_ARGS=\"{}\"\n", words.collect::<Vec<_>>().join(" "));
    rendered.file(BY, BAKED_FLAGS, flags.as_str())?;
    rendered.file(BY, FLAGS, flags)
}

/// Flags by name: what the release wants as flags, and what the profile adds.
fn flags(profile: &Profile) -> Result<BTreeMap<String, String>, RenderError> {
    let minor = profile.release.kubernetes.minor;
    let mut flags = BTreeMap::new();
    let mut flag = |name: &str, value: String| flags.insert(name.to_owned(), value);
    if minor.needs_container_runtime_flag() {
        flag("container-runtime", "remote".into());
    }
    if !minor.has_runtime_endpoint_field() {
        flag("container-runtime-endpoint", cri::endpoint(profile.cri).into());
    }
    if minor.needs_pause_image_flag() {
        flag("pod-infra-container-image", profile.release.pause_image.clone());
    }
    if !minor.has_taints_field() && !profile.kubelet.taints.is_empty() {
        flag("register-with-taints", profile.kubelet.taints.iter().map(taint).collect::<Vec<_>>().join(","));
    }
    if !profile.kubelet.labels.is_empty() {
        let labels = profile.kubelet.labels.iter().map(|(key, value)| format!("{key}={value}"));
        flag("node-labels", labels.collect::<Vec<_>>().join(","));
    }
    flags.extend(profile.kubelet.args.clone());
    for (name, value) in &flags {
        check(name, value)?;
    }
    Ok(flags)
}

fn taint(taint: &Taint) -> String {
    format!("{}={}:{}", taint.key, taint.value, taint.effect)
}

/// The flags pass through an environment file's quotes and systemd's splitting into words.
fn check(name: &str, value: &str) -> Result<(), RenderError> {
    let bad = |why| RenderError::BadValue { field: format!("kubelet flag --{name}"), value: value.into(), why };
    if name.is_empty() || name.contains(|c: char| !(c.is_ascii_alphanumeric() || c == '-')) || name.starts_with('-') {
        return Err(bad("belongs to no flag: a flag's name is letters, digits and dashes, without the leading --"));
    }
    if value.contains(|c: char| c.is_whitespace() || c.is_control() || "\"'\\$`".contains(c)) {
        return Err(bad("cannot be passed in kubeadm-flags.env: no blanks, quotes, backslashes or dollars"));
    }
    Ok(())
}
