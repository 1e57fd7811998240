//! kubelet's flags: most have become fields of its configuration, and many were removed.
//!
//! Sources: `kubelet --help` of each release; the `CHANGELOG` of the release that removed a flag.

use super::kubelet_config::{self, FIELDS};
use super::{Minor, NEWEST};

/// The state of a flag in a release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Flag {
    /// A flag without a field.
    Flag,
    /// A flag that has a field of `KubeletConfiguration`, with the field's path.
    Field(&'static str),
    /// A flag that was removed or must not be used.
    Gone {
        /// The minor release that removed it; 0 if it must not be used in any release.
        since: u32,
        /// What to do instead.
        instead: &'static str,
    },
    /// A flag that newer releases have.
    Later {
        /// The first minor release that has it.
        since: u32,
    },
    /// No release has such a flag.
    Unknown,
}

/// The state of the flag `--name` in Kubernetes 1.`minor`.
pub fn flag(name: &str, minor: Minor) -> Flag {
    if let Some((_, since, instead)) = GONE.iter().find(|(flag, since, _)| *flag == name && minor.is_since(*since)) {
        return Flag::Gone { since: *since, instead };
    }
    if let Some((_, field)) = RENAMED.iter().find(|(flag, _)| *flag == name) {
        return Flag::Field(field);
    }
    // Apart from those in `RENAMED`, flags are spelt like their fields: `--tls-cert-file`,
    // `tlsCertFile`.
    let squeezed: String = name.chars().filter(|c| *c != '-').collect();
    let field = FIELDS.iter().find(|field| minor.is_since(field.since) && field.name.eq_ignore_ascii_case(&squeezed));
    match field {
        Some(field) if name == name.to_ascii_lowercase() => Flag::Field(field.name),
        _ if minor.is_before(since(name)) => Flag::Later { since: since(name) },
        _ if FLAGS.contains(&name) || GONE.iter().any(|(flag, ..)| *flag == name) => Flag::Flag,
        _ => Flag::Unknown,
    }
}

/// The first minor release whose kubelet has the flag `--name`, with or without a field, if that is
/// later than 1.`minor`.
pub fn came_after(name: &str, minor: Minor) -> Option<u32> {
    let since = match flag(name, NEWEST) {
        Flag::Field(path) => kubelet_config::field(path).map_or(0, |field| field.since),
        _ => since(name),
    };
    minor.is_before(since).then_some(since)
}

/// The first minor release that has the flag `--name`; 0 for any up to 1.20.
fn since(name: &str) -> u32 {
    LATER.iter().find(|(flag, _)| *flag == name).map_or(0, |(_, since)| *since)
}

/// The minor release that removed the flag `--name`, and what to do instead; none if it was not
/// removed.
pub fn gone(name: &str) -> Option<(u32, &'static str)> {
    GONE.iter().find(|(flag, ..)| *flag == name).map(|(_, since, instead)| (*since, *instead))
}

/// Why the flag `--name` is useless on kiln's nodes in every release: it is about dockershim,
/// plugins that containerd calls, log files, or configuration that changes while kubelet runs.
pub fn useless(name: &str) -> Option<&'static str> {
    let (since, instead) = gone(name)?;
    (since == 0 || [DOCKER, CNI, LOGS, BAKED].contains(&instead)).then_some(instead)
}

/// The names of all flags, including those that have a field, for suggestions.
pub fn all_names() -> impl Iterator<Item = String> {
    let renamed = RENAMED.iter().map(|(flag, _)| (*flag).to_owned());
    let gone = GONE.iter().map(|(flag, ..)| (*flag).to_owned());
    FIELDS.iter().map(|field| kebab(field.name)).chain(renamed).chain(gone).chain(names().map(str::to_owned))
}

/// Converts `cpuCFSQuota` to `cpu-cfs-quota`.
fn kebab(field: &str) -> String {
    let (mut flag, mut before) = (String::new(), 'A');
    let mut chars = field.chars().peekable();
    while let Some(c) = chars.next() {
        let word = c.is_uppercase() && (before.is_lowercase() || chars.peek().is_some_and(|next| next.is_lowercase()));
        if word && !flag.is_empty() {
            flag.push('-');
        }
        flag.push(c.to_ascii_lowercase());
        before = c;
    }
    flag
}

