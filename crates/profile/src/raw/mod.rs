//! The keys of the files that users write. Doc comments become the descriptions in the JSON Schema
//! and docs/profile.md.
//!
//! Every key is optional here, because a child may set one key of a map that its parent defines.
//! Required keys are checked after the merge.

mod cluster;
mod images;
mod node;
mod release;

pub(super) use cluster::*;
pub(super) use images::*;
pub(super) use node::*;
pub(super) use release::*;

use super::model::{Arch, Cri, KubeletConfigSource, RootFileSystem, SeedSource};
use super::output::Output;
use super::place::At;
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;

/// A map whose keys and values have positions.
pub(super) type Map<V> = BTreeMap<At<String>, V>;

/// The contents of one role's image.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[schemars(title = "kiln profile")]
pub(super) struct RawProfile {
    /// The profile that this one extends: a name in the same directory, or a path to a YAML file.
    /// Scalars replace, maps merge per key, lists append, and `null` removes the inherited value.
    #[schemars(extend("examples" = ["base"]))]
    pub extends: Option<At<String>>,
    /// What the image calls itself in `/usr/lib/os-release`.
    pub image: RawImage,
    /// Target architecture. Default: that of the build host.
    pub arch: Option<At<Arch>>,
    /// Debian's archive, and the packages to install.
    pub debian: RawDebian,
    /// Kernel, its modules, settings and command line.
    pub kernel: RawKernel,
    /// The Kubernetes release: a file of `releases/` beside the profile, or a path to a YAML file.
    /// Required.
    #[schemars(extend("examples" = ["v1.36.4"]))]
    pub release: Option<At<String>>,
    /// Components of the release in the image, by name. A component that is not named is left out.
    #[schemars(extend("examples" = [{"kubelet": "required", "crictl": "optional"}]))]
    pub components: Map<At<Demand>>,
    /// kubelet's settings.
    pub kubelet: RawKubelet,
    /// `cluster`: a node compares its kubelet's configuration with the cluster's (ConfigMap
    /// `kubelet-config`), in the fields that must be equal in a cluster, and reports differences;
    /// it changes nothing. `baked`: it does not compare them. Default: `baked`.
    #[schemars(extend("default" = "baked"))]
    pub kubelet_config: Option<At<KubeletConfigSource>>,
    /// kube-proxy as a service of the node. Default: none, because clusters made by kubeadm run it
    /// as a DaemonSet. The release must have the component `kube-proxy`. The service starts when
    /// `/etc/kubernetes/kube-proxy.conf`, or the file that `clientConnection.kubeconfig` names,
    /// exists.
    #[schemars(extend("examples" = [{"config": {"mode": "ipvs"}}]))]
    pub kube_proxy: Option<At<RawKubeProxy>>,
    /// The program that serves the CRI: `containerd`, or `cri-dockerd` in front of Debian's Docker
    /// Engine, for pods that need its socket. Default: `containerd`.
    #[schemars(extend("default" = "containerd"))]
    pub cri: Option<At<Cri>>,
    /// containerd's settings.
    pub containerd: RawContainerd,
    /// The pod network that a node has before an add-on installs its own.
    pub cni: RawCni,
    /// Further files to download or copy into the image, by a name of your choice.
    #[schemars(extend("examples" = [{"node-problem-detector": {"version": "1.0.0", "url": "https://example.org/npd-{version}-{arch}.tar.gz", "sha256": {"amd64": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"}, "extract": {"bin/npd": "/usr/bin/npd"}}}]))]
    pub artifacts: Map<At<RawArtifact>>,
    /// Preloaded container images, by the full name that pods use. Merged over those of the
    /// release. A kubelet that supports pinned images does not garbage-collect them.
    #[schemars(extend("examples" = [{"registry.example.org/team/app:1.2": {"archive": {"file": "images/app.tar"}}}]))]
    pub images: Map<At<RawContainerImage>>,
    /// systemd units.
    pub units: RawUnits,
    /// Users beyond those of the packages, by name. Passwords are never set.
    #[schemars(extend("examples" = [{"etcd": {"uid": 2379, "home": "/var/lib/etcd"}}]))]
    pub users: Map<At<RawUser>>,
    /// Groups beyond those of the packages: name and gid.
    #[schemars(extend("examples" = [{"etcd": 2379}]))]
    pub groups: Map<At<u32>>,
    /// Files whose contents are given here, by absolute path.
    #[schemars(extend("examples" = [{"/etc/motd": {"content": "A kiln image.\n"}}]))]
    pub files: Map<At<RawFile>>,
    /// Overlay directories, applied to the tree in this order: a name in `overlays/` beside the
    /// directory of profiles, or a path (with a `/`) relative to this file.
    #[schemars(extend("examples" = [["site"]]))]
    pub overlays: Vec<At<String>>,
    /// Links of `update-alternatives`: path of the link and absolute path of the program.
    #[schemars(extend("examples" = [{"/usr/sbin/iptables": "/usr/sbin/iptables-nft"}]))]
    pub alternatives: Map<At<String>>,
    /// dpkg diversions: the path in packages, and where the file is installed instead.
    #[schemars(extend("examples" = [{"/usr/sbin/modinfo": {"to": "/usr/sbin/modinfo.distrib"}}]))]
    pub diversions: Map<At<RawDiversion>>,
    /// Files of packages that are left out, by a name of your choice.
    #[schemars(extend("examples" = [{"man": {"reason": "no man program is installed", "paths": ["usr/share/man/**"]}}]))]
    pub prune: Map<At<RawPrune>>,
    /// Programs that may be set-user-ID, set-group-ID or have capabilities, beyond those of
    /// Debian's packages that `kiln verify` knows: absolute path and the reason.
    #[schemars(extend("examples" = [{"/usr/sbin/pam_timestamp_check": "remembers that somebody gave a password"}]))]
    pub privileged: Map<At<String>>,
    /// Type of the root file system on disks. Default: `ext4`.
    pub root: Option<At<RootFileSystem>>,
    /// Where a node's seed may come from.
    pub seed: RawSeed,
    /// Partition and disk sizes.
    pub disk: RawDisk,
    /// Outputs of `kiln build`. Default: `[pxe]`.
    #[schemars(extend("examples" = [["pxe", "disk"]]))]
    pub outputs: Vec<At<Output>>,
}

