//! Valid and invalid values.

use kiln_kubernetes::{Field, Minor, Type};
use serde_json::{Map, Value, json};

/// A valid value for `field` that is not its default, in Kubernetes 1.`minor`.
pub(super) fn valid(field: &Field, minor: Minor) -> Value {
    match field.name {
        "port" => json!(10251),
        "runOnce" => json!(false),
        // Above the default low threshold, and below the default high one.
        "imageGCHighThresholdPercent" => json!(90),
        "imageGCLowThresholdPercent" => json!(70),
        "imageMaximumGCAge" => json!("168h"),
        "cpuCFSQuotaPeriod" => json!("50ms"),
        "featureGates" => json!({ "AllAlpha": false }),
        "enforceNodeAllocatable" => json!(["pods", "system-reserved"]),
        "staticPodURLHeader" => json!({ "X-Node": ["a"] }),
        "allowedUnsafeSysctls" => json!(["net.core.somaxconn", "kernel.shm*", "kernel.sem", "fs.mqueue.*"]),
        "podCIDR" => json!("10.244.1.0/24"),
        "showHiddenMetricsForVersion" => json!(format!("1.{}", minor.previous())),
        "reservedMemory" => json!([{ "numaNode": 1, "limits": { "memory": "1Gi" } }]),
        "memorySwap" => json!({ "swapBehavior": "LimitedSwap" }),
        "userNamespaces" => json!({ "idsPerPod": 131_072 }),
        "cpuManagerPolicy" => json!("none"),
        "cpuManagerPolicyOptions" => json!({ "full-pcpus-only": "true" }),
        "topologyManagerPolicyOptions" => json!({ "prefer-closest-numa-nodes": "true" }),
        "cgroupsPerQOS" => json!(false),
        "qosReserved" => json!({ "memory": "50%" }),
        "cgroupRoot" => json!("/"),
        // With JSON, kubelet would not log the lines that the test reads.
        "logging" => json!({ "format": "text" }),
        "containerRuntimeEndpoint" => json!("unix:///run/containerd/containerd.sock"),
        // The server would open these files.
        "tlsCertFile" | "tlsPrivateKeyFile" | "authentication" => sample(&field.of, true),
        _ => sample(&field.of, false),
    }
}

/// A value of type `of`; with `default`, one that changes nothing.
pub(super) fn sample(of: &Type, default: bool) -> Value {
    match of {
        Type::Bool => json!(!default),
        Type::Int(range) => json!((*range.start()).max(0) + 5.min(range.end() - (*range.start()).max(0))),
        Type::Fraction => json!(0.5),
        Type::Rate => json!(1.5),
        Type::Socket => json!("127.0.0.1:10299"),
        Type::Network => json!("192.168.0.0/16"),
        Type::Text => json!(if default { "" } else { "text" }),
        Type::Path => json!(if default { "" } else { "/nonexistent" }),
        Type::Address => json!("127.0.0.53"),
        Type::Word(words) => json!(words.iter().rfind(|word| !word.is_empty())),
        Type::Duration(_) => json!("45s"),
        Type::TimeOrDuration => json!(45_000_000_000_i64),
        Type::Quantity => json!("7Mi"),
        Type::Threshold | Type::Reclaim | Type::Percentage => json!("12%"),
        Type::CpuSet => json!("0"),
        Type::List(of) => json!([sample(of, default)]),
        Type::Map(keys, of) => json!({ *keys.first().unwrap_or(&"key"): sample(of, default) }),
        Type::Object(fields) => fields
            .iter()
            .filter(|field| field.is_in(super::MINOR) || default)
            .map(|field| (field.name.to_owned(), sample(&field.of, default)))
            .collect::<Map<_, _>>()
            .into(),
    }
}

/// Converts an object to a map.
pub(super) fn object(value: Value) -> Map<String, Value> {
    value.as_object().cloned().expect("an object")
}

