//! `KubeletConfiguration` of `kubelet.config.k8s.io/v1beta1`, from Kubernetes 1.20 to 1.36.
//!
//! Sources: `config/v1beta1/types.go` of k8s.io/kubelet, in each release branch, for names, types,
//! first release and defaults; `pkg/kubelet/apis/config/validation` of Kubernetes for ranges.
//! Ranges that newer kubelets narrowed apply to all releases here: the rejected values were not
//! useful before either.
//!
//! kubelet decodes this version leniently: for an unknown field, it only logs a warning. So unknown
//! fields must be rejected here.

mod combinations;
mod resource_managers;
mod single_fields;

use super::schema::{Field, Misfit, Type, check_object, remove_unknown};
use super::{Duration, Minor, component_base, feature_gates};
use Type::{
    Address, Bool, CpuSet, Fraction, Int, List, Map, Object, Path, Percentage, Quantity, Reclaim, Text, Threshold,
    TimeOrDuration, Word,
};
use serde_json::{Map as JsonMap, Value};

/// Its `apiVersion`.
pub const API_VERSION: &str = "kubelet.config.k8s.io/v1beta1";
/// Its `kind`.
pub const KIND: &str = "KubeletConfiguration";

/// Checks the fields of a `KubeletConfiguration` like kubelet of Kubernetes 1.`minor`, but more
/// strictly.
///
/// # Errors
/// The first [`Misfit`].
pub fn check(config: &JsonMap<String, Value>, minor: Minor) -> Result<(), Misfit> {
    check_object(FIELDS, config, minor, &mut Vec::new())?;
    combinations::check(config)?;
    single_fields::check(config, minor)?;
    component_base::check(config, minor)?;
    resource_managers::check(config, minor)?;
    combinations::gated(config, minor)?;
    feature_gates::check(config, minor, "kubelet")
}

/// Removes the fields that kubelet of Kubernetes 1.`minor` would ignore from `config`, and returns
/// them.
pub fn remove_ignored(config: &mut JsonMap<String, Value>, minor: Minor) -> Vec<Misfit> {
    let mut removed = Vec::new();
    remove_unknown(FIELDS, config, minor, &mut Vec::new(), &mut removed);
    removed
}

/// Whether a `KubeletConfiguration` of Kubernetes 1.`minor` has the field at `path`.
pub fn has(path: &str, minor: Minor) -> bool {
    field(path).is_some_and(|field| field.is_in(minor))
}

/// The value that kubelet of Kubernetes 1.`minor` uses: that of `field` in `config`, or its
/// default.
pub fn effective(config: &JsonMap<String, Value>, field: &str, minor: Minor) -> Value {
    let set = config.get(field).filter(|value| !value.is_null()).cloned();
    set.unwrap_or_else(|| self::field(field).map_or(Value::Null, |field| field.unset(minor)))
}

/// The field at `path`, such as `authentication.x509.clientCAFile`.
pub fn field(path: &str) -> Option<&'static Field> {
    let (mut fields, mut found) = (FIELDS, None);
    for name in path.split('.') {
        let field = fields.iter().find(|field| field.name == name)?;
        fields = if let Object(fields) = field.of { fields } else { &[] };
        found = Some(field);
    }
    found
}

const SECOND: Duration = 1_000_000_000;
/// In most durations, kubelet treats zero as "not set".
const DURATION: Type = Type::Duration(0..=Duration::MAX);
const AT_LEAST_0: Type = Int(0..=i32::MAX as i64);
const PORT: Type = Int(1..=65535);
const PORT_OR_0: Type = Int(0..=65535);
const TEXTS: Type = List(&Text);
const TEXT_MAP: Type = Map(&[], &Text);

const fn f(name: &'static str, of: Type, default: &'static str) -> Field {
    Field::new(name, of, default)
}

/// Signals of `evictionHard` and the other eviction fields.
const SIGNALS: &[&str] = &[
    "memory.available",
    "nodefs.available",
    "nodefs.inodesFree",
    "imagefs.available",
    "imagefs.inodesFree",
    "containerfs.available",
    "containerfs.inodesFree",
    "pid.available",
    "allocatableMemory.available",
];
/// Resources that can be reserved.
const RESERVED: &[&str] = &["cpu", "memory", "ephemeral-storage", "pid"];