/// What the image calls itself in `/usr/lib/os-release`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct RawImage {
    /// `IMAGE_ID`: lower-case letters, digits, `-`, `_` and `.`. Default: `kiln-` and the role.
    #[schemars(extend("examples" = ["kiln-worker"]))]
    pub id: Option<At<String>>,
    /// `IMAGE_VERSION`, of the same characters. Default: the Kubernetes version of the release.
    #[schemars(extend("examples" = ["2026.11.1"]))]
    pub version: Option<At<String>>,
}

/// Where a node's seed may come from.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct RawSeed {
    /// The only sources of seeds that a node accepts; docs/agent.md describes them and their order.
    /// Default: all, but no volumes (`nocloud`, `config-drive`) on a node that keeps its state in
    /// memory.
    #[schemars(extend("examples" = [["cmdline", "credential"]]))]
    pub sources: Vec<At<SeedSource>>,
}

/// Partition and disk sizes, multiples of 1 MiB, written as `256MiB` or `2GiB`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct RawDisk {
    /// Size of the EFI system partition, which contains the boot loader and the kernels and initrds
    /// of two versions. Default: `256MiB`.
    #[schemars(extend("default" = "256MiB"))]
    pub esp_size: Option<At<String>>,
    /// Size of each of the two root partitions, between which updates alternate. `fit`: a quarter
    /// more than this version needs, for later versions, in steps of 64 MiB. Default: `fit`.
    #[schemars(extend("default" = "fit", "examples" = ["2GiB"]))]
    pub root_size: Option<At<String>>,
    /// Size of the whole disk. `minimal`: no larger than its partitions need; the rest of a
    /// machine's disk becomes its state. Default: `minimal`.
    #[schemars(extend("default" = "minimal", "examples" = ["16GiB"]))]
    pub size: Option<At<String>>,
}