/// Boolean flags, which may have no value, besides those that have a boolean field.
pub const SWITCHES: [&str; 35] = [
    "add-dir-header",
    "allow-privileged",
    "alsologtostderr",
    "babysit-daemons",
    "configure-cbr0",
    "containerized",
    "docker-disable-shared-pid",
    "docker-only",
    "docker-tls",
    "enable-cadvisor-json-endpoints",
    "enable-cri",
    "enable-custom-metrics",
    "enable-load-reader",
    "exit-on-lock-contention",
    "experimental-allocatable-ignore-eviction",
    "experimental-check-node-capabilities-before-mount",
    "experimental-dockershim",
    "experimental-logging-sanitization",
    "help",
    "keep-terminated-pod-volumes",
    "log-cadvisor-usage",
    "log-json-split-stream",
    "log-text-split-stream",
    "logtostderr",
    "one-output",
    "really-crash-for-testing",
    "reconcile-cidr",
    "redirect-container-streaming",
    "register-node",
    "register-schedulable",
    "require-kubeconfig",
    "skip-headers",
    "skip-log-headers",
    "version",
    "windows-service",
];

/// The names of all flags without a field, for suggestions.
pub fn names() -> impl Iterator<Item = &'static str> {
    FLAGS.iter().copied()
}

/// Flags whose field has another name.
const RENAMED: [(&str, &str); 28] = [
    ("anonymous-auth", "authentication.anonymous.enabled"),
    ("authentication-token-webhook", "authentication.webhook.enabled"),
    ("authentication-token-webhook-cache-ttl", "authentication.webhook.cacheTTL"),
    ("authorization-mode", "authorization.mode"),
    ("authorization-webhook-cache-authorized-ttl", "authorization.webhook.cacheAuthorizedTTL"),
    ("authorization-webhook-cache-unauthorized-ttl", "authorization.webhook.cacheUnauthorizedTTL"),
    ("client-ca-file", "authentication.x509.clientCAFile"),
    ("contention-profiling", "enableContentionProfiling"),
    ("event-qps", "eventRecordQPS"),
    ("experimental-kernel-memcg-notification", "kernelMemcgNotification"),
    ("image-gc-high-threshold", "imageGCHighThresholdPercent"),
    ("image-gc-low-threshold", "imageGCLowThresholdPercent"),
    ("kube-api-content-type", "contentType"),
    ("logging-format", "logging.format"),
    ("manifest-url", "staticPodURL"),
    ("manifest-url-header", "staticPodURLHeader"),
    ("minimum-image-ttl-duration", "imageMinimumGCAge"),
    ("pod-manifest-path", "staticPodPath"),
    ("pod-max-pids", "podPidsLimit"),
    ("registry-qps", "registryPullQPS"),
    ("reserved-cpus", "reservedSystemCPUs"),
    ("rotate-server-certificates", "serverTLSBootstrap"),
    // Older than 1.20, but still in use in many configurations.
    ("experimental-allowed-unsafe-sysctls", "allowedUnsafeSysctls"),
    ("experimental-cgroups-per-qos", "cgroupsPerQOS"),
    ("experimental-fail-swap-on", "failSwapOn"),
    ("experimental-qos-reserved", "qosReserved"),
    ("resource-container", "kubeletCgroups"),
    ("system-container", "systemCgroups"),
];

const DOCKER: &str = "containerd is the runtime, and dockershim was removed; leave it out";
const CNI: &str = "containerd calls the network plugins; see \"cni\" in the profile";
const BAKED: &str = "an image's configuration does not change while it runs; leave it out";
const LOGS: &str = "kubelet logs to standard error, which the journal stores; leave it out";

/// Removed in 1.20 or earlier; the exact release is not recorded.
const OLD: u32 = 20;

