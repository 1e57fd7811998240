//! Releases of Kubernetes, and what changed with them.
//!
//! No other room compares numbers of releases: it asks a predicate here, or a table of this crate.
//! `tests/it/layering.rs` enforces that.

use super::kubelet_config;
use serde::Serialize;
use std::fmt;

/// The newest minor release whose fields, flags and gates are all known. A newer one may have more.
pub const NEWEST: Minor = Minor(36);

/// The first release whose kubelet reads drop-ins of its configuration without a variable in its
/// environment: the feature is beta (KEP-3983).
pub const DROP_INS_SINCE: u32 = 30;

/// The first release whose kubelet accepts no cloud provider but `external`: the gate
/// `DisableCloudProviders` is on (KEP-2395). The code itself went away bit by bit, up to 1.31.
pub const NO_CLOUD_PROVIDERS_SINCE: u32 = 29;

/// A minor release of Kubernetes 1, which is what features depend on. It has no order for other
/// crates to compare it by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Minor(u32);

/// `major.minor.patch`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Version {
    /// Always 1 so far.
    pub major: u32,
    /// What features depend on.
    pub minor: Minor,
    /// Bug fixes.
    pub patch: u32,
}

/// Why a kubelet and an API server are not for each other (version skew policy of Kubernetes).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Skew {
    /// kubelet is newer, which it never may be.
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
    /// The number alone: messages write `1.{minor}`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Minor {
    /// Kubernetes 1.`number`.
    pub const fn new(number: u32) -> Self {
        Self(number)
    }

    /// Whether it is Kubernetes 1.`release` or later.
    pub(crate) const fn is_since(self, release: u32) -> bool {
        self.0 >= release
    }

    /// Whether it is older than Kubernetes 1.`release`.
    pub(crate) const fn is_before(self, release: u32) -> bool {
        self.0 < release
    }

    /// The release before this one.
    pub const fn previous(self) -> Self {
        Self(self.0.saturating_sub(1))
    }

    /// Whether all of its fields, flags and gates are known here. A newer release may have others.
    pub const fn is_known(self) -> bool {
        self.0 <= NEWEST.0
    }

    /// Whether kubelet reads drop-ins of its configuration, `--config-dir`, unless its environment
    /// says otherwise: see [`DROP_INS_SINCE`].
    pub const fn has_config_drop_ins(self) -> bool {
        self.is_since(DROP_INS_SINCE)
    }

    /// Whether kubelet runs dockershim unless `--container-runtime=remote` says otherwise.
    ///
    /// Source: changelog of 1.24, which removed dockershim (KEP-2221) and with it any other value
    /// of the flag.
    pub const fn needs_container_runtime_flag(self) -> bool {
        self.is_before(24)
    }

    /// Whether the configuration, and not a flag, says where the container runtime listens.
    ///
    /// Source: `containerRuntimeEndpoint` of `KubeletConfiguration` (changelog of 1.27).
    pub fn has_runtime_endpoint_field(self) -> bool {
        kubelet_config::has("containerRuntimeEndpoint", self)
    }

    /// Whether kubelet must be told of the pause image, or it collects it as garbage. Later the
    /// runtime itself pins the image.
    ///
    /// Source: changelog of 1.27, which deprecated `--pod-infra-container-image`.
    pub const fn needs_pause_image_flag(self) -> bool {
        self.is_before(27)
    }

    /// Whether the configuration, and not a flag, has the taints of a new Node.
    ///
    /// Source: `registerWithTaints` of `KubeletConfiguration` (changelog of 1.23).
    pub fn has_taints_field(self) -> bool {
        kubelet_config::has("registerWithTaints", self)
    }

    /// Whether kubelet does not start on a machine with cgroup v1 unless `failCgroupV1: false` says
    /// otherwise.
    ///
    /// Source: KEP-5573; the field's default changed in 1.35.
    pub fn refuses_cgroup_v1(self) -> bool {
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

    /// Whether containerd 1 is still supported: 1.35 is the last release of which this holds.
    ///
    /// Source: KEP-4033, and "Container Runtimes" of Kubernetes' documentation.
    pub const fn supports_containerd_1(self) -> bool {
        self.is_before(36)
    }

    /// Whether cri-dockerd is for this release: it took dockershim's place.
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

    /// The shortest prefix of a network of Services that kube-apiserver accepts.
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
    /// Whether kubelet counts the files of volumes and of containers' logs with the program `find`
    /// (`pkg/volume/util/fs`), and complains every ten seconds when there is none.
    ///
    /// Source: kubernetes/kubernetes#96115, which does it in Go; it is in 1.21.8 and later.
    pub const fn counts_files_with_find(self) -> bool {
        self.minor.is_before(21) || (self.minor.0 == 21 && self.patch < 8)
    }

    /// What keeps a kubelet of this version from an API server of version `api`: it may be at most
    /// three minor releases older, and before 1.25 two.
    ///
    /// Source: version skew policy of Kubernetes; KEP-3935 made two releases three.
    pub fn skew(self, api: Self) -> Option<Skew> {
        let number = |version: Self| (version.major, version.minor.0);
        if number(self) > number(api) {
            return Some(Skew::Newer);
        }
        let most = if self.minor.is_before(25) { 2 } else { 3 };
        if self.major == api.major && api.minor.0 - self.minor.0 <= most {
            return None;
        }
        // The oldest kubelet decides: one of 1.25 may be three releases older, so an API server of
        // 1.28 is the first that accepts it.
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
    fn what_changed_did_so_in_one_release() {
        let first = |holds: &dyn Fn(Minor) -> bool| (20..=37).find(|number| holds(Minor(*number)));
        assert_eq!(first(&Minor::has_config_drop_ins), Some(30));
        assert_eq!(first(&|minor| !minor.needs_container_runtime_flag()), Some(24));
        assert_eq!(first(&Minor::has_runtime_endpoint_field), Some(27));
        assert_eq!(first(&|minor| !minor.needs_pause_image_flag()), Some(27));
        assert_eq!(first(&Minor::has_taints_field), Some(23));
        assert_eq!(first(&Minor::refuses_cgroup_v1), Some(35));
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
    fn patches_count_where_a_fix_was_brought_back() {
        let with = [version(20, 15), version(21, 7)];
        let without = [version(21, 8), version(22, 0)];
        assert!(with.into_iter().all(Version::counts_files_with_find));
        assert!(!without.into_iter().any(Version::counts_files_with_find));
    }

    #[test]
    fn skew_tells_the_oldest_kubelet() {
        assert_eq!(version(30, 9).skew(version(30, 0)), None);
        assert_eq!(version(31, 0).skew(version(30, 9)), Some(Skew::Newer));
        assert_eq!(version(30, 0).skew(version(34, 0)), Some(Skew::Older { most: 3, oldest: Minor(31) }));
        assert_eq!(version(24, 0).skew(version(27, 0)), Some(Skew::Older { most: 2, oldest: Minor(25) }));
        let next = Version { major: 2, ..version(0, 0) };
        assert!(matches!(version(36, 0).skew(next), Some(Skew::Older { .. })));
    }
}
