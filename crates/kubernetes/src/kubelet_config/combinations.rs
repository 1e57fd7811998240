//! Rules of kubelet for fields that depend on each other (`ValidateKubeletConfiguration`).

use super::effective;
use crate::lookup::{Config, bool, int, nanoseconds, text};
use crate::schema::Misfit;
use crate::{Duration, Minor, NEWEST, feature_gates, parse_duration, parse_quantity};
use serde_json::Value;
use std::collections::BTreeSet;

type Rule = fn(&Config) -> Result<(), Misfit>;

const RULES: [Rule; 12] = [
    lease,
    log_size,
    image_gc,
    image_gc_age,
    parallel_pulls,
    shutdown,
    run_once,
    enforced,
    reserved_cpus,
    system_cgroups,
    soft_eviction,
    swap,
];

/// Checks all rules. The types must have been checked.
pub(super) fn check(config: &Config) -> Result<(), Misfit> {
    RULES.iter().try_for_each(|rule| rule(config))
}

fn lease(config: &Config) -> Result<(), Misfit> {
    // Zero stands for the default, which only kubelet's source tells.
    match config.get("nodeLeaseDurationSeconds").and_then(Value::as_i64) {
        Some(0) => {
            Err(Misfit::at("nodeLeaseDurationSeconds", "is 0, which means kubelet's default of 40; leave it out"))
        }
        _ => Ok(()),
    }
}

fn log_size(config: &Config) -> Result<(), Misfit> {
    if parse_quantity(text(config, "containerLogMaxSize")) == Some(0) {
        return Err(Misfit::at("containerLogMaxSize", "is zero, which keeps no log"));
    }
    Ok(())
}

fn image_gc(config: &Config) -> Result<(), Misfit> {
    let high = int(config, "imageGCHighThresholdPercent");
    let low = int(config, "imageGCLowThresholdPercent");
    if low < high {
        return Ok(());
    }
    let set = |field| config.contains_key(field);
    let field = match set("imageGCLowThresholdPercent") || !set("imageGCHighThresholdPercent") {
        true => "imageGCLowThresholdPercent",
        false => "imageGCHighThresholdPercent",
    };
    Err(Misfit::at(
        field,
        format!("leaves nothing to collect: the low threshold, {low}, must be below the high one, {high}"),
    ))
}

fn image_gc_age(config: &Config) -> Result<(), Misfit> {
    let maximum = nanoseconds(config, "imageMaximumGCAge");
    if maximum != 0 && maximum <= nanoseconds(config, "imageMinimumGCAge") {
        return Err(Misfit::at("imageMaximumGCAge", "must be longer than imageMinimumGCAge (2m unless set)"));
    }
    Ok(())
}

fn parallel_pulls(config: &Config) -> Result<(), Misfit> {
    let parallel = int(config, "maxParallelImagePulls");
    if parallel > 1 && config.get("serializeImagePulls").and_then(Value::as_bool) == Some(true) {
        return Err(Misfit::at("maxParallelImagePulls", "is above 1, which needs \"serializeImagePulls: false\""));
    }
    Ok(())
}

fn shutdown(config: &Config) -> Result<(), Misfit> {
    const SECOND: Duration = 1_000_000_000;
    let total = nanoseconds(config, "shutdownGracePeriod");
    let critical = nanoseconds(config, "shutdownGracePeriodCriticalPods");
    for (field, value) in [("shutdownGracePeriod", total), ("shutdownGracePeriodCriticalPods", critical)] {
        if value != 0 && value < SECOND {
            return Err(Misfit::at(field, "must be 0s or at least 1s"));
        }
    }
    if critical > total {
        let why = "must not be longer than shutdownGracePeriod, of which it is a part";
        return Err(Misfit::at("shutdownGracePeriodCriticalPods", why));
    }
    let by_priority = config.get("shutdownGracePeriodByPodPriority").and_then(Value::as_array);
    if total > 0 && by_priority.is_some_and(|entries| !entries.is_empty()) {
        return Err(Misfit::at("shutdownGracePeriodByPodPriority", "cannot be combined with shutdownGracePeriod"));
    }
    Ok(())
}

fn run_once(config: &Config) -> Result<(), Misfit> {
    match bool(config, "runOnce") {
        true => Err(Misfit::at("runOnce", "is not supported on a node; newer kubelets reject it")),
        false => Ok(()),
    }
}

