//! Rules of kubelet for single values, beyond their types.
//!
//! Sources: `NewAllowlist` of `pkg/kubelet/sysctl`, `pkg/kubelet/network/dns` and
//! `pkg/kubelet/eviction`; `ValidateKubeletConfiguration`,
//! `pkg/kubelet/images/pullmanager/image_pull_policies.go`; `tracing/api/v1` of
//! k8s.io/component-base.

use crate::Minor;
use crate::lookup::{Config, bool, int, items, text};
use crate::schema::Misfit;
use serde_json::Value;

type Rule = fn(&Config) -> Result<(), Misfit>;

const RULES: [Rule; 8] =
    [allowlist, pod_logs, user_namespaces, log_query, tracing_endpoint, read_only_port, cluster_dns, cluster_domain];

/// Checks all rules for Kubernetes 1.`minor`. The types must have been checked.
pub(super) fn check(config: &Config, minor: Minor) -> Result<(), Misfit> {
    RULES.iter().try_for_each(|rule| rule(config))?;
    swap_behavior(config, minor)?;
    unsafe_sysctls(config, minor)?;
    container_file_system(config, minor)
}

/// Entries are images by name, or all images below `registry/path/*`.
fn allowlist(config: &Config) -> Result<(), Misfit> {
    const FIELD: &str = "preloadedImagesVerificationAllowlist";
    const POLICY: &str = "NeverVerifyAllowlistedImages";
    for (index, pattern) in items(config, FIELD) {
        let pattern = pattern.as_str().unwrap_or_default();
        let prefix = pattern.strip_suffix("/*").unwrap_or(pattern);
        if prefix.is_empty() || prefix.contains(|c: char| c == '*' || c.is_whitespace()) || prefix.ends_with('/') {
            let why = format!("is {pattern:?}, and must be an image, or a registry and path that end in \"/*\"");
            return Err(Misfit::item(FIELD, index, why));
        }
        if text(config, "imagePullCredentialsVerificationPolicy") != POLICY {
            return Err(Misfit::at(FIELD, format!("needs \"imagePullCredentialsVerificationPolicy: {POLICY}\"")));
        }
    }
    Ok(())
}

/// The path becomes a label of metrics.
fn pod_logs(config: &Config) -> Result<(), Misfit> {
    let path = text(config, "podLogsDir");
    let unclean = |part: &str| ["", ".", ".."].contains(&part);
    if !path.is_ascii() || path.len() > 1 && path.split('/').skip(1).any(unclean) {
        return Err(Misfit::at(
            "podLogsDir",
            format!("is {path:?}, and must be an absolute path of ASCII without \"//\", \".\" and \"..\""),
        ));
    }
    Ok(())
}

fn user_namespaces(config: &Config) -> Result<(), Misfit> {
    let ids =
        config.get("userNamespaces").and_then(|of| of.get("idsPerPod")).and_then(Value::as_i64).unwrap_or_default();
    match ids % 65536 {
        0 => Ok(()),
        _ => {
            Err(Misfit::within(&["userNamespaces", "idsPerPod"], format!("is {ids}, and must be a multiple of 65536")))
        }
    }
}

fn log_query(config: &Config) -> Result<(), Misfit> {
    if bool(config, "enableSystemLogQuery") && !bool(config, "enableSystemLogHandler") {
        return Err(Misfit::at("enableSystemLogQuery", "needs \"enableSystemLogHandler: true\""));
    }
    Ok(())
}

/// The endpoint is a name that gRPC can resolve.
fn tracing_endpoint(config: &Config) -> Result<(), Misfit> {
    let endpoint = config.get("tracing").and_then(|tracing| tracing.get("endpoint")).and_then(Value::as_str);
    match endpoint.and_then(|endpoint| endpoint.split_once("//")) {
        Some((scheme, _)) if !["dns:", "unix:", "unix-abstract:"].contains(&scheme) => Err(Misfit::within(
            &["tracing", "endpoint"],
            "must be HOST:PORT, or begin with dns, unix or unix-abstract: traces are sent over gRPC",
        )),
        _ => Ok(()),
    }
}

