//! Releases of Kubernetes, and what changed in them.
//!
//! Other crates do not compare release numbers: they call a predicate defined here, or use a table
//! of this crate. `tests/it/layering.rs` enforces that.

use super::kubelet_config;
use serde::Serialize;
use std::fmt;

/// The newest minor release whose fields, flags and gates are all known. A newer one may have more.
pub const NEWEST: Minor = Minor(36);

/// The first release whose kubelet reads drop-ins of its configuration without a variable in its
/// environment: the feature is beta (KEP-3983).
pub const DROP_INS_SINCE: u32 = 30;

/// The first release whose kubelet accepts no cloud provider but `external`: the gate
/// `DisableCloudProviders` is on (KEP-2395). The code itself was removed step by step, up to 1.31.
pub const NO_CLOUD_PROVIDERS_SINCE: u32 = 29;

/// A minor release of Kubernetes 1, which is what features depend on. It does not implement `Ord`,
/// so that other crates cannot compare releases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Minor(u32);

/// `major.minor.patch`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Version {
    /// Always 1 so far.
    pub major: u32,
    /// The release that features depend on.
    pub minor: Minor,
    /// The patch release.
    pub patch: u32,
}

/// Why the versions of a kubelet and an API server do not work together (version skew policy of
/// Kubernetes).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Skew {
    /// kubelet is newer, which is never supported.
    Newer,
    /// kubelet is too old.
    Older {
        /// The number of minor releases that this kubelet may be older.
        most: u32,
        /// The oldest kubelet that this API server accepts.
        oldest: Minor,
    },
}

impl fmt::Display for Minor {
    /// Writes only the number: messages write `1.{minor}`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Minor {
    /// Kubernetes 1.`number`.
    pub const fn new(number: u32) -> Self {
        Self(number)
    }

    /// Whether this is Kubernetes 1.`release` or later.
    pub(crate) const fn is_since(self, release: u32) -> bool {
        self.0 >= release
    }

    /// Whether this is older than Kubernetes 1.`release`.
    pub(crate) const fn is_before(self, release: u32) -> bool {
        self.0 < release
    }

    /// The release before this one.
    pub const fn previous(self) -> Self {
        Self(self.0.saturating_sub(1))
    }

    /// Whether all of its fields, flags and gates are known. A newer release may have others.
    pub const fn is_known(self) -> bool {
        self.0 <= NEWEST.0
    }

    /// Whether kubelet reads drop-ins of its configuration, `--config-dir`, unless its environment
    /// says otherwise: see [`DROP_INS_SINCE`].
    pub const fn has_config_drop_ins(self) -> bool {
        self.is_since(DROP_INS_SINCE)
    }

    /// Whether kubelet runs dockershim unless `--container-runtime=remote` is given.
    ///
    /// Source: changelog of 1.24, which removed dockershim (KEP-2221) and with it all other values
    /// of the flag.
    pub const fn needs_container_runtime_flag(self) -> bool {
        self.is_before(24)
    }

    /// Whether the configuration, and not a flag, has the address of the container runtime.
    ///
    /// Source: `containerRuntimeEndpoint` of `KubeletConfiguration` (changelog of 1.27).
    pub fn has_runtime_endpoint_field(self) -> bool {
        kubelet_config::has("containerRuntimeEndpoint", self)
    }

    /// Whether kubelet needs the name of the pause image, which it would otherwise collect as
    /// garbage. In later releases, the runtime pins the image.
    ///
    /// Source: changelog of 1.27, which deprecated `--pod-infra-container-image`.
    pub const fn needs_pause_image_flag(self) -> bool {
        self.is_before(27)
    }

    /// Whether the configuration, and not a flag, has the taints that the Node is registered with.
    ///
    /// Source: `registerWithTaints` of `KubeletConfiguration` (changelog of 1.23).
    pub fn has_taints_field(self) -> bool {
        kubelet_config::has("registerWithTaints", self)
    }

    /// Whether kubelet does not start on a machine with cgroup v1 unless `failCgroupV1: false` is
    /// set.
    ///
    /// Source: KEP-5573; the field's default changed in 1.35.
    pub fn rejects_cgroup_v1(self) -> bool {
        kubelet_config::field("failCgroupV1").is_some_and(|field| field.unset(self) == true)
    }

    /// Whether kubelet speaks v1 of the CRI, and not only v1alpha2.
    ///
    /// Source: changelog of 1.23.
    pub const fn speaks_cri_v1(self) -> bool {
        self.is_since(23)
    }

    /// Whether kubelet no longer speaks v1alpha2 of the CRI.
    ///
    /// Source: changelog of 1.26.
    pub const fn speaks_only_cri_v1(self) -> bool {
        self.is_since(26)
    }

    /// Whether containerd 1 is still supported; 1.35 is the last such release.
    ///
    /// Source: KEP-4033, and "Container Runtimes" of Kubernetes' documentation.
    pub const fn supports_containerd_1(self) -> bool {
        self.is_before(36)
    }

