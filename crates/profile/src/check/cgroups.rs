//! Control groups: words of the kernel's command line that bring the old hierarchy back.
//!
//! Sources: kernel-command-line(7); the NEWS of systemd 256; `parse_boolean` and `proc_cmdline_key_streq` of systemd.

use super::super::model::Profile;
use super::super::place::{At, Fault};
use super::agree::Places;
use serde_json::Value;

/// Suites whose systemd still boots the old hierarchy when it is asked to.
const OLD_SUITES: [&str; 3] = ["buster", "bullseye", "bookworm"];

/// Without it systemd of later suites waits half a minute and takes the new hierarchy all the same.
const FORCE: &str = "SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1";

pub(super) fn agree(profile: &Profile, places: &Places<'_>) -> Result<(), Fault> {
    let words = &places.kernel.cmdline;
    let Some(word) = asks_for_v1(words) else { return Ok(()) };
    let suite = profile.debian.suite.as_str();
    if !OLD_SUITES.contains(&suite) && !words.iter().any(|word| word.value == FORCE) {
        return Err(word.fault(format!(
            "kernel.cmdline: {:?} asks for cgroup v1, which systemd of {suite} refuses: it waits 30 seconds at every boot and takes v2; leave it out",
            word.value
        )));
    }
    let config = &profile.kubelet.config;
    let minor = profile.release.kubernetes.minor;
    if minor.refuses_cgroup_v1() && config.get("failCgroupV1") != Some(&Value::Bool(false)) {
        return Err(word.fault(format!(
            "kernel.cmdline: {:?} boots cgroup v1, with which kubelet 1.{minor} does not start; leave it out",
            word.value
        )));
    }
    let swap = config.get("memorySwap").and_then(|swap| swap.get("swapBehavior")).and_then(Value::as_str);
    if swap == Some("LimitedSwap") {
        return Err(word.fault(format!(
            "kernel.cmdline: {:?} boots cgroup v1, and LimitedSwap of kubelet.config.memorySwap needs v2",
            word.value
        )));
    }
    Ok(())
}

/// The word that asks for the old hierarchy: of each key the last one counts.
fn asks_for_v1(words: &[At<String>]) -> Option<&At<String>> {
    let last = |key: &str, asks: bool| {
        let of_key = words.iter().rev().find_map(|word| Some((word, switch(&word.value, key)?)));
        of_key.filter(|(_, on)| *on == asks).map(|(word, _)| word)
    };
    last("systemd.unified_cgroup_hierarchy", false).or_else(|| last("systemd.legacy_systemd_cgroup_controller", true))
}

/// Whether `word` switches `key` on or off, if it does either. A key alone switches it on.
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
    fn switches_are_read_as_systemd_reads_them() {
        const KEY: &str = "systemd.unified_cgroup_hierarchy";
        for off in ["=0", "=off", "=no", "=False", "=f", "=n"] {
            assert_eq!(switch(&format!("{KEY}{off}"), KEY), Some(false), "{off}");
        }
        assert_eq!(switch("systemd.unified-cgroup-hierarchy=0", KEY), Some(false));
        assert_eq!(switch(KEY, KEY), Some(true));
        assert_eq!(switch("cgroup_no_v1=all", KEY), None);
        let words = |text: &str| -> Vec<At<String>> {
            text.split(' ').map(|word| At { value: word.to_owned(), pos: Default::default() }).collect()
        };
        let asks = |text: &str| asks_for_v1(&words(text)).is_some();
        assert!(asks("systemd.unified_cgroup_hierarchy=no") && asks("systemd.legacy_systemd_cgroup_controller"));
        assert!(!asks("systemd.unified_cgroup_hierarchy=0 systemd.unified_cgroup_hierarchy=1"));
        assert!(!asks("cgroup_no_v1=all quiet"));
    }
}
