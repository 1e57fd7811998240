//! What newer kubelets and kube-proxies reject, in fields that the kubelet of 1.20.2, which other
//! tests run, does not have.

use kiln_kubernetes::{Minor, NEWEST, kube_proxy_config, kubelet_config};
use serde_json::{Value, json};

#[test]
fn fields_added_after_1_20_are_checked() {
    for (config, said) in [
        (json!({ "reservedMemory": [{ "limits": { "cpu": "1" } }] }), "reservedMemory[0] has \"cpu\""),
        (json!({ "reservedMemory": [{ "limits": { "memory": "0" } }] }), "reservedMemory[0] reserves no memory"),
        (
            json!({ "reservedMemory": [{ "limits": { "hugepages-2Mi": "2Mi" } }, { "numaNode": 0, "limits": { "hugepages-2Mi": "2Mi" } }] }),
            "reservedMemory[1] has hugepages-2Mi of NUMA node 0 twice",
        ),
        (json!({ "memoryManagerPolicy": "Static" }), "memoryManagerPolicy is Static"),
        (
            json!({ "memoryManagerPolicy": "Static", "kubeReserved": { "memory": "1Gi" }, "reservedMemory": [{ "limits": { "memory": "1Gi" } }] }),
            "reservedMemory adds up to 1Gi of memory, and must be 1124Mi,",
        ),
        (json!({ "cpuManagerPolicyOptions": { "full-pcpus-only": "true" } }), "cpuManagerPolicyOptions needs"),
        (
            json!({ "topologyManagerPolicyOptions": { "max-allowable-numa-nodes": "4" } }),
            "topologyManagerPolicyOptions.max-allowable-numa-nodes is \"4\"",
        ),
        (
            json!({ "topologyManagerPolicyOptions": { "prefer-closest-numa": "true" } }),
            "topologyManagerPolicyOptions.prefer-closest-numa is not an option, did you mean",
        ),
        (
            json!({ "featureGates": { "ClusterTrustBundleProjection": true } }),
            "featureGates.ClusterTrustBundleProjection needs ClusterTrustBundle",
        ),
        (json!({ "preloadedImagesVerificationAllowlist": ["a/*"] }), "preloadedImagesVerificationAllowlist needs"),
        (
            json!({ "preloadedImagesVerificationAllowlist": ["a/*/b"] }),
            "preloadedImagesVerificationAllowlist[0] is \"a/*/b\"",
        ),
        (json!({ "podLogsDir": "/var/log/../pods" }), "podLogsDir is"),
        (json!({ "podLogsDir": "/var/log/pods/" }), "podLogsDir is"),
        (json!({ "podLogsDir": "/var/log/p\u{f6}ds" }), "podLogsDir is"),
        (json!({ "userNamespaces": { "idsPerPod": 65537 } }), "userNamespaces.idsPerPod is 65537"),
        (json!({ "enableSystemLogQuery": true, "enableSystemLogHandler": false }), "enableSystemLogQuery needs"),
        (json!({ "tracing": { "endpoint": "http://collector:4317" } }), "tracing.endpoint must be"),
        (
            json!({ "memorySwap": { "swapBehavior": "UnlimitedSwap" }, "failSwapOn": false }),
            "memorySwap.swapBehavior is",
        ),
        (json!({ "logging": { "vmodule": [{ "filePattern": "a=b" }] } }), "logging.vmodule[0] needs"),
        (json!({ "logging": { "format": "json", "vmodule": [{ "filePattern": "a" }] } }), "logging.vmodule needs"),
        (json!({ "logging": { "options": { "json": { "splitStream": true } } } }), "logging.options.json needs"),
        (json!({ "showHiddenMetricsForVersion": "1.34" }), "showHiddenMetricsForVersion is"),
        (json!({ "memoryReservationPolicy": "TieredReservation" }), "memoryReservationPolicy needs"),
        (
            json!({ "serverTLSBootstrap": true, "featureGates": { "RotateKubeletServerCertificate": false } }),
            "serverTLSBootstrap needs",
        ),
    ] {
        let rejected =
            kubelet_config::check(config.as_object().expect("an object"), NEWEST).expect_err(said).to_string();
        assert!(rejected.starts_with(said), "{said}: {rejected}");
    }
    let accepted = json!({
        "reservedMemory": [{ "numaNode": 0, "limits": { "memory": "1Gi", "hugepages-1Gi": "1Gi" } }, { "numaNode": 1, "limits": { "memory": "1Gi" } }],
        "memoryManagerPolicy": "Static",
        "kubeReserved": { "memory": "1Gi" },
        "systemReserved": { "memory": "0.5Gi" },
        "evictionHard": { "memory.available": "512Mi" },
        "topologyManagerPolicyOptions": { "prefer-closest-numa-nodes": "true", "max-allowable-numa-nodes": "16" },
        "imagePullCredentialsVerificationPolicy": "NeverVerifyAllowlistedImages",
        "preloadedImagesVerificationAllowlist": ["registry.example.org/team/*", "registry.example.org/tool"],
        "podLogsDir": "/var/log/pods",
        "userNamespaces": { "idsPerPod": 131072 },
        "tracing": { "endpoint": "collector:4317" },
        "logging": { "options": { "text": { "splitStream": true } } },
        "featureGates": { "LoggingAlphaOptions": true },
        "showHiddenMetricsForVersion": "1.35",
        "serverTLSBootstrap": true,
    });
    assert_eq!(kubelet_config::check(accepted.as_object().expect("an object"), NEWEST), Ok(()));
}