    /// Whether cri-dockerd, the replacement of dockershim, supports this release.
    ///
    /// Source: README of cri-dockerd; changelog of 1.24.
    pub const fn supports_cri_dockerd(self) -> bool {
        self.is_since(24)
    }

    /// Whether kubelet still has cloud providers of its own: see [`NO_CLOUD_PROVIDERS_SINCE`].
    pub const fn has_cloud_providers(self) -> bool {
        self.is_before(NO_CLOUD_PROVIDERS_SINCE)
    }

    /// Whether kubeadm writes `cgroupDriver: systemd` into a configuration that does not name a
    /// driver.
    ///
    /// Source: changelog of 1.22.
    pub const fn kubeadm_sets_systemd_driver(self) -> bool {
        self.is_since(22)
    }

    /// The shortest prefix of a Service network that kube-apiserver accepts.
    ///
    /// A network may have at most 2^20 addresses. Since 1.33 (`MultiCIDRServiceAllocator`,
    /// KEP-1880) only IPv6 has a limit, 2^64.
    pub const fn shortest_service_prefix(self, is_ipv4: bool) -> u8 {
        match (is_ipv4, self.is_before(33)) {
            (true, true) => 12,
            (false, true) => 108,
            (true, false) => 1,
            (false, false) => 64,
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

impl Version {
    /// Whether kubelet counts the files of volumes and of container logs with the program `find`
    /// (`pkg/volume/util/fs`), and logs an error every ten seconds when `find` is missing.
    ///
    /// Source: kubernetes/kubernetes#96115, which counts in Go; it is in 1.21.8 and later.
    pub const fn counts_files_with_find(self) -> bool {
        self.minor.is_before(21) || (self.minor.0 == 21 && self.patch < 8)
    }

    /// Why a kubelet of this version does not support an API server of version `api`, if so: it may
    /// be at most three minor releases older, or two before 1.25.
    ///
    /// Source: version skew policy of Kubernetes; KEP-3935 raised the limit from two releases to
    /// three.
    pub fn skew(self, api: Self) -> Option<Skew> {
        let number = |version: Self| (version.major, version.minor.0);
        if number(self) > number(api) {
            return Some(Skew::Newer);
        }
        let most = if self.minor.is_before(25) { 2 } else { 3 };
        if self.major == api.major && api.minor.0 - self.minor.0 <= most {
            return None;
        }
        // The limit depends on kubelet's release: 1.25 is the first that may be three releases
        // older, so 1.28 is the first API server that accepts such a kubelet.
        let reach = if api.minor.is_before(28) { 2 } else { 3 };
        Some(Skew::Older { most, oldest: Minor(api.minor.0.saturating_sub(reach)) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(minor: u32, patch: u32) -> Version {
        Version { major: 1, minor: Minor(minor), patch }
    }

    #[test]
    fn each_predicate_changes_in_one_release() {
        let first = |holds: &dyn Fn(Minor) -> bool| (20..=37).find(|number| holds(Minor(*number)));
        assert_eq!(first(&Minor::has_config_drop_ins), Some(30));
        assert_eq!(first(&|minor| !minor.needs_container_runtime_flag()), Some(24));
        assert_eq!(first(&Minor::has_runtime_endpoint_field), Some(27));
        assert_eq!(first(&|minor| !minor.needs_pause_image_flag()), Some(27));
        assert_eq!(first(&Minor::has_taints_field), Some(23));
        assert_eq!(first(&Minor::rejects_cgroup_v1), Some(35));
        assert_eq!(first(&Minor::speaks_cri_v1), Some(23));
        assert_eq!(first(&Minor::speaks_only_cri_v1), Some(26));
        assert_eq!(first(&|minor| !minor.supports_containerd_1()), Some(36));
        assert_eq!(first(&Minor::supports_cri_dockerd), Some(24));
        assert_eq!(first(&|minor| !minor.has_cloud_providers()), Some(29));
        assert_eq!(first(&Minor::kubeadm_sets_systemd_driver), Some(22));
        assert_eq!(first(&|minor| minor.shortest_service_prefix(true) == 1), Some(33));
        assert_eq!(first(&|minor| !minor.is_known()), Some(37));
    }

    #[test]
    fn patch_releases_matter_for_a_backported_fix() {
        let with = [version(20, 15), version(21, 7)];
        let without = [version(21, 8), version(22, 0)];
        assert!(with.into_iter().all(Version::counts_files_with_find));
        assert!(!without.into_iter().any(Version::counts_files_with_find));
    }

    #[test]
    fn skew_names_the_oldest_kubelet() {
        assert_eq!(version(30, 9).skew(version(30, 0)), None);
        assert_eq!(version(31, 0).skew(version(30, 9)), Some(Skew::Newer));
        assert_eq!(version(30, 0).skew(version(34, 0)), Some(Skew::Older { most: 3, oldest: Minor(31) }));
        assert_eq!(version(24, 0).skew(version(27, 0)), Some(Skew::Older { most: 2, oldest: Minor(25) }));
        let next = Version { major: 2, ..version(0, 0) };
        assert!(matches!(version(36, 0).skew(next), Some(Skew::Older { .. })));
    }
}