/// Other fields that must be set for `field` to be accepted.
pub(super) fn companions(field: &str) -> Map<String, Value> {
    let companions = match field {
        "systemCgroups" => json!({ "cgroupRoot": "/" }),
        "cgroupsPerQOS" => json!({ "enforceNodeAllocatable": [] }),
        "enforceNodeAllocatable" => {
            json!({ "systemReservedCgroup": "/system.slice", "systemReserved": { "cpu": "100m" } })
        }
        "evictionSoft" => json!({ "evictionSoftGracePeriod": { "memory.available": "30s" } }),
        "cpuCFSQuotaPeriod" => json!({ "featureGates": { "CustomCPUCFSQuotaPeriod": true } }),
        "qosReserved" => json!({ "featureGates": { "QOSReserved": true } }),
        "shutdownGracePeriod" => json!({ "featureGates": { "GracefulNodeShutdown": true } }),
        "shutdownGracePeriodCriticalPods" => {
            json!({ "shutdownGracePeriod": "60s", "featureGates": { "GracefulNodeShutdown": true } })
        }
        "shutdownGracePeriodByPodPriority" => {
            json!({ "featureGates": { "GracefulNodeShutdownBasedOnPodPriority": true } })
        }
        "enableSystemLogQuery" => json!({ "featureGates": { "NodeLogQuery": true } }),
        "memorySwap" => json!({ "failSwapOn": false }),
        "memoryManagerPolicy" => json!({ "reservedMemory": [{ "limits": { "memory": "100Mi" } }] }),
        "cpuManagerPolicyOptions" => json!({ "cpuManagerPolicy": "static", "reservedSystemCPUs": "0" }),
        "memoryReservationPolicy" => json!({ "featureGates": { "MemoryQoS": true } }),
        _ => json!({}),
    };
    companions.as_object().cloned().unwrap_or_default()
}

/// A configuration that kiln must reject.
pub(super) struct Row {
    pub config: Map<String, Value>,
    pub rejected_by_1_20: bool,
}