/// Flags that were removed: the release that removed each, and what to do instead.
const GONE: [(&str, u32, &str); 84] = [
    // Removed before 1.20, but still in use in many configurations.
    ("api-servers", 8, "the agent writes the node's kubeconfig; leave it out"),
    ("allow-privileged", 15, "admission decides about privileged pods; leave it out"),
    ("cadvisor-port", 12, "kubelet serves cAdvisor's metrics itself; leave it out"),
    ("containerized", 16, "kubelet does not run in a container; leave it out"),
    ("google-json-key", 16, "the node's own cloud identity is used; leave it out"),
    ("host-ipc-sources", 19, "admission decides about the host's namespaces; leave it out"),
    ("host-network-sources", 19, "admission decides about the host's namespaces; leave it out"),
    ("host-pid-sources", 19, "admission decides about the host's namespaces; leave it out"),
    ("require-kubeconfig", 10, "the agent writes the node's kubeconfig; leave it out"),
    ("rkt-api-endpoint", 11, "containerd is the runtime, and rkt was removed; leave it out"),
    ("rkt-path", 11, "containerd is the runtime, and rkt was removed; leave it out"),
    ("auth-path", OLD, "the agent writes the node's kubeconfig; leave it out"),
    ("babysit-daemons", OLD, "systemd restarts services; leave it out"),
    (
        "bootstrap-checkpoint-path",
        OLD,
        "use static pods for pods that must run without an API server; see \"staticPodPath\"",
    ),
    ("configure-cbr0", OLD, CNI),
    ("docker-disable-shared-pid", OLD, DOCKER),
    ("docker-exec-handler", OLD, DOCKER),
    ("enable-cri", OLD, "the CRI is the only interface to runtimes; leave it out"),
    ("enable-custom-metrics", OLD, "the cluster's metrics adapter reads them; leave it out"),
    ("experimental-dockershim", OLD, DOCKER),
    ("experimental-nvidia-gpus", OLD, "a device plugin provides them; leave it out"),
    ("low-diskspace-threshold-mb", OLD, "use evictionHard in kubelet.config, nodefs.available"),
    ("network-plugin-dir", OLD, CNI),
    ("outofdisk-transition-frequency", OLD, "use evictionPressureTransitionPeriod in kubelet.config"),
    ("reconcile-cidr", OLD, CNI),
    ("rkt-stage1-image", OLD, "containerd is the runtime, and rkt was removed; leave it out"),
    ("cni-bin-dir", 24, CNI),
    ("cni-cache-dir", 24, CNI),
    ("cni-conf-dir", 24, CNI),
    ("network-plugin", 24, CNI),
    ("network-plugin-mtu", 24, "use \"cni.mtu\" in the profile"),
    ("non-masquerade-cidr", 24, "the network plugin masquerades; leave it out"),
    ("docker-endpoint", 24, DOCKER),
    ("image-pull-progress-deadline", 24, DOCKER),
    ("experimental-check-node-capabilities-before-mount", 24, "leave it out"),
    ("redirect-container-streaming", 24, "leave it out"),
    ("dynamic-config-dir", 24, BAKED),
    ("experimental-bootstrap-kubeconfig", 24, "the agent obtains the node's credentials; leave it out"),
    ("seccomp-profile-root", 23, "profiles are below /var/lib/kubelet/seccomp; leave it out"),
    ("really-crash-for-testing", 23, "leave it out"),
    ("chaos-chance", 22, "leave it out"),
    ("enable-cadvisor-json-endpoints", 21, "leave it out"),
    ("docker", 28, DOCKER),
    ("docker-env-metadata-whitelist", 28, DOCKER),
    ("docker-only", 28, DOCKER),
    ("docker-root", 28, DOCKER),
    ("docker-tls", 28, DOCKER),
    ("docker-tls-ca", 28, DOCKER),
    ("docker-tls-cert", 28, DOCKER),
    ("docker-tls-key", 28, DOCKER),
    ("container-runtime", 27, "there is only \"remote\"; leave it out"),
    ("master-service-namespace", 27, "leave it out"),
    ("experimental-logging-sanitization", 24, "leave it out"),
    ("register-schedulable", 33, "use \"kubelet.taints\" in the profile"),
    ("add-dir-header", 26, LOGS),
    ("alsologtostderr", 26, LOGS),
    ("log-backtrace-at", 26, LOGS),
    ("log-dir", 26, LOGS),
    ("log-file", 26, LOGS),
    ("log-file-max-size", 26, LOGS),
    ("logtostderr", 26, LOGS),
    ("one-output", 26, LOGS),
    ("skip-headers", 26, LOGS),
    ("skip-log-headers", 26, LOGS),
    ("stderrthreshold", 26, LOGS),
    // kubernetes/kubernetes#122857.
    (
        "azure-container-registry-config",
        30,
        "use image-credential-provider-config and image-credential-provider-bin-dir",
    ),
    ("iptables-drop-bit", 31, "it has no effect; leave it out"),
    ("iptables-masquerade-bit", 31, "it has no effect; leave it out"),
    ("keep-terminated-pod-volumes", 31, "leave it out"),
    ("cloud-config", 34, "cloud providers run in the cluster; leave it out"),
    ("pod-infra-container-image", 35, "the release's pauseImage goes to containerd; leave it out"),
    // Not removed, but useless or harmful on a node.
    ("enable-load-reader", 0, "it leaks memory and measures nothing useful; leave it out"),
    ("storage-driver-buffer-duration", 0, "cAdvisor keeps its metrics in memory; leave it out"),
    ("storage-driver-db", 0, "cAdvisor keeps its metrics in memory; leave it out"),
    ("storage-driver-host", 0, "cAdvisor keeps its metrics in memory; leave it out"),
    ("storage-driver-password", 0, "an image must not contain secrets; leave it out"),
    ("storage-driver-secure", 0, "cAdvisor keeps its metrics in memory; leave it out"),
    ("storage-driver-table", 0, "cAdvisor keeps its metrics in memory; leave it out"),
    ("storage-driver-user", 0, "cAdvisor keeps its metrics in memory; leave it out"),
    ("exit-on-lock-contention", 0, "systemd runs a single kubelet; leave it out"),
    ("lock-file", 0, "systemd runs a single kubelet; leave it out"),
    ("runonce", 0, "it is not supported on a node; leave it out"),
    ("windows-priorityclass", 0, "it is for Windows; leave it out"),
    ("windows-service", 0, "it is for Windows; leave it out"),
];