/// All fields, grouped by subject, and otherwise in the order of upstream's type.
pub const FIELDS: &[Field] = &[
    f("apiVersion", Word(&["kubelet.config.k8s.io/v1beta1"]), ""),
    f("kind", Word(&["KubeletConfiguration"]), ""),
    // Static pods.
    f("staticPodPath", Path, ""),
    f("podLogsDir", Path, r#""/var/log/pods""#).since(30),
    f("syncFrequency", DURATION, r#""1m0s""#),
    f("fileCheckFrequency", DURATION, r#""20s""#),
    f("httpCheckFrequency", DURATION, r#""20s""#),
    f("staticPodURL", Text, ""),
    f("staticPodURLHeader", Map(&[], &TEXTS), ""),
    // The server.
    f("enableServer", Bool, "true"),
    f("address", Address, r#""0.0.0.0""#),
    f("port", PORT, "10250"),
    f("readOnlyPort", PORT_OR_0, ""),
    f("tlsCertFile", Path, ""),
    f("tlsPrivateKeyFile", Path, ""),
    f("tlsCipherSuites", List(&Word(CIPHER_SUITES)), ""),
    f("tlsCurvePreferences", List(&AT_LEAST_0), "").since(36),
    f("tlsMinVersion", Word(&["", "VersionTLS10", "VersionTLS11", "VersionTLS12", "VersionTLS13"]), ""),
    f("rotateCertificates", Bool, ""),
    f("serverTLSBootstrap", Bool, ""),
    f("authentication", Object(AUTHENTICATION), ""),
    f("authorization", Object(AUTHORIZATION), ""),
    f("enableDebuggingHandlers", Bool, "true"),
    f("enableContentionProfiling", Bool, ""),
    f("enableProfilingHandler", Bool, "true").since(21),
    f("enableDebugFlagsHandler", Bool, "true").since(21),
    f("enableSystemLogHandler", Bool, "true"),
    f("enableSystemLogQuery", Bool, "false").since(27),
    f("healthzPort", PORT_OR_0, "10248"),
    f("healthzBindAddress", Address, r#""127.0.0.1""#),
    f("streamingConnectionIdleTimeout", DURATION, r#""4h0m0s""#),
    // The API server.
    f("registerNode", Bool, "true").since(23),
    f("registerWithTaints", List(&Object(TAINT)), "").since(23),
    f("providerID", Text, ""),
    f("podCIDR", Text, ""),
    f("nodeStatusUpdateFrequency", DURATION, r#""10s""#),
    f("nodeStatusReportFrequency", DURATION, r#""5m0s""#),
    f("nodeLeaseDurationSeconds", AT_LEAST_0, "40"),
    f("nodeStatusMaxImages", Int(-1..=i32::MAX as i64), "50"),
    f("contentType", Text, r#""application/vnd.kubernetes.protobuf""#),
    f("kubeAPIQPS", AT_LEAST_0, "5").changed(27, "50"),
    f("kubeAPIBurst", AT_LEAST_0, "10").changed(27, "100"),
    f("eventRecordQPS", AT_LEAST_0, "5").changed(27, "50"),
    f("eventBurst", AT_LEAST_0, "10").changed(27, "100"),
    f("configMapAndSecretChangeDetectionStrategy", Word(&["Get", "Cache", "Watch"]), r#""Watch""#),
    f("enableControllerAttachDetach", Bool, "true"),
    // Images.
    f("registryPullQPS", AT_LEAST_0, "5"),
    f("registryBurst", AT_LEAST_0, "10"),
    f("serializeImagePulls", Bool, "true"),
    f("maxParallelImagePulls", Int(1..=i32::MAX as i64), "").since(27),
    f("imageMinimumGCAge", DURATION, r#""2m0s""#),
    f("imageMaximumGCAge", DURATION, r#""0s""#).since(29),
    f("imageGCHighThresholdPercent", Int(0..=100), "85"),
    f("imageGCLowThresholdPercent", Int(0..=100), "80"),
    f("imagePullCredentialsVerificationPolicy", Word(VERIFICATION), r#""NeverVerifyPreloadedImages""#).since(33),
    f("preloadedImagesVerificationAllowlist", TEXTS, "").since(33),
    // The runtime.
    f("containerRuntimeEndpoint", Text, r#""unix:///run/containerd/containerd.sock""#).since(27),
    f("imageServiceEndpoint", Text, "").since(27),
    f("runtimeRequestTimeout", DURATION, r#""2m0s""#),
    f("seccompDefault", Bool, "false").since(22),
    f("userNamespaces", Object(USER_NAMESPACES), "").since(33),
    f("crashLoopBackOff", Object(CRASH_LOOP), "").since(32),
    // Network.
    f("clusterDomain", Text, ""),
    f("clusterDNS", List(&Address), ""),
    f("resolvConf", Text, r#""/etc/resolv.conf""#),
    f("hairpinMode", Word(&["promiscuous-bridge", "hairpin-veth", "none"]), r#""promiscuous-bridge""#),
    f("makeIPTablesUtilChains", Bool, "true"),
    f("iptablesMasqueradeBit", Int(0..=31), "14"),
    f("iptablesDropBit", Int(0..=31), "15"),
    // Control groups and CPUs.
    f("cgroupDriver", Word(&["cgroupfs", "systemd"]), r#""cgroupfs""#),
    f("cgroupRoot", Text, ""),
    f("cgroupsPerQOS", Bool, "true"),
    f("kubeletCgroups", Text, ""),
    f("systemCgroups", Text, ""),
    f("failCgroupV1", Bool, "false").since(31).changed(35, "true"),
    f("cpuCFSQuota", Bool, "true"),
    f("cpuCFSQuotaPeriod", Type::Duration(1_000_000..=SECOND), r#""100ms""#),
    f("cpuManagerPolicy", Word(&["none", "static"]), r#""none""#),
    f("cpuManagerPolicyOptions", TEXT_MAP, "").since(22),
    f("cpuManagerReconcilePeriod", DURATION, r#""10s""#),
    f("memoryManagerPolicy", Word(&["None", "Static"]), r#""None""#).since(21),
    f("reservedMemory", List(&Object(MEMORY_RESERVATION)), "").since(21),
    f("memoryThrottlingFactor", Fraction, "0.8").since(22).changed(27, "0.9"),
    f("memoryReservationPolicy", Word(&["None", "TieredReservation"]), r#""None""#).since(36),
    f("topologyManagerPolicy", Word(&["none", "best-effort", "restricted", "single-numa-node"]), r#""none""#),
    f("topologyManagerPolicyOptions", TEXT_MAP, "").since(26),
    f("topologyManagerScope", Word(&["container", "pod"]), r#""container""#),
    f("qosReserved", Map(&["memory"], &Percentage), ""),
    f("singleProcessOOMKill", Bool, "false").since(32),
    // Resources reserved for the system.
    f("systemReserved", Map(RESERVED, &Quantity), ""),
    f("kubeReserved", Map(RESERVED, &Quantity), ""),
    f("reservedSystemCPUs", CpuSet, ""),
    f("systemReservedCgroup", Text, ""),
    f("kubeReservedCgroup", Text, ""),
    f("enforceNodeAllocatable", List(&Word(ENFORCED)), r#"["pods"]"#),
    // Eviction.
    f("evictionHard", Map(SIGNALS, &Threshold), EVICTION_HARD).changed(30, EVICTION_HARD_30),
    f("evictionSoft", Map(SIGNALS, &Threshold), ""),
    f("evictionSoftGracePeriod", Map(SIGNALS, &DURATION), ""),
    f("evictionMinimumReclaim", Map(SIGNALS, &Reclaim), ""),
    f("evictionPressureTransitionPeriod", DURATION, r#""5m0s""#),
    f("evictionMaxPodGracePeriod", Int(i32::MIN as i64..=i32::MAX as i64), ""),
    f("mergeDefaultEvictionSettings", Bool, "false").since(33),
    f("kernelMemcgNotification", Bool, ""),
    // Limits.
    f("maxPods", AT_LEAST_0, "110"),
    f("podsPerCore", AT_LEAST_0, ""),
    f("podPidsLimit", Int(-1..=i64::MAX), "-1"),
    f("maxOpenFiles", Int(0..=i64::MAX), "1000000"),
    f("oomScoreAdj", Int(-1000..=1000), "-999"),
    f("failSwapOn", Bool, "true"),
    f("memorySwap", Object(MEMORY_SWAP), "").since(22),
    f("protectKernelDefaults", Bool, ""),
    f("allowedUnsafeSysctls", TEXTS, ""),
    f("localStorageCapacityIsolation", Bool, "true").since(25),
    // Logs, shutdown and the rest.
    f("containerLogMaxSize", Quantity, r#""10Mi""#),
    f("containerLogMaxFiles", Int(2..=i32::MAX as i64), "5"),
    f("containerLogMaxWorkers", Int(1..=i32::MAX as i64), "1").since(30),
    f("containerLogMonitorInterval", Type::Duration(3 * SECOND..=Duration::MAX), r#""10s""#).since(30),
    f("logging", Object(LOGGING), ""),
    f("tracing", Object(TRACING), "").since(25),
    f("shutdownGracePeriod", DURATION, r#""0s""#),
    f("shutdownGracePeriodCriticalPods", DURATION, r#""0s""#),
    f("shutdownGracePeriodByPodPriority", List(&Object(SHUTDOWN_BY_PRIORITY)), "").since(23),
    f("volumePluginDir", Path, r#""/usr/libexec/kubernetes/kubelet-plugins/volume/exec/""#),
    f("volumeStatsAggPeriod", Type::Duration(Duration::MIN..=Duration::MAX), r#""1m0s""#),
    f("featureGates", Map(&[], &Bool), ""),
    f("showHiddenMetricsForVersion", Text, ""),
    // true is rejected: the mode was removed.
    f("runOnce", Bool, ""),
];

const EVICTION_HARD: &str =
    r#"{"imagefs.available":"15%","memory.available":"100Mi","nodefs.available":"10%","nodefs.inodesFree":"5%"}"#;

/// kubernetes/kubernetes#121834.
const EVICTION_HARD_30: &str = r#"{"imagefs.available":"15%","imagefs.inodesFree":"5%","memory.available":"100Mi","nodefs.available":"10%","nodefs.inodesFree":"5%"}"#;

const VERIFICATION: &[&str] =
    &["NeverVerify", "NeverVerifyPreloadedImages", "NeverVerifyAllowlistedImages", "AlwaysVerify"];

const ENFORCED: &[&str] =
    &["none", "pods", "system-reserved", "kube-reserved", "system-reserved-compressible", "kube-reserved-compressible"];

const AUTHENTICATION: &[Field] = &[
    f("anonymous", Object(&[f("enabled", Bool, "false")]), ""),
    f("webhook", Object(&[f("enabled", Bool, "true"), f("cacheTTL", DURATION, r#""2m0s""#)]), ""),
    f("x509", Object(&[f("clientCAFile", Path, "")]), ""),
];

const AUTHORIZATION: &[Field] = &[
    f("mode", Word(&["Webhook", "AlwaysAllow"]), r#""Webhook""#),
    f(
        "webhook",
        Object(&[f("cacheAuthorizedTTL", DURATION, r#""5m0s""#), f("cacheUnauthorizedTTL", DURATION, r#""30s""#)]),
        "",
    ),
];

const TAINT: &[Field] = &[
    f("key", Text, ""),
    f("value", Text, ""),
    f("effect", Word(&["NoSchedule", "PreferNoSchedule", "NoExecute"]), ""),
];

const MEMORY_RESERVATION: &[Field] = &[f("numaNode", AT_LEAST_0, ""), f("limits", Map(&[], &Quantity), "")];

const MEMORY_SWAP: &[Field] = &[f("swapBehavior", Word(&["", "NoSwap", "LimitedSwap", "UnlimitedSwap"]), "")];

const USER_NAMESPACES: &[Field] = &[f("idsPerPod", Int(65536..=u32::MAX as i64), "65536")];

const CRASH_LOOP: &[Field] = &[f("maxContainerRestartPeriod", Type::Duration(SECOND..=300 * SECOND), "")];

const SHUTDOWN_BY_PRIORITY: &[Field] = &[
    f("priority", Int(i32::MIN as i64..=i32::MAX as i64), ""),
    f("shutdownGracePeriodSeconds", Int(0..=i64::MAX), ""),
];

pub(super) const LOGGING: &[Field] = &[
    f("format", Word(&["", "text", "json"]), r#""text""#),
    f("flushFrequency", TimeOrDuration, "5000000000").since(23).changed(27, r#""5s""#),
    f("verbosity", AT_LEAST_0, "").since(23),
    f("vmodule", List(&Object(&[f("filePattern", Text, ""), f("verbosity", AT_LEAST_0, "")])), "").since(23),
    f("options", Object(&[f("json", Object(ROUTING), ""), f("text", Object(ROUTING), "").since(29)]), "").since(23),
];

const ROUTING: &[Field] = &[f("splitStream", Bool, ""), f("infoBufferSize", Quantity, "")];

const TRACING: &[Field] = &[f("endpoint", Text, ""), f("samplingRatePerMillion", Int(0..=1_000_000), "")];

/// Those that kubelet accepts, by Go's names (crypto/tls).
const CIPHER_SUITES: &[&str] = &[
    "TLS_AES_128_GCM_SHA256",
    "TLS_AES_256_GCM_SHA384",
    "TLS_CHACHA20_POLY1305_SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
    "TLS_ECDHE_ECDSA_WITH_RC4_128_SHA",
    "TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
    "TLS_ECDHE_RSA_WITH_RC4_128_SHA",
    "TLS_RSA_WITH_3DES_EDE_CBC_SHA",
    "TLS_RSA_WITH_AES_128_CBC_SHA",
    "TLS_RSA_WITH_AES_128_CBC_SHA256",
    "TLS_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_RSA_WITH_AES_256_CBC_SHA",
    "TLS_RSA_WITH_AES_256_GCM_SHA384",
    "TLS_RSA_WITH_RC4_128_SHA",
];