pub(super) fn invalid() -> Vec<Row> {
    let rejected = [
        json!({ "maxPods": -1 }),
        json!({ "maxPods": "110" }),
        json!({ "maxPods": 1.5 }),
        json!({ "port": 0x10000 }),
        json!({ "port": -1 }),
        json!({ "healthzPort": 65536 }),
        json!({ "readOnlyPort": -1 }),
        json!({ "eventBurst": -1 }),
        json!({ "eventRecordQPS": -1 }),
        json!({ "kubeAPIQPS": -1 }),
        json!({ "kubeAPIBurst": -1 }),
        json!({ "registryBurst": -1 }),
        json!({ "registryPullQPS": -1 }),
        json!({ "podsPerCore": -1 }),
        json!({ "maxOpenFiles": -1 }),
        json!({ "nodeStatusMaxImages": -2 }),
        json!({ "nodeLeaseDurationSeconds": -1 }),
        json!({ "oomScoreAdj": -1001 }),
        json!({ "oomScoreAdj": 1001 }),
        json!({ "imageGCHighThresholdPercent": 101 }),
        json!({ "imageGCLowThresholdPercent": -1 }),
        json!({ "imageGCLowThresholdPercent": 85 }),
        json!({ "imageGCHighThresholdPercent": 80 }),
        json!({ "iptablesMasqueradeBit": 32 }),
        json!({ "iptablesDropBit": -1 }),
        json!({ "rotateCertificates": "true" }),
        json!({ "syncFrequency": "1 minute" }),
        json!({ "syncFrequency": 60 }),
        json!({ "clusterDNS": "10.96.0.10" }),
        json!({ "evictionHard": { "memory.available": "0" } }),
        json!({ "evictionHard": { "memory.available": "-1Mi" } }),
        json!({ "evictionHard": { "memory.avail": "100Mi" } }),
        json!({ "evictionHard": { "memory.available": 100 } }),
        json!({ "evictionHard": { "containerfs.available": "10%" } }),
        json!({ "evictionHard": { "memory.available": "100MB" } }),
        json!({ "systemReserved": { "cpu": "1q" } }),
        json!({ "systemReserved": { "gpu": "1" } }),
        json!({ "kubeReserved": { "memory": "-1Gi" } }),
        json!({ "kubeReserved": ["memory=1Gi"] }),
        json!({ "qosReserved": { "memory": "101%" }, "featureGates": { "QOSReserved": true } }),
        json!({ "reservedSystemCPUs": "0-" }),
        json!({ "reservedSystemCPUs": "0", "systemReservedCgroup": "/system.slice" }),
        json!({ "systemCgroups": "/system" }),
        json!({ "enforceNodeAllocatable": ["system-reserved"] }),
        json!({ "enforceNodeAllocatable": ["none", "pods"] }),
        json!({ "enforceNodeAllocatable": ["everything"] }),
        json!({ "cgroupsPerQOS": false }),
        json!({ "hairpinMode": "veth" }),
        json!({ "topologyManagerPolicy": "strict" }),
        json!({ "topologyManagerScope": "node" }),
        json!({ "tlsMinVersion": "TLS12" }),
        json!({ "tlsCipherSuites": ["ECDHE-RSA-AES128-GCM-SHA256"] }),
        json!({ "shutdownGracePeriod": "500ms", "featureGates": { "GracefulNodeShutdown": true } }),
        json!({
            "shutdownGracePeriod": "10s", "shutdownGracePeriodCriticalPods": "20s",
            "featureGates": { "GracefulNodeShutdown": true },
        }),
        json!({ "shutdownGracePeriod": "60s" }),
        json!({ "serverTLSBootstrap": true, "featureGates": { "RotateKubeletServerCertificate": false } }),
        json!({ "showHiddenMetricsForVersion": "1.20" }),
        json!({ "shutdownGracePeriodCriticalPods": "10s", "shutdownGracePeriod": "60s" }),
        json!({ "cpuCFSQuotaPeriod": "50ms" }),
        json!({ "cpuManagerPolicy": "static" }),
        json!({ "cpuManagerPolicy": "static", "kubeReserved": { "cpu": "0", "memory": "1Gi" } }),
        json!({ "featureGates": { "DynamicKubeletConfig": "false" } }),
        json!({ "authorization": { "mode": "RBAC" } }),
        json!({ "logging": { "format": "xml" } }),
    ];
    // Accepted by 1.20, but newer kubelets reject them, or they have no useful effect.
    let accepted = [
        json!({ "maxpods": 110 }),
        json!({ "nodeLeaseDurationSeconds": 0 }),
        json!({ "podPidsLimit": -2 }),
        json!({ "runOnce": true }),
        json!({ "containerLogMaxFiles": 1 }),
        json!({ "configMapAndSecretChangeDetectionStrategy": "Poll" }),
        json!({ "volumePluginDir": "plugins" }),
        json!({ "clusterDNS": ["dns.example"] }),
        json!({ "clusterDNS": [""] }),
        // With these, kubelet exits only after it has looked for a container runtime.
        json!({ "evictionHard": { "memory.available": "101%" } }),
        json!({ "evictionSoft": { "memory.available": "100Mi" } }),
        json!({ "evictionSoft": { "memory.available": "100Mi" }, "evictionSoftGracePeriod": { "memory.available": "-1s" } }),
        json!({ "evictionMinimumReclaim": { "memory.available": "-1Mi" } }),
        json!({ "evictionMinimumReclaim": { "memory.available": "0%" } }),
        json!({ "address": "localhost" }),
        json!({ "qosReserved": { "memory": "50%" } }),
        json!({ "cgroupDriver": "cgroup2" }),
        json!({ "allowedUnsafeSysctls": ["vm.swappiness"] }),
        json!({ "allowedUnsafeSysctls": ["net*"] }),
        json!({ "containerLogMaxSize": "0T" }),
        json!({ "readOnlyPort": 10250 }),
        json!({ "clusterDNS": ["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"] }),
        json!({ "clusterDomain": "cluster local" }),
    ];
    let row = |rejected_by_1_20| {
        move |config: Value| Row { config: config.as_object().cloned().unwrap_or_default(), rejected_by_1_20 }
    };
    rejected.into_iter().map(row(true)).chain(accepted.into_iter().map(row(false))).collect()
}