/// Debian's archive, and the packages to install.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct RawDebian {
    /// Release code name: `trixie`, `bookworm`, or another one with an entry under `suites`.
    /// Default: `trixie`.
    #[schemars(extend("default" = kiln_debian::DEFAULT_SUITE))]
    pub suite: Option<At<String>>,
    /// Components of the archive. Default: `[main]`.
    #[schemars(extend("examples" = [["main", "non-free-firmware"]]))]
    pub components: Vec<At<String>>,
    /// URLs of the archive, tried in order; `{snapshot}` is replaced by `snapshot`. Default: those
    /// of the host's own apt sources.
    #[schemars(extend("examples" = [["https://mirror.example.org/debian"]]))]
    pub mirrors: Vec<At<String>>,
    /// The same for the security archive. Default: those of the host's own apt sources.
    #[schemars(extend("examples" = [["https://mirror.example.org/debian-security"]]))]
    pub security_mirrors: Vec<At<String>>,
    /// Timestamp in an archive of snapshots. With it, an expired `Valid-Until` is accepted.
    #[schemars(extend("examples" = ["20261101T000000Z"]))]
    pub snapshot: Option<At<String>>,
    /// OpenPGP keyring that signs the archive, relative to this file. Default: the host's
    /// `debian-archive-keyring`.
    #[schemars(extend("examples" = ["keys/archive.gpg"]))]
    pub keyring: Option<At<String>>,
    /// Packages to install, `name` or `name=version`; `{arch}` is replaced by the architecture.
    /// Overrides `exclude` of a parent.
    #[schemars(extend("examples" = [["systemd", "socat"]]))]
    pub packages: Vec<At<String>>,
    /// Packages that are never installed; a dependency on one counts as satisfied. Overrides
    /// `packages` of a parent.
    #[schemars(extend("examples" = [["initramfs-tools"]]))]
    pub exclude: Vec<At<String>>,
    /// Settings per suite, by the suite's name.
    #[schemars(extend("examples" = [{"trixie": {"packages": ["systemd-repart"]}}]))]
    pub suites: Map<RawSuite>,
}

/// Settings of one suite.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct RawSuite {
    /// Packages added to `debian.packages` on this suite.
    pub packages: Vec<At<String>>,
    /// Packages added to `debian.exclude` on this suite.
    pub exclude: Vec<At<String>>,
}

/// Kernel, its modules, settings and command line.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct RawKernel {
    /// Debian package of the kernel; `{arch}` is replaced by the architecture. Default:
    /// `linux-image-cloud-{arch}`.
    #[schemars(extend("default" = kiln_debian::KERNEL))]
    pub package: Option<At<String>>,
    /// Kernel modules.
    pub modules: RawModules,
    /// Settings written to `sysctl.d`.
    #[schemars(extend("examples" = [{"net.ipv4.ip_forward": "1"}]))]
    pub sysctls: Map<At<String>>,
    /// Huge pages reserved at boot for pods that request `hugepages-SIZE`: the number of each size,
    /// `2Mi` or `1Gi` (on arm64 also `64Ki` and `32Mi`). They become parameters of the kernel
    /// command line.
    #[schemars(extend("examples" = [{"1Gi": 4}]))]
    pub huge_pages: Map<At<u32>>,
    /// Parameters of the kernel command line.
    #[schemars(extend("examples" = [["console=ttyS0", "quiet"]]))]
    pub cmdline: Vec<At<String>>,
}

/// Kernel modules.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct RawModules {
    /// Modules kept in the image, with their dependencies: names, globs of names (`virtio_*`), or
    /// globs of paths below `/usr/lib/modules/VERSION` (`kernel/drivers/net/**`). One that matches
    /// nothing is an error unless it ends in `?`. Default: all.
    #[schemars(extend("examples" = [["virtio*", "kernel/net/netfilter/**"]]))]
    pub keep: Vec<At<String>>,
    /// Modules loaded at boot (`modules-load.d`); they are kept as well.
    #[schemars(extend("examples" = [["br_netfilter"]]))]
    pub load: Vec<At<String>>,
}