/// Flags without a field.
const FLAGS: [&str; 42] = [
    "application-metrics-count-limit",
    "boot-id-file",
    "bootstrap-kubeconfig",
    "cert-dir",
    "cloud-provider",
    "config",
    "config-dir",
    "container-hints",
    "containerd",
    "containerd-namespace",
    "event-storage-age-limit",
    "event-storage-event-limit",
    "experimental-allocatable-ignore-eviction",
    "experimental-mounter-path",
    "global-housekeeping-interval",
    "help",
    "hostname-override",
    "housekeeping-interval",
    "image-credential-provider-bin-dir",
    "image-credential-provider-config",
    "image-service-endpoint",
    "container-runtime-endpoint",
    "kubeconfig",
    "log-cadvisor-usage",
    "log-flush-frequency",
    "log-json-info-buffer-size",
    "log-json-split-stream",
    "log-text-info-buffer-size",
    "log-text-split-stream",
    "machine-id-file",
    "maximum-dead-containers",
    "maximum-dead-containers-per-container",
    "minimum-container-ttl-duration",
    "node-ip",
    "node-labels",
    "register-node",
    "register-with-taints",
    "root-dir",
    "runtime-cgroups",
    "v",
    "version",
    "vmodule",
];

/// Flags that were added after 1.20: each with the first minor release that has it.
const LATER: [(&str, u32); 5] = [
    ("config-dir", 28),
    ("log-json-info-buffer-size", 23),
    ("log-json-split-stream", 23),
    ("log-text-info-buffer-size", 29),
    ("log-text-split-stream", 29),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn flag(name: &str, minor: u32) -> Flag {
        super::flag(name, Minor::new(minor))
    }

    #[test]
    fn flags_have_the_state_of_each_release() {
        assert_eq!(flag("max-pods", 20), Flag::Field("maxPods"));
        assert_eq!(flag("pod-max-pids", 36), Flag::Field("podPidsLimit"));
        assert_eq!(flag("node-ip", 36), Flag::Flag);
        assert_eq!(flag("network-plugin", 20), Flag::Flag);
        assert!(matches!(flag("network-plugin", 24), Flag::Gone { since: 24, .. }));
        assert_eq!(flag("max-pod", 20), Flag::Unknown);
        assert_eq!(
            flag("cadvisor-port", 20),
            Flag::Gone { since: 12, instead: gone("cadvisor-port").expect("it was removed").1 }
        );
        assert_eq!(flag("log-json-split-stream", 22), Flag::Later { since: 23 });
        assert_eq!(flag("log-json-split-stream", 23), Flag::Flag);
        assert_eq!(flag("experimental-fail-swap-on", 20), Flag::Field("failSwapOn"));
        assert!(matches!(flag("azure-container-registry-config", 30), Flag::Gone { since: 30, .. }));
        assert!(matches!(flag("windows-service", 36), Flag::Gone { since: 0, .. }));
        assert_eq!(flag("register-schedulable", 32), Flag::Flag);
        // A flag that got a field later.
        assert_eq!(flag("container-runtime-endpoint", 26), Flag::Flag);
        assert!(useless("network-plugin").is_some() && useless("cloud-config").is_none() && useless("v").is_none());
        assert_eq!(flag("container-runtime-endpoint", 27), Flag::Field("containerRuntimeEndpoint"));
    }

    #[test]
    fn the_flag_of_a_field_is_known() {
        assert_eq!(
            ["cpuCFSQuota", "clusterDNS", "kubeAPIQPS", "maxPods"].map(kebab),
            ["cpu-cfs-quota", "cluster-dns", "kube-apiqps", "max-pods"]
        );
        for name in all_names().filter(|name| gone(name).is_none()) {
            assert!(super::flag(&name, NEWEST) != Flag::Unknown, "{name}");
        }
    }
}
