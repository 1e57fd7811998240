//! kubelet's unit, kubeadm's drop-in for it, and the flags that have no field in its configuration.

use super::{RenderError, Rendered, cri, program};
use kiln_agent::paths::{BAKED_FLAGS, BOOTSTRAP_CONF, FLAGS, FLAGS_VARIABLE, KUBELET_CONF, KUBELET_CONFIG, in_tree};
use kiln_agent::{flags, names};
use kiln_kubernetes::Minor;
use kiln_profile::kubelet::{DROP_INS, ENVIRONMENT_FILES, EXTRA_ARGS};
use kiln_profile::{Profile, Taint, fields};
use kiln_tree::FileTree;
use std::collections::BTreeMap;

const BY: &str = "kubelet";
const UNIT: &str = "usr/lib/systemd/system/kubelet.service";
const DROP_IN: &str = "usr/lib/systemd/system/kubelet.service.d/10-kubeadm.conf";

/// Upstream's unit, except that kubelet waits for what it needs: the runtime and credentials.
///
/// Without any of the three files the unit is skipped, not failed. Whoever brings one of them later
/// must start it: kubeadm does so, and the agent is ordered before it. `/etc/kubernetes/standalone`
/// means that there is no cluster.
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

/// kubeadm's own drop-in: the same variables and files in the same order. kubeadm's deb and rpm
/// packages name different environment files; the later one wins.
fn drop_in(kubelet: &str, minor: Minor) -> String {
    let [deb, rpm] = ENVIRONMENT_FILES;
    let drop_ins = if minor.has_config_drop_ins() { format!(" --config-dir=/{DROP_INS}") } else { String::new() };
    format!(
        "\
[Service]
Environment=\"KUBELET_KUBECONFIG_ARGS=--bootstrap-kubeconfig={BOOTSTRAP_CONF} --kubeconfig={KUBELET_CONF}\"
Environment=\"KUBELET_CONFIG_ARGS=--config={KUBELET_CONFIG}{drop_ins}\"
# Flags without a field in config.yaml: baked, and written anew by kubeadm init and join.
EnvironmentFile=-{FLAGS}
# {EXTRA_ARGS}, an operator's last resort, and the last word: where kubeadm's deb has it, and where its rpm does.
EnvironmentFile=-/{deb}
EnvironmentFile=-/{rpm}
ExecStart=
ExecStart={kubelet} $KUBELET_KUBECONFIG_ARGS $KUBELET_CONFIG_ARGS ${FLAGS_VARIABLE} ${EXTRA_ARGS}
"
    )
}

pub(super) fn render(profile: &Profile, tree: &FileTree, rendered: &mut Rendered) -> Result<(), RenderError> {
    let kubelet = program(tree, "kubelet", "kubelet")?;
    let minor = profile.release.kubernetes.minor;
    rendered.file(BY, UNIT, unit(&kubelet, cri::unit(profile.cri)))?;
    rendered.file(BY, DROP_IN, drop_in(&kubelet, minor))?;
    let words = flags(profile)?.into_iter().map(|(name, value)| format!("--{name}={value}"));
    let flags = format!("{FLAGS_VARIABLE}=\"{}\"\n", words.collect::<Vec<_>>().join(" "));
    rendered.file(BY, in_tree(BAKED_FLAGS), flags.as_str())?;
    rendered.file(BY, in_tree(FLAGS), flags)
}

/// Returns flags by name: those that the release requires, and those that the profile adds.
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
        flag("register-with-taints", taints(&profile.kubelet.taints));
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

fn taints(taints: &[Taint]) -> String {
    let taints = taints.iter().map(|Taint { key, value, effect }| names::taint(key, value, effect));
    taints.collect::<Vec<_>>().join(",")
}

fn check(name: &str, value: &str) -> Result<(), RenderError> {
    let key = match name {
        "node-labels" => fields::KUBELET_LABELS.into(),
        "register-with-taints" => fields::KUBELET_TAINTS.into(),
        "pod-infra-container-image" => fields::RELEASE_PAUSE_IMAGE.into(),
        _ => fields::KUBELET_ARG.of(name),
    };
    let bad = |why| RenderError::BadValue { key: key.clone(), value: value.into(), why };
    if !flags::is_name(name) {
        return Err(bad("is not a flag name: use lower-case letters, digits and dashes, without the leading --"));
    }
    if !flags::is_passable(value) {
        return Err(bad(flags::NOT_PASSABLE));
    }
    Ok(())
}
