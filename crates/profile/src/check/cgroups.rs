//! Control groups: parameters of the kernel command line that select cgroup v1.
//!
//! Sources: kernel-command-line(7); the NEWS of systemd 256 and 258; `parse_boolean` and
//! `proc_cmdline_key_streq` of systemd.

use super::super::authority;
use super::super::key::{Key, fields};
use super::super::model::Profile;
use super::super::place::Fault;
use kiln_debian::CgroupV1;
use serde_json::Value;

/// Without it, systemd 256 and 257 wait 30 seconds and use cgroup v2.
const FORCE: &str = "SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1";

pub(super) fn agree(profile: &Profile) -> Result<(), Fault> {
    let words = &profile.kernel.cmdline;
    let Some((index, word)) = asks_for_v1(words) else { return Ok(()) };
    let key = fields::KERNEL_CMDLINE;
    let fault = |why: String| profile.places.fault(Key::from(key).index(index), key, why).by(authority::CGROUP_V1);
    let suite = profile.debian.suite.as_str();
    let why = match kiln_debian::cgroup_v1(suite) {
        CgroupV1::Forced if !words.iter().any(|word| word == FORCE) => {
            Some("rejects: it waits 30 seconds at every boot and then uses v2")
        }
        CgroupV1::Gone => Some("no longer supports"),
        CgroupV1::Boots | CgroupV1::Forced => None,
    };
    if let Some(why) = why {
        return Err(fault(format!("{word:?} requests cgroup v1, which systemd of {suite} {why}; leave it out")));
    }
    let config = &profile.kubelet.config;
    let minor = profile.release.kubernetes.minor;
    if minor.rejects_cgroup_v1() && config.get("failCgroupV1") != Some(&Value::Bool(false)) {
        return Err(fault(format!(
            "{word:?} boots cgroup v1, with which kubelet 1.{minor} does not start; leave it out"
        )));
    }
    let swap = config.get("memorySwap").and_then(|swap| swap.get("swapBehavior")).and_then(Value::as_str);
    if swap == Some("LimitedSwap") {
        return Err(fault(format!("{word:?} boots cgroup v1, and LimitedSwap of kubelet.config.memorySwap needs v2")));
    }
    Ok(())
}

/// The parameter that requests cgroup v1, and its position; the last one of each key applies.
fn asks_for_v1(words: &[String]) -> Option<(usize, &str)> {
    let last = |key: &str, asks: bool| {
        let numbered = words.iter().enumerate().rev();
        let (at, on) =
            numbered.map(|(index, word)| ((index, word.as_str()), switch(word, key))).find(|(_, on)| on.is_some())?;
        (on == Some(asks)).then_some(at)
    };
    last("systemd.unified_cgroup_hierarchy", false).or_else(|| last("systemd.legacy_systemd_cgroup_controller", true))
}

/// The value that `word` gives to the boolean `key`, if any. A key without a value means true.
fn switch(word: &str, key: &str) -> Option<bool> {
    let (name, value) = word.split_once('=').unwrap_or((word, "1"));
    if name.replace('-', "_") != key {
        return None;
    }
    match value.trim_matches('"').to_ascii_lowercase().as_str() {
        "1" | "yes" | "y" | "true" | "t" | "on" => Some(true),
        "0" | "no" | "n" | "false" | "f" | "off" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn booleans_are_parsed_like_systemd_does() {
        const KEY: &str = "systemd.unified_cgroup_hierarchy";
        for off in ["=0", "=off", "=no", "=False", "=f", "=n"] {
            assert_eq!(switch(&format!("{KEY}{off}"), KEY), Some(false), "{off}");
        }
        assert_eq!(switch("systemd.unified-cgroup-hierarchy=0", KEY), Some(false));
        assert_eq!(switch(KEY, KEY), Some(true));
        assert_eq!(switch("cgroup_no_v1=all", KEY), None);
        let words = |text: &str| -> Vec<String> { text.split(' ').map(str::to_owned).collect() };
        let asks = |text: &str| asks_for_v1(&words(text)).is_some();
        assert!(asks("systemd.unified_cgroup_hierarchy=no") && asks("systemd.legacy_systemd_cgroup_controller"));
        assert!(!asks("systemd.unified_cgroup_hierarchy=0 systemd.unified_cgroup_hierarchy=1"));
        assert!(!asks("cgroup_no_v1=all quiet"));
    }
}
