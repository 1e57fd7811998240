//! The time for a shutdown: logind waits until kubelet has ended the pods.

use super::{RenderError, Rendered};
use kiln_kubernetes::parse_duration;
use kiln_profile::Profile;
use serde_json::Value;

/// Writes the file of logind.conf(5). kubelet would otherwise write it at run time and restart
/// logind.
pub(super) fn render(profile: &Profile, rendered: &mut Rendered) -> Result<(), RenderError> {
    let Some(seconds) = shutdown_seconds(profile) else { return Ok(()) };
    let text = format!("[Login]\nInhibitDelayMaxSec={seconds}\n");
    rendered.file("shutdown", "usr/lib/systemd/logind.conf.d/10-kiln.conf", text)
}

/// Returns how long kubelet may delay a shutdown to end pods, in whole seconds.
fn shutdown_seconds(profile: &Profile) -> Option<i64> {
    let config = &profile.kubelet.config;
    let period = config.get("shutdownGracePeriod").and_then(Value::as_str).and_then(parse_duration);
    let whole = |nanoseconds: i64| nanoseconds.saturating_add(999_999_999) / 1_000_000_000;
    let by_priority = config.get("shutdownGracePeriodByPodPriority").and_then(Value::as_array);
    let entries =
        by_priority.into_iter().flatten().filter_map(|entry| entry.get("shutdownGracePeriodSeconds")?.as_i64());
    Some(period.map_or(0, whole).saturating_add(entries.fold(0, i64::saturating_add))).filter(|seconds| *seconds > 0)
}

#[cfg(test)]
mod tests {
    use super::super::fixture::worker;
    use super::*;
    use kiln_profile::ContainerdSeries;
    use serde_json::json;

    #[test]
    fn a_shutdown_waits_for_kubelet() {
        let seconds = |config: Value| {
            let mut profile = worker(36, ContainerdSeries::V2);
            profile.kubelet.config = config.as_object().cloned().expect("an object");
            shutdown_seconds(&profile)
        };
        assert_eq!(seconds(json!({})), None);
        assert_eq!(seconds(json!({ "shutdownGracePeriod": "0s" })), None);
        assert_eq!(seconds(json!({ "shutdownGracePeriod": "1m0.5s" })), Some(61));
        let by_priority = json!([
            { "priority": 0, "shutdownGracePeriodSeconds": 60 }, { "priority": 9, "shutdownGracePeriodSeconds": 5 }
        ]);
        assert_eq!(seconds(json!({ "shutdownGracePeriodByPodPriority": by_priority })), Some(65));
    }
}