/// The type is `TimeOrMetaDuration` of k8s.io/component-base since 1.27, and was Go's
/// `time.Duration` before.
#[test]
fn the_flush_frequency_is_a_number_or_a_duration() {
    let verdict = |value: Value, minor| {
        let config = json!({ "logging": { "flushFrequency": value } });
        kubelet_config::check(config.as_object().expect("an object"), Minor::new(minor))
            .err()
            .map(|misfit| misfit.to_string())
    };
    for (value, minor) in [(json!(0), 23), (json!(5_000_000_000_i64), 26), (json!(0), 36), (json!("5s"), 27)] {
        assert_eq!(verdict(value, minor), None);
    }
    let whole =
        "logging.flushFrequency is \"5s\", and Kubernetes 1.26 accepts only a whole number of nanoseconds: 5000000000";
    assert_eq!(verdict(json!("5s"), 26).as_deref(), Some(whole));
    for value in [json!("-5s"), json!(-1), json!("five"), json!(1.5)] {
        assert!(verdict(value, 36).is_some_and(|why| why.contains("must be a duration such as")));
    }
    // Defaults that were changed by a release.
    let default = |field: &str, minor| kubelet_config::field(field).expect("a field").default(Minor::new(minor));
    assert_eq!(["0.8", "0.9"], [26, 27].map(|minor| default("memoryThrottlingFactor", minor)));
    let inodes = [29, 30].map(|minor| default("evictionHard", minor).contains("imagefs.inodesFree"));
    assert_eq!(inodes, [false, true]);
}

/// Go's decoder does not accept a number for a string.
#[test]
fn quotes_are_suggested_for_numbers() {
    for (config, said) in [
        (json!({ "kubeReserved": { "pid": 1000 } }), "write \"1000\", in quotes"),
        (json!({ "shutdownGracePeriod": 90 }), "write \"90s\", in quotes"),
        (json!({ "evictionHard": { "memory.available": 1_048_576 } }), "write \"1048576\", in quotes"),
    ] {
        let why = kubelet_config::check(config.as_object().expect("an object"), NEWEST).expect_err(said).to_string();
        assert!(why.ends_with(said), "{why}");
    }
}

#[test]
fn options_of_the_static_policy_depend_on_the_release_and_exclude_each_other() {
    let verdict = |options: Value, gates: Value, minor| {
        let config = json!({
            "cpuManagerPolicy": "static",
            "reservedSystemCPUs": "0",
            "cpuManagerPolicyOptions": options,
            "featureGates": gates,
            "topologyManagerPolicy": "single-numa-node",
        });
        kubelet_config::check(config.as_object().expect("an object"), Minor::new(minor))
            .err()
            .map(|misfit| misfit.to_string())
    };
    let alpha = || json!({ "CPUManagerPolicyAlphaOptions": true });
    let assert_rejected = |options, gates, minor, said: &str| {
        let why = verdict(options, gates, minor).unwrap_or_default();
        assert!(why.starts_with(&format!("cpuManagerPolicyOptions.{said}")), "{said}: {why}");
    };
    assert_eq!(verdict(json!({ "full-pcpus-only": "true" }), json!({}), 23), None);
    assert_eq!(
        verdict(json!({ "full-pcpus-only": "true" }), json!({ "CPUManagerPolicyBetaOptions": false }), 33),
        None
    );
    assert_eq!(verdict(json!({ "distribute-cpus-across-cores": "false", "full-pcpus-only": "1" }), alpha(), 36), None);
    assert_rejected(json!({ "full-pcpus-only": "yes" }), json!({}), 23, "full-pcpus-only is \"yes\", and must be");
    assert_rejected(
        json!({ "full-pcpu-only": "true" }),
        json!({}),
        23,
        "full-pcpu-only is not an option, did you mean",
    );
    assert_rejected(json!({ "anything": "true" }), json!({}), 36, "anything is not an option of Kubernetes 1.36");
    assert_rejected(json!({ "align-by-socket": "true" }), alpha(), 24, "align-by-socket was added in Kubernetes 1.25");
    assert_rejected(
        json!({ "align-by-socket": "true" }),
        json!({}),
        36,
        "align-by-socket needs \"featureGates: {CPUManagerPolicyAlphaOptions: true}\"",
    );
    assert_rejected(
        json!({ "align-by-socket": "true" }),
        alpha(),
        36,
        "align-by-socket cannot be combined with \"topologyManagerPolicy",
    );
    let both = json!({ "full-pcpus-only": "true", "distribute-cpus-across-cores": "true" });
    assert_rejected(both, alpha(), 36, "full-pcpus-only cannot be combined with distribute-cpus-across-cores");
}

#[test]
fn kube_proxy_has_the_same_rules() {
    for (config, said) in [
        (json!({ "showHiddenMetricsForVersion": "1.36" }), "showHiddenMetricsForVersion is"),
        (json!({ "logging": { "vmodule": [{ "filePattern": "" }] } }), "logging.vmodule[0] needs"),
    ] {
        let rejected =
            kube_proxy_config::check(config.as_object().expect("an object"), NEWEST).expect_err(said).to_string();
        assert!(rejected.starts_with(said), "{said}: {rejected}");
    }
}
