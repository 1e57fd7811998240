//! Kernel settings: their names, and their agreement with other parts of a profile.
//!
//! Sources: sysctl.d(5); `pkg/kubelet/cm` of Kubernetes (the sysctls of protectKernelDefaults);
//! kubeadm's preflight checks (packet forwarding).

use super::super::authority;
use super::super::key::fields;
use super::super::model::{Cni, Profile};
use super::super::place::Fault;
use super::agree::kubelet_field;
use super::names;
use serde_json::Value;

/// Checks a key. Only one spelling is valid, so that the other checks find every setting.
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
        // Both separators together are valid: they distinguish a dot in a file name under
        // /proc/sys, such as in eth0.100.
        Some(at) if text[at..].starts_with('/') && !text.contains('.') => {
            Err(format!("{:?} has slashes; write {:?}", names::short(text), names::short(&text.replace('/', "."))))
        }
        _ => Ok(()),
    }
}

/// Checks settings that other parts of the profile require.
pub(super) fn agree(profile: &Profile) -> Result<(), Fault> {
    check_kernel_defaults(profile)?;
    check_connection_table(profile)?;
    check_routing(profile)
}

/// The values that kubelet requires when `protectKernelDefaults` is set (`pkg/util/sysctl`).
const KERNEL_DEFAULTS: [(&str, &str); 6] = [
    ("kernel.keys.root_maxbytes", "25000000"),
    ("kernel.keys.root_maxkeys", "1000000"),
    ("kernel.panic", "10"),
    ("kernel.panic_on_oops", "1"),
    ("vm.overcommit_memory", "1"),
    ("vm.panic_on_oom", "0"),
];

/// With other values, kubelet exits at every boot.
fn check_kernel_defaults(profile: &Profile) -> Result<(), Fault> {
    const PROTECT: &str = "protectKernelDefaults";
    if profile.kubelet.config.get(PROTECT) != Some(&Value::Bool(true)) {
        return Ok(());
    }
    for (name, wanted) in KERNEL_DEFAULTS {
        match profile.kernel.sysctls.get(name).map(|value| value.trim()) {
            Some(value) if value == wanted => {}
            Some(found) => {
                let why = format!(
                    "{name} is {found:?}, and kubelet starts only with {wanted:?}; set that, or protectKernelDefaults: false in kubelet.config"
                );
                return Err(fault(profile, name, why).by(authority::KERNEL_DEFAULTS));
            }
            None => {
                let why = format!("{PROTECT} needs {name}: {wanted:?} in kernel.sysctls; set it, or {PROTECT}: false");
                return Err(profile.places.fault(kubelet_field(PROTECT), fields::KUBELET_CONFIG, why));
            }
        }
    }
    Ok(())
}

/// A fault of the sysctl `name`.
fn fault(profile: &Profile, name: &str, why: String) -> Fault {
    profile.places.fault(fields::KERNEL_SYSCTL.of(name), fields::KERNEL_SYSCTLS, why)
}

/// kube-proxy sets the size of the connection tracking table from the number of processors, unless
/// its configuration disables that.
fn check_connection_table(profile: &Profile) -> Result<(), Fault> {
    const TABLE: &str = "net.netfilter.nf_conntrack_max";
    let Some(proxy) = &profile.kube_proxy else { return Ok(()) };
    let left = proxy.config.get("conntrack").and_then(|conntrack| conntrack.get("maxPerCore")) == Some(&Value::from(0));
    match profile.kernel.sysctls.get(TABLE) {
        Some(size) if !left => {
            let why = format!(
                "kube-proxy would replace {TABLE}; leave it to \"conntrack: {{min: {size}}}\" in kubeProxy.config, or set its maxPerCore to 0"
            );
            Err(fault(profile, TABLE, why).by(authority::CONNTRACK))
        }
        _ => Ok(()),
    }
}

/// Settings that pods need to reach other nodes or networks, each with the effect of disabling it.
const ROUTING: [(&str, &str); 4] = [
    ("net.ipv4.ip_forward", "then the kernel routes no packet of a pod"),
    ("net.ipv4.conf.all.forwarding", "then the kernel routes no packet of a pod"),
    (
        "net.bridge.bridge-nf-call-iptables",
        "then packets between pods on the bridge bypass iptables, which implements Services",
    ),
    (
        "net.bridge.bridge-nf-call-ip6tables",
        "then packets between pods on the bridge bypass ip6tables, which implements Services",
    ),
];

/// With the baked bridge, the kernel routes packets. An add-on (`plugin: none`) may not need that.
fn check_routing(profile: &Profile) -> Result<(), Fault> {
    let Cni::Bridge { .. } = profile.cni else { return Ok(()) };
    for (key, value) in &profile.kernel.sysctls {
        let Some((name, breaks)) = ROUTING.iter().find(|(name, _)| name == key) else { continue };
        if value.trim() == "0" {
            let why = format!(
                "{name} is \"0\", {breaks}; set \"1\", or \"plugin: none\" in cni if an add-on does not need it"
            );
            return Err(fault(profile, name, why).by(authority::FORWARDING));
        }
    }
    Ok(())
}