fn enforced(config: &Config) -> Result<(), Misfit> {
    const FIELD: &str = "enforceNodeAllocatable";
    let entries = effective(config, FIELD, NEWEST);
    let mut seen = BTreeSet::new();
    for entry in entries.as_array().into_iter().flatten().filter_map(Value::as_str) {
        if !seen.insert(entry) {
            return Err(Misfit::at(FIELD, format!("has {entry:?} twice")));
        }
        for (kind, cgroup) in [("system-reserved", "systemReservedCgroup"), ("kube-reserved", "kubeReservedCgroup")] {
            if entry.starts_with(kind) && text(config, cgroup).is_empty() {
                return Err(Misfit::at(FIELD, format!("has {entry:?}, which needs {cgroup}")));
            }
        }
    }
    for kind in ["system-reserved", "kube-reserved"] {
        if seen.contains(kind) && seen.contains(format!("{kind}-compressible").as_str()) {
            return Err(Misfit::at(FIELD, format!("has both {kind:?} and its compressible form; keep one")));
        }
    }
    if seen.contains("none") && seen.len() > 1 {
        return Err(Misfit::at(FIELD, "has \"none\" together with other entries"));
    }
    if !seen.is_empty() && !seen.contains("none") && !bool(config, "cgroupsPerQOS") {
        return Err(Misfit::at("cgroupsPerQOS", "is false, which needs \"enforceNodeAllocatable: [none]\""));
    }
    Ok(())
}

fn reserved_cpus(config: &Config) -> Result<(), Misfit> {
    let cgroups = ["systemReservedCgroup", "kubeReservedCgroup"];
    match cgroups.iter().find(|field| !text(config, field).is_empty()) {
        Some(field) if !text(config, "reservedSystemCPUs").is_empty() => {
            Err(Misfit::at("reservedSystemCPUs", format!("cannot be combined with {field}")))
        }
        _ => Ok(()),
    }
}

fn system_cgroups(config: &Config) -> Result<(), Misfit> {
    if !text(config, "systemCgroups").is_empty() && text(config, "cgroupRoot").is_empty() {
        return Err(Misfit::at("systemCgroups", "needs cgroupRoot"));
    }
    Ok(())
}

fn soft_eviction(config: &Config) -> Result<(), Misfit> {
    let signals =
        |field: &str| config.get(field).and_then(Value::as_object).into_iter().flatten().map(|(name, _)| name);
    let graces: BTreeSet<_> = signals("evictionSoftGracePeriod").collect();
    match signals("evictionSoft").find(|signal| !graces.contains(signal)) {
        Some(signal) => Err(Misfit::at(
            "evictionSoft",
            format!("has {signal}, which needs a grace period in evictionSoftGracePeriod"),
        )),
        None => Ok(()),
    }
}

/// Swap behavior needs a kubelet that starts although the node has swap.
fn swap(config: &Config) -> Result<(), Misfit> {
    let behavior = config.get("memorySwap").and_then(|swap| swap.get("swapBehavior")).and_then(Value::as_str);
    match behavior {
        Some(behavior @ ("LimitedSwap" | "UnlimitedSwap")) if bool(config, "failSwapOn") => {
            Err(Misfit::at("memorySwap", format!("has {behavior}, which needs \"failSwapOn: false\"")))
        }
        _ => Ok(()),
    }
}

/// Fields that have no effect, or with which kubelet exits, while their feature gate is off.
const GATED: [(&str, &str); 18] = [
    ("serverTLSBootstrap", "RotateKubeletServerCertificate"),
    ("shutdownGracePeriod", "GracefulNodeShutdown"),
    ("shutdownGracePeriodCriticalPods", "GracefulNodeShutdown"),
    ("shutdownGracePeriodByPodPriority", "GracefulNodeShutdownBasedOnPodPriority"),
    ("cpuCFSQuotaPeriod", "CustomCPUCFSQuotaPeriod"),
    ("qosReserved", "QOSReserved"),
    ("memorySwap", "NodeSwap"),
    ("seccompDefault", "SeccompDefault"),
    ("tracing", "KubeletTracing"),
    ("cpuManagerPolicyOptions", "CPUManagerPolicyOptions"),
    ("memoryManagerPolicy", "MemoryManager"),
    ("topologyManagerPolicyOptions", "TopologyManagerPolicyOptions"),
    ("imageMaximumGCAge", "ImageMaximumGCAge"),
    ("crashLoopBackOff", "KubeletCrashLoopBackOffMax"),
    ("enableSystemLogQuery", "NodeLogQuery"),
    ("imagePullCredentialsVerificationPolicy", "KubeletEnsureSecretPulledImages"),
    ("preloadedImagesVerificationAllowlist", "KubeletEnsureSecretPulledImages"),
    ("memoryReservationPolicy", "MemoryQoS"),
];

/// Checks that the feature gate of each field that is set is on in Kubernetes 1.`minor`.
pub(super) fn gated(config: &Config, minor: Minor) -> Result<(), Misfit> {
    for (field, gate) in GATED {
        let default = match config.get(field) {
            None | Some(Value::Null | Value::Bool(false)) => true,
            Some(Value::String(text)) => text == "None" || matches!(parse_duration(text), Some(0 | 100_000_000)),
            Some(Value::Array(items)) => items.is_empty(),
            Some(Value::Object(fields)) => fields.is_empty(),
            Some(_) => false,
        };
        if !default && !feature_gates::enabled(config, gate, minor) {
            return Err(Misfit::at(field, format!("needs \"featureGates: {{{gate}: true}}\"")));
        }
    }
    Ok(())
}