/// The read-only port and kubelet's own are on the same address.
fn read_only_port(config: &Config) -> Result<(), Misfit> {
    match int(config, "readOnlyPort") {
        0 => Ok(()),
        number if number != int(config, "port") => Ok(()),
        number => {
            Err(Misfit::at("readOnlyPort", format!("is {number}, which is kubelet's own port; use another, or 0")))
        }
    }
}

/// kubelet omits further servers from a pod's resolv.conf, with a warning for every pod.
fn cluster_dns(config: &Config) -> Result<(), Misfit> {
    const MOST: usize = 3;
    match items(config, "clusterDNS").count() {
        0..=MOST => Ok(()),
        number => {
            Err(Misfit::at("clusterDNS", format!("has {number} servers, and pods get at most {MOST}; keep {MOST}")))
        }
    }
}

/// kubelet writes the domain to the resolv.conf of pods without a check.
fn cluster_domain(config: &Config) -> Result<(), Misfit> {
    let domain = text(config, "clusterDomain");
    let is_label = |label: &str| {
        let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        (1..=63).contains(&label.len()) && label.chars().all(inner) && !label.starts_with('-') && !label.ends_with('-')
    };
    let name = domain.strip_suffix('.').unwrap_or(domain);
    match domain.is_empty() || name.len() <= 253 && name.split('.').all(is_label) {
        true => Ok(()),
        false => {
            Err(Misfit::at("clusterDomain", format!("is {domain:?}, and must be a DNS name such as \"cluster.local\"")))
        }
    }
}

/// Only namespaced sysctls can be set for a pod; kubelet exits with others.
fn unsafe_sysctls(config: &Config, minor: Minor) -> Result<(), Misfit> {
    const FIELD: &str = "allowedUnsafeSysctls";
    const PREFIXES: [&str; 4] = ["kernel.shm", "kernel.msg", "fs.mqueue.", "net."];
    for (index, sysctl) in items(config, FIELD) {
        let sysctl = sysctl.as_str().unwrap_or_default();
        // The spelling with slashes, see sysctl(8), was added in 1.23.
        let dots = match sysctl.find(['.', '/']) {
            Some(at) if sysctl[at..].starts_with('/') && minor.is_since(23) => sysctl.replace('/', "."),
            _ => sysctl.to_owned(),
        };
        let name = dots.strip_suffix('*').unwrap_or(&dots);
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '/');
        let known = name == "kernel.sem" || PREFIXES.iter().any(|prefix| name.starts_with(prefix));
        if !known || !name.chars().all(plain) {
            let why = format!(
                "is {sysctl:?}, which is not namespaced: pods can set kernel.shm*, kernel.msg*, kernel.sem, fs.mqueue.* and \
                 net.*; set it for the node in kernel.sysctls"
            );
            return Err(Misfit::item(FIELD, index, why));
        }
    }
    Ok(())
}

/// Signals of a separate file system for containers (`KubeletSeparateDiskGC`).
fn container_file_system(config: &Config, minor: Minor) -> Result<(), Misfit> {
    for field in ["evictionHard", "evictionSoft", "evictionSoftGracePeriod", "evictionMinimumReclaim"] {
        let signals = config.get(field).and_then(Value::as_object).into_iter().flatten();
        let signal = signals.map(|(signal, _)| signal).find(|signal| signal.starts_with("containerfs."));
        if let Some(signal) = signal.filter(|_| minor.is_before(29)) {
            let why = format!("was added in Kubernetes 1.29, and this is 1.{minor}; leave it out");
            return Err(Misfit { name: true, ..Misfit::within(&[field, signal], why) });
        }
    }
    Ok(())
}

/// 1.30 removed unlimited swap for pods, and added a value for no swap.
fn swap_behavior(config: &Config, minor: Minor) -> Result<(), Misfit> {
    let behavior = config.get("memorySwap").and_then(|swap| swap.get("swapBehavior")).and_then(Value::as_str);
    let why = match (behavior, minor.is_since(30)) {
        (Some("UnlimitedSwap"), true) => "is UnlimitedSwap, which was removed in Kubernetes 1.30; use LimitedSwap",
        (Some("NoSwap"), false) => "is NoSwap, which was added in Kubernetes 1.30; leave it out",
        _ => return Ok(()),
    };
    Err(Misfit::within(&["memorySwap", "swapBehavior"], why))
}
