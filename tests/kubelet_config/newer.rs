//! What newer kubelets and kube-proxies refuse, in fields that the one that tests can ask does not have.

use kiln::kubernetes::{NEWEST, kube_proxy_config, kubelet_config};
use serde_json::json;

#[test]
fn what_came_after_1_20() {
    for (config, said) in [
        (json!({ "reservedMemory": [{ "limits": { "cpu": "1" } }] }), "reservedMemory[0] has \"cpu\""),
        (json!({ "reservedMemory": [{ "limits": { "memory": "0" } }] }), "reservedMemory[0] reserves no memory"),
        (
            json!({ "reservedMemory": [{ "limits": { "hugepages-2Mi": "2Mi" } }, { "numaNode": 0, "limits": { "hugepages-2Mi": "2Mi" } }] }),
            "reservedMemory[1] has hugepages-2Mi of NUMA node 0 once more",
        ),
        (json!({ "memoryManagerPolicy": "Static" }), "memoryManagerPolicy is Static"),
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
        (json!({ "logging": { "format": "json", "vmodule": [{ "filePattern": "a" }] } }), "logging.vmodule goes"),
        (json!({ "logging": { "options": { "json": { "splitStream": true } } } }), "logging.options.json needs"),
        (json!({ "showHiddenMetricsForVersion": "1.34" }), "showHiddenMetricsForVersion is"),
        (json!({ "memoryReservationPolicy": "TieredReservation" }), "memoryReservationPolicy needs"),
        (
            json!({ "serverTLSBootstrap": true, "featureGates": { "RotateKubeletServerCertificate": false } }),
            "serverTLSBootstrap needs",
        ),
    ] {
        let refused =
            kubelet_config::check(config.as_object().expect("an object"), NEWEST).expect_err(said).to_string();
        assert!(refused.starts_with(said), "{said}: {refused}");
    }
    let taken = json!({
        "reservedMemory": [{ "numaNode": 0, "limits": { "memory": "1Gi", "hugepages-1Gi": "1Gi" } }, { "numaNode": 1, "limits": { "memory": "1Gi" } }],
        "memoryManagerPolicy": "Static",
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
    assert_eq!(kubelet_config::check(taken.as_object().expect("an object"), NEWEST), Ok(()));
}

#[test]
fn kube_proxy_says_the_same() {
    for (config, said) in [
        (json!({ "showHiddenMetricsForVersion": "1.36" }), "showHiddenMetricsForVersion is"),
        (json!({ "logging": { "vmodule": [{ "filePattern": "" }] } }), "logging.vmodule[0] needs"),
    ] {
        let refused =
            kube_proxy_config::check(config.as_object().expect("an object"), NEWEST).expect_err(said).to_string();
        assert!(refused.starts_with(said), "{said}: {refused}");
    }
}
