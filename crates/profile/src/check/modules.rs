//! Kernel modules: their names, and names that Linux has replaced.

use super::super::key::{Field, fields};
use super::super::model::Kernel;
use super::super::place::{At, Fault};
use super::super::raw::RawModules;
use super::{distinct, glob, names, text};
use std::collections::BTreeSet;

/// Modules that no suite's kernel has, each with its replacement and the reason.
const GONE: [(&str, &str, &str); 9] = [
    ("aufs", "overlay", "Debian's kernels have had no aufs since Linux 4.18"),
    ("bridge_netfilter", "br_netfilter", "that is its name"),
    ("ip_conntrack", "nf_conntrack", "that is its name since Linux 2.6.20"),
    ("nf_conntrack_ipv4", "nf_conntrack", "it tracks both families since Linux 4.19"),
    ("nf_conntrack_ipv6", "nf_conntrack", "it tracks both families since Linux 4.19"),
    ("nf_nat_ipv4", "nf_nat", "it translates both families since Linux 5.1"),
    ("nf_nat_ipv6", "nf_nat", "it translates both families since Linux 5.1"),
    ("overlay2", "overlay", "that is the module behind Docker's storage driver"),
    ("overlayfs", "overlay", "that is its name since Linux 3.18"),
];

/// Sets the modules of `kernel`.
pub(super) fn modules(raw: &RawModules, kernel: &mut Kernel) -> Result<(), Fault> {
    let RawModules { keep, load } = raw;
    let check = |item: &At<String>, key: Field, check: fn(&str) -> Result<(), String>| {
        let name = text(item, key, check)?;
        reject_gone(item, key)?;
        Ok(name)
    };
    let kept = keep.iter().map(|item| check(item, fields::KERNEL_MODULES_KEEP, pattern));
    let mut kept = kept.collect::<Result<Vec<_>, Fault>>()?;
    let loaded = load.iter().map(|item| check(item, fields::KERNEL_MODULES_LOAD, names::module));
    let loaded = loaded.collect::<Result<BTreeSet<_>, Fault>>()?;
    if !kept.is_empty() {
        // An empty list keeps all modules; any other must contain those that are loaded.
        kept.extend(loaded.iter().cloned());
    }
    kernel.modules_keep = distinct(kept);
    kernel.modules_load = loaded;
    Ok(())
}

/// Checks a name or glob; a trailing `?` makes it optional and is not part of the glob.
fn pattern(text: &str) -> Result<(), String> {
    glob(text.strip_suffix('?').unwrap_or(text))
}

/// Rejects a module that no kernel has; one with a trailing `?` is optional and passes.
fn reject_gone(item: &At<String>, key: Field) -> Result<(), Fault> {
    let name = item.value.replace('-', "_");
    match GONE.iter().find(|(gone, ..)| *gone == name) {
        None => Ok(()),
        Some((_, instead, why)) => {
            Err(item.fault_of(key, format!("no kernel has a module {:?}; use {instead:?}: {why}", item.value)))
        }
    }
}
