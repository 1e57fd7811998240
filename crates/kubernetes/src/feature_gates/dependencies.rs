//! Gates that need others: since Kubernetes 1.35, no program starts with a gate that is on while
//! one that it needs is off.
//!
//! Sources: `defaultKubernetesFeatureGateDependencies` in `pkg/features/kube_features.go` at v1.35,
//! without the gates of the API server alone; `unsafeSetFromMap` of
//! k8s.io/component-base/featuregate.

use super::{GATES, Gate, Minor, Misfit, Step, enabled};
use serde_json::{Map, Value};

/// The first minor release that checks them.
const SINCE: u32 = 35;

/// Each gate with those that it needs.
const DEPENDENCIES: [(&str, &[&str]); 31] = [
    ("AuthorizeNodeWithSelectors", &["AuthorizeWithSelectors"]),
    ("ClusterTrustBundleProjection", &["ClusterTrustBundle"]),
    ("DRAAdminAccess", &["DynamicResourceAllocation"]),
    ("DRAConsumableCapacity", &["DynamicResourceAllocation"]),
    ("DRADeviceBindingConditions", &["DynamicResourceAllocation", "DRAResourceClaimDeviceStatus"]),
    ("DRADeviceTaintRules", &["DRADeviceTaints"]),
    ("DRADeviceTaints", &["DynamicResourceAllocation"]),
    ("DRAExtendedResource", &["DynamicResourceAllocation"]),
    ("DRAPartitionableDevices", &["DynamicResourceAllocation"]),
    ("DRAPrioritizedList", &["DynamicResourceAllocation"]),
    ("DRASchedulerFilterTimeout", &["DynamicResourceAllocation"]),
    ("DisableAllocatorDualWrite", &["MultiCIDRServiceAllocator"]),
    ("GangScheduling", &["GenericWorkload"]),
    ("GracefulNodeShutdownBasedOnPodPriority", &["GracefulNodeShutdown"]),
    ("ImageVolumeWithDigest", &["ImageVolume"]),
    (
        "InPlacePodLevelResourcesVerticalScaling",
        &["InPlacePodVerticalScaling", "PodLevelResources", "NodeDeclaredFeatures"],
    ),
    ("InPlacePodVerticalScalingAllocatedStatus", &["InPlacePodVerticalScaling"]),
    ("InPlacePodVerticalScalingExclusiveCPUs", &["InPlacePodVerticalScaling"]),
    ("InPlacePodVerticalScalingExclusiveMemory", &["InPlacePodVerticalScaling", "MemoryManager"]),
    ("MatchLabelKeysInPodTopologySpreadSelectorMerge", &["MatchLabelKeysInPodTopologySpread"]),
    ("PodCertificateRequest", &["AuthorizeNodeWithSelectors"]),
    ("PodLifecycleSleepActionAllowZero", &["PodLifecycleSleepAction"]),
    ("ProcMountType", &["UserNamespacesSupport"]),
    ("ResourceHealthStatus", &["DynamicResourceAllocation"]),
    ("RestartAllContainersOnContainerExits", &["ContainerRestartRules", "NodeDeclaredFeatures"]),
    ("ServiceAccountTokenNodeBinding", &["ServiceAccountTokenNodeBindingValidation"]),
    ("StorageVersionAPI", &["APIServerIdentity"]),
    ("UnknownVersionInteroperabilityProxy", &["APIServerIdentity"]),
    ("UserNamespacesHostNetworkSupport", &["UserNamespacesSupport"]),
    ("WindowsCPUAndMemoryAffinity", &["MemoryManager"]),
    ("WindowsGracefulNodeShutdown", &["GracefulNodeShutdown"]),
];

/// Checks the dependencies between the `featureGates` of `config`, for `program` of Kubernetes
/// 1.`minor`. Each gate alone must have been checked.
///
/// # Errors
/// The first [`Misfit`].
pub(super) fn check(config: &Map<String, Value>, minor: Minor, program: &str) -> Result<(), Misfit> {
    let Some(set) = config.get("featureGates").and_then(Value::as_object).filter(|_| minor.is_since(SINCE)) else {
        return Ok(());
    };
    let has = |name: &str| gate(name).is_some_and(|gate| gate.phase(minor).is_some());
    for (name, needs) in DEPENDENCIES.into_iter().filter(|(name, _)| has(name) && enabled(config, name, minor)) {
        let Some(needed) = needs.iter().find(|needed| has(needed) && !enabled(config, needed, minor)) else { continue };
        // The error is about the gate that the user has set. If AllAlpha or AllBeta turned it on or
        // off, that is neither of the two.
        let (at, why) = match (set.contains_key(name), set.contains_key(*needed)) {
            (true, _) => (
                Some(name),
                format!("needs {needed}, which is off: {program} does not start; set \"{needed}: true\" too"),
            ),
            (false, true) => (
                Some(*needed),
                format!("is off, and {name} needs it: {program} does not start; set \"{name}: false\" too"),
            ),
            (false, false) => {
                (None, format!("enable {name} without {needed}, which it needs: {program} does not start"))
            }
        };
        let path = ["featureGates"].into_iter().chain(at).map(|step| Step::Key(step.to_owned())).collect();
        return Err(Misfit { path, name: at.is_some(), why });
    }
    Ok(())
}

fn gate(name: &str) -> Option<&'static Gate> {
    GATES.iter().find(|gate| gate.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// The releases that check dependencies.
    fn all() -> impl Iterator<Item = u32> {
        (SINCE..).take_while(|minor| Minor::new(*minor).is_known())
    }

    fn verdict(gates: Value, minor: u32) -> Option<String> {
        let config = json!({ "featureGates": gates });
        check(config.as_object().expect("an object"), Minor::new(minor), "kubelet")
            .err()
            .map(|misfit| misfit.to_string())
    }

    #[test]
    fn dependencies_name_known_gates_and_defaults_satisfy_them() {
        for (name, needs) in DEPENDENCIES {
            for name in [name].iter().chain(needs) {
                let known = |minor| gate(name).is_some_and(|gate| gate.phase(Minor::new(minor)).is_some());
                assert!(all().any(known), "{name}");
            }
        }
        for minor in all() {
            assert_eq!(verdict(json!({}), minor), None);
            for all in ["AllAlpha", "AllBeta"] {
                assert_eq!(verdict(json!({ all: true }), minor), None, "{all} {minor}");
            }
        }
    }

    #[test]
    fn an_unmet_dependency_is_reported_at_the_gate_that_was_set() {
        let needs = "featureGates.ClusterTrustBundleProjection needs ClusterTrustBundle, which is off: kubelet does not start; \
                     set \"ClusterTrustBundle: true\" too";
        let config = json!({ "ClusterTrustBundleProjection": true });
        assert_eq!(verdict(config.clone(), 35).as_deref(), Some(needs));
        assert_eq!(verdict(config, 34), None);
        assert_eq!(verdict(json!({ "ClusterTrustBundleProjection": true, "ClusterTrustBundle": true }), 35), None);
        let off = "featureGates.GracefulNodeShutdown is off, and GracefulNodeShutdownBasedOnPodPriority needs it: kubelet does not \
                   start; set \"GracefulNodeShutdownBasedOnPodPriority: false\" too";
        assert_eq!(verdict(json!({ "GracefulNodeShutdown": false }), 36).as_deref(), Some(off));
        let both = json!({ "AllAlpha": true, "AllBeta": false });
        assert!(verdict(both, 35).is_some_and(|why| why.starts_with("featureGates enable ")));
    }
}
