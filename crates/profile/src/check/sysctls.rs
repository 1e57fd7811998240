//! Kernel settings: their names, and what must agree with other parts of a profile.
//!
//! Sources: sysctl.d(5); `pkg/kubelet/cm` of Kubernetes (the sysctls of protectKernelDefaults); kubeadm's preflight checks (the
//! forwarding of packets).

use super::super::model::{Cni, Profile};
use super::super::place::Fault;
use super::agree::Places;
use super::names;
use serde_json::Value;

/// A key, spelt in one way only: by another spelling it would be set behind the back of what is checked here.
pub(super) fn name(text: &str) -> Result<(), String> {
    if let Some(key) = text.strip_prefix('-') {
        return Err(format!(
            "{:?} begins with \"-\", which hides at boot that a setting failed; write {:?}",
            names::short(text),
            names::short(key)
        ));
    }
    names::sysctl(text)?;
    match text.find(['.', '/']) {
        // What is a dot in a file's name under /proc/sys, such as that of eth0.100, is told from the others by either spelling.
        Some(at) if text[at..].starts_with('/') && !text.contains('.') => {
            Err(format!("{:?} has slashes; write {:?}", names::short(text), names::short(&text.replace('/', "."))))
        }
        _ => Ok(()),
    }
}

/// Checks what other parts of the profile rest on.
pub(super) fn agree(profile: &Profile, places: &Places<'_>) -> Result<(), Fault> {
    kernel_defaults(profile, places)?;
    connection_table(profile, places)?;
    routing(profile, places)
}

/// What kubelet compares with when `protectKernelDefaults` is set (`pkg/util/sysctl`).
const KERNEL_DEFAULTS: [(&str, &str); 6] = [
    ("kernel.keys.root_maxbytes", "25000000"),
    ("kernel.keys.root_maxkeys", "1000000"),
    ("kernel.panic", "10"),
    ("kernel.panic_on_oops", "1"),
    ("vm.overcommit_memory", "1"),
    ("vm.panic_on_oom", "0"),
];

/// Otherwise kubelet would stop at every boot.
fn kernel_defaults(profile: &Profile, places: &Places<'_>) -> Result<(), Fault> {
    let Some(protect) = places.field("protectKernelDefaults").filter(|item| item.value.value() == Value::Bool(true))
    else {
        return Ok(());
    };
    for (name, wanted) in KERNEL_DEFAULTS {
        match profile.kernel.sysctls.get(name).map(|value| value.trim()) {
            Some(value) if value == wanted => {}
            Some(found) => {
                let key = places.kernel.sysctls.iter().find(|(key, _)| key.value == name);
                let pos = key.map_or(protect.pos, |(_, value)| value.pos);
                return Err(pos.fault(format!(
                    "kernel.sysctls: {name} is {found:?}, and kubelet starts with {wanted:?} only; set that, or protectKernelDefaults: false in kubelet.config"
                )));
            }
            None => {
                return Err(protect.fault(format!(
                    "kubelet.config: protectKernelDefaults needs {name}: {wanted:?} in kernel.sysctls; set it, or protectKernelDefaults: false"
                )));
            }
        }
    }
    Ok(())
}

/// kube-proxy sets the size of the connection table by the number of processors, unless it is told to leave it.
fn connection_table(profile: &Profile, places: &Places<'_>) -> Result<(), Fault> {
    const TABLE: &str = "net.netfilter.nf_conntrack_max";
    let Some(proxy) = &profile.kube_proxy else { return Ok(()) };
    let key = places.kernel.sysctls.iter().find(|(key, _)| key.value == TABLE);
    let left = proxy.config.get("conntrack").and_then(|conntrack| conntrack.get("maxPerCore")) == Some(&Value::from(0));
    match key {
        Some((_, size)) if !left => Err(size.fault(format!(
            "kernel.sysctls: kube-proxy would replace {TABLE}; leave it to \"conntrack: {{min: {}}}\" in kubeProxy.config, or set its maxPerCore to 0",
            size.value
        ))),
        _ => Ok(()),
    }
}

/// Settings without which no pod reaches anything beyond its own node or its own network, each with what breaks.
const ROUTING: [(&str, &str); 4] = [
    ("net.ipv4.ip_forward", "then the kernel routes no packet of a pod"),
    ("net.ipv4.conf.all.forwarding", "then the kernel routes no packet of a pod"),
    (
        "net.bridge.bridge-nf-call-iptables",
        "then packets between pods on the bridge pass iptables by, where Services are",
    ),
    (
        "net.bridge.bridge-nf-call-ip6tables",
        "then packets between pods on the bridge pass ip6tables by, where Services are",
    ),
];

/// The baked bridge leaves it to the kernel to route. An add-on (`plugin: none`) may do it otherwise.
fn routing(profile: &Profile, places: &Places<'_>) -> Result<(), Fault> {
    let Cni::Bridge { .. } = profile.cni else { return Ok(()) };
    for (key, value) in &places.kernel.sysctls {
        let Some((name, breaks)) = ROUTING.iter().find(|(name, _)| *name == key.value) else { continue };
        if value.value.trim() == "0" {
            return Err(value.fault(format!(
                "kernel.sysctls: {name} is \"0\", {breaks}; set \"1\", or \"plugin: none\" in cni where an add-on does without"
            )));
        }
    }
    Ok(())
}
