//! A validated profile: the contents of one role's image, after merging `extends` and checking
//! every value.
//!
//! Other crates use these plain values. Only this crate's loader creates them, so the owner of a
//! [`Profile`] need not check it again.

use super::cluster::Cluster;
use super::output::Output;
use super::places::Places;
pub use kiln_kubernetes::Version as KubernetesVersion;
use kiln_kubernetes::kube_proxy_config::Mode as ProxyMode;
use kiln_kubernetes::runtimes;
use kiln_oci::Reference;
use kiln_tree::{Digest, TreePath};
use kiln_url::Url;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

/// One role's image.
#[derive(Debug, Clone, Serialize)]
pub struct Profile {
    /// The role's name: the stem of the profile's file (`worker`).
    pub role: String,
    /// The file it was loaded from.
    #[serde(skip)]
    pub path: PathBuf,
    /// Where each key was written.
    #[serde(skip)]
    pub places: Places,
    /// `IMAGE_ID` and `IMAGE_VERSION` of `/usr/lib/os-release`.
    pub image: Image,
    /// Target architecture.
    pub arch: Arch,
    /// Debian's archive, and the packages to install.
    pub debian: Debian,
    /// The kernel, its modules and their settings.
    pub kernel: Kernel,
    /// The Kubernetes release: every component pinned.
    pub release: Release,
    /// The cluster that its nodes join, if the image is for one.
    pub cluster: Option<Cluster>,
    /// kubelet's settings.
    pub kubelet: Kubelet,
    /// Whether nodes report how their kubelet's configuration differs from the cluster's.
    pub kubelet_config: KubeletConfigSource,
    /// kube-proxy's settings, if it is a service of the node.
    pub kube_proxy: Option<KubeProxy>,
    /// The program that serves the CRI.
    pub cri: Cri,
    /// containerd's settings.
    pub containerd: Containerd,
    /// The pod network that a node has before an add-on installs its own.
    pub cni: Cni,
    /// Further files to fetch into the image.
    pub artifacts: Vec<Artifact>,
    /// Preloaded container images, including those of the release, by full name.
    pub images: BTreeMap<String, ImageSource>,
    /// systemd units.
    pub units: Units,
    /// Users and groups beyond those of the packages.
    pub accounts: Accounts,
    /// Files whose contents are in the profile, by path.
    pub files: BTreeMap<TreePath, InlineFile>,
    /// Overlay directories, in the order in which they are applied.
    pub overlays: Vec<PathBuf>,
    /// `update-alternatives` links by link path (`usr/sbin/iptables`) → target path.
    pub alternatives: BTreeMap<TreePath, Alternative>,
    /// dpkg diversions: a path that a package ships → the path where it is installed instead.
    pub diversions: Vec<Diversion>,
    /// Files of packages that are left out of the image, by rule name.
    pub prune: BTreeMap<String, PruneRule>,
    /// Programs that may have more privileges than their caller, each with the reason.
    pub privileged: BTreeMap<TreePath, String>,
    /// The root file system's type on disks.
    pub root: RootFileSystem,
    /// Where a node's seed may come from.
    pub seed: Seed,
    /// Partition and disk sizes.
    pub disk: Disk,
    /// Outputs of `kiln build`.
    pub outputs: BTreeSet<Output>,
}

/// Identity of the image.
#[derive(Debug, Clone, Serialize, serde::Deserialize)]
pub struct Image {
    /// `IMAGE_ID`: lower-case letters, digits, `-`, `_`, `.`. Default: `kiln-<role>`.
    pub id: String,
    /// `IMAGE_VERSION`, of the same characters.
    pub version: String,
}

/// Target architecture, by Debian's and Kubernetes' common names.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, serde::Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Arch {
    /// x86-64.
    Amd64,
    /// AArch64.
    Arm64,
}

impl Arch {
    /// Debian's and Kubernetes' name, `amd64` or `arm64`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }
}

impl fmt::Display for Arch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Debian packages.
#[derive(Debug, Clone, Serialize)]
pub struct Debian {
    /// Release code name, `trixie` or `bookworm`.
    pub suite: String,
    /// Components, `main` first.
    pub components: Vec<String>,
    /// URLs of the archive's mirrors, tried in order; if empty, those of the host's own apt
    /// sources. `{snapshot}` is replaced by [`Debian::snapshot`].
    pub mirrors: Vec<Url>,
    /// The same for the security archive (`<suite>-security`).
    pub security_mirrors: Vec<Url>,
    /// A snapshot timestamp, `20261101T000000Z`; with it `Valid-Until` is ignored.
    pub snapshot: Option<String>,
    /// OpenPGP keyring that signs the archive; default: the host's `debian-archive-keyring`.
    pub keyring: Option<PathBuf>,
    /// Requested packages: `name` or `name=version`.
    pub packages: BTreeSet<String>,
    /// Packages that are never installed; a dependency on one counts as satisfied.
    pub exclude: BTreeSet<String>,
}

/// Kernel package and settings.
#[derive(Debug, Clone, Serialize)]
pub struct Kernel {
    /// Debian package, e.g. `linux-image-cloud-amd64` (a meta package or an exact one).
    pub package: String,
    /// Modules kept in the image, by name or glob (`virtio_*`, `kernel/drivers/net/**`); their
    /// dependencies are kept as well. A trailing `?` makes one optional. If empty, all are kept.
    pub modules_keep: Vec<String>,
    /// Modules loaded at boot (`modules-load.d`).
    pub modules_load: BTreeSet<String>,
    /// `sysctl.d` settings.
    pub sysctls: BTreeMap<String, String>,
    /// Kernel command line, one parameter each.
    pub cmdline: Vec<String>,
}

/// One file of `profiles/releases/`.
#[derive(Debug, Clone, Serialize)]
pub struct Release {
    /// The file's stem (`v1.36.4`, `debian-1.20.2`).
    pub name: String,
    /// Kubernetes version, e.g. 1.36.4.
    pub kubernetes: KubernetesVersion,
    /// The pause image, `registry/name:tag`.
    pub pause_image: String,
    /// Components that kiln fetches, by name: `kubelet`, `kubeadm`, `kubectl`, `containerd`,
    /// `runc`, `cni-plugins`, `crictl`. Resolved for the profile's architecture.
    pub components: BTreeMap<String, Artifact>,
    /// Debian packages that provide the other components (`containerd`, `runc`,
    /// `containernetworking-plugins`).
    pub packages: BTreeSet<String>,
    /// The series of containerd, which determines its configuration format.
    pub containerd: ContainerdSeries,
}

/// The configuration format that containerd reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, serde::Deserialize, schemars::JsonSchema)]
pub enum ContainerdSeries {
    /// 1.6 and 1.7: `version = 2`.
    #[serde(rename = "1")]
    V1,
    /// 2.0 and later: `version = 3`.
    #[serde(rename = "2")]
    V2,
}

/// A file that is fetched, checked against a digest and put into the tree.
#[derive(Debug, Clone, Serialize)]
pub struct Artifact {
    /// The name in messages, the lock and the manifest.
    pub name: String,
    /// The version in the lock and the manifest.
    pub version: String,
    /// The source of its bytes.
    pub source: ArtifactSource,
    /// Expected SHA-256; required for `url`, pinned by the lock for `file` when absent.
    pub sha256: Option<Digest>,
    /// Its format, and the destinations in the tree.
    pub format: ArtifactFormat,
}

/// The source of an artifact's bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ArtifactSource {
    /// `https://` or `http://` URL.
    Url(Url),
    /// A file on the build host, relative to the file that names it; `~/` is the home directory.
    File(PathBuf),
}

/// How an artifact's bytes become files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ArtifactFormat {
    /// The bytes are the file.
    Raw {
        /// Its path in the image.
        destination: TreePath,
        /// Its permission bits.
        mode: u16,
    },
    /// A tar archive, uncompressed or compressed with gzip, xz or zstd (detected by its first
    /// bytes).
    Tar {
        /// Members to extract, each with its destination; a directory is extracted recursively.
        members: Vec<TarMember>,
    },
    /// A Debian package, unpacked like those of the archive.
    Deb,
}

/// One member (file or directory) of a tar archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TarMember {
    /// Path in the archive; `.` or empty for all members.
    pub member: String,
    /// Path in the image.
    pub destination: TreePath,
}

/// The source of a container image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ImageSource {
    /// An OCI archive.
    Archive(ImageFile),
    /// A registry.
    Registry(Reference),
    /// A static program.
    Binary(Binary),
}

/// A file from which a container image is made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ImageFile {
    /// The source of its bytes.
    pub source: ArtifactSource,
    /// Expected SHA-256; required for `url`, pinned by the lock for `file` when absent.
    pub sha256: Option<Digest>,
}

/// An image of one static program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Binary {
    /// The program.
    pub program: Program,
    /// Its path in the image.
    pub entrypoint: TreePath,
    /// Arguments that a pod may replace.
    pub args: Vec<String>,
    /// `USER` or `USER:GROUP`, numeric; default: root.
    pub user: Option<String>,
}

/// The source of an image's program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Program {
    /// A program of the node, at this path.
    Node(TreePath),
    /// A file that is fetched.
    File(ImageFile),
}

impl ImageSource {
    /// The file that is fetched for it, if any.
    pub fn file(&self) -> Option<&ImageFile> {
        match self {
            Self::Archive(file) | Self::Binary(Binary { program: Program::File(file), .. }) => Some(file),
            Self::Registry(_) | Self::Binary(_) => None,
        }
    }
}

/// kubelet's settings.
#[derive(Debug, Clone, Serialize)]
pub struct Kubelet {
    /// `KubeletConfiguration` fields in upstream's spelling, merged over kiln's defaults.
    pub config: serde_json::Map<String, serde_json::Value>,
    /// Further flags, without `--`: `v: "2"`.
    pub args: BTreeMap<String, String>,
    /// `--node-labels`.
    pub labels: BTreeMap<String, String>,
    /// `registerWithTaints`.
    pub taints: Vec<Taint>,
}

/// kube-proxy as a service of the node.
#[derive(Debug, Clone, Serialize)]
pub struct KubeProxy {
    /// `KubeProxyConfiguration` fields in upstream's spelling.
    pub config: serde_json::Map<String, serde_json::Value>,
    /// The mechanism that implements Services.
    pub mode: ProxyMode,
}

/// A node taint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Taint {
    /// Qualified name.
    pub key: String,
    /// May be empty.
    pub value: String,
    /// `NoSchedule`, `PreferNoSchedule` or `NoExecute`.
    pub effect: String,
}

/// containerd's settings.
#[derive(Debug, Clone, Serialize)]
pub struct Containerd {
    /// Snapshotter of the CRI plugin, `overlayfs` by default.
    pub snapshotter: String,
    /// Registry mirrors: host → endpoints, written to `/etc/containerd/certs.d`.
    pub mirrors: BTreeMap<String, Vec<Url>>,
    /// Runtimes in addition to `runc`, by handler.
    pub runtimes: BTreeMap<String, Runtime>,
    /// The address on which metrics are served.
    pub metrics: Option<SocketAddr>,
}

/// An OCI runtime in containerd's configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Runtime {
    /// Name of the shim, `io.containerd.runc.v2`.
    pub shim: String,
    /// The program that the shim calls instead of runc; only for runc's own shim.
    pub binary: Option<String>,
}

/// The baked pod network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "plugin")]
pub enum Cni {
    /// A bridge with host-local addresses.
    Bridge {
        /// Bridge device, `cbr0`.
        name: String,
        /// Pod network of this node, CIDR.
        subnet: String,
        /// Whether a cluster assigns the network: `subnet` is then the default, for nodes without a
        /// cluster.
        assigned: bool,
        /// MTU; default: the kernel's choice.
        mtu: Option<u32>,
    },
    /// Loopback only: a network add-on installs its own.
    None,
}

/// systemd units.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Units {
    /// Units (`foo.service`) and drop-ins (`foo.service.d/10-x.conf`) to add, with their text.
    pub add: BTreeMap<String, String>,
    /// Units to enable regardless of presets.
    pub enable: BTreeSet<String>,
    /// Units to disable regardless of presets.
    pub disable: BTreeSet<String>,
    /// Units to mask.
    pub mask: BTreeSet<String>,
    /// Units of the three sets above that may be missing in the tree; any other missing unit is an
    /// error.
    pub optional: BTreeSet<String>,
    /// The default target, such as `multi-user.target`.
    pub default_target: String,
}

/// Users and groups beyond those of the packages.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Accounts {
    /// By name.
    pub users: BTreeMap<String, User>,
    /// Name → gid.
    pub groups: BTreeMap<String, u32>,
}

/// A user. Passwords are never set.
#[derive(Debug, Clone, Serialize)]
pub struct User {
    /// Numeric id.
    pub uid: u32,
    /// Primary group: a number or a name, default: the user's own group of the same number.
    pub group: Option<String>,
    /// Home directory, `/nonexistent` by default.
    pub home: String,
    /// Login shell, `/usr/sbin/nologin` by default.
    pub shell: String,
    /// Supplementary groups.
    pub groups: BTreeSet<String>,
    /// GECOS.
    pub comment: String,
}

/// A file whose contents are in the profile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InlineFile {
    /// Its contents.
    pub content: String,
    /// Permission bits.
    pub mode: u16,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Whether it may replace a package's or a rendered file.
    pub replace: bool,
}

/// One alternative: `link` → `/etc/alternatives/<name>` → `target`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Alternative {
    /// Name below `/etc/alternatives`.
    pub name: String,
    /// Absolute path the alternative points to.
    pub target: String,
}

/// A dpkg diversion.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diversion {
    /// The path in packages.
    pub from: TreePath,
    /// The path where it is installed instead.
    pub to: TreePath,
    /// The package whose copy keeps the path, if any.
    pub by: Option<String>,
}

/// Files left out of the image, and why that is safe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PruneRule {
    /// Why nothing on a node needs them.
    pub reason: String,
    /// Globs over paths without a leading slash; `**` crosses directories.
    pub paths: Vec<String>,
    /// Globs that are kept although they match `paths`.
    pub keep: Vec<String>,
}

/// The program that serves the CRI to kubelet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Cri {
    /// containerd's own plugin.
    #[default]
    Containerd,
    /// cri-dockerd, in front of Docker Engine.
    CriDockerd,
}

/// Explains what replaces the runtimes of older guides.
impl<'de> serde::Deserialize<'de> for Cri {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error as _;
        const NAMES: &[&str] = &["containerd", "cri-dockerd"];
        match String::deserialize(deserializer)?.as_str() {
            "containerd" => Ok(Self::Containerd),
            "cri-dockerd" => Ok(Self::CriDockerd),
            other => Err(match runtimes::replacement(other) {
                Some(why) => D::Error::custom(format!("is {other:?}, and {why}")),
                None => D::Error::unknown_variant(other, NAMES),
            }),
        }
    }
}

/// The kubelet configuration with which a node compares its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum KubeletConfigSource {
    /// The image's own.
    #[default]
    Baked,
    /// The image's own, compared with the cluster's when the node has credentials.
    Cluster,
}

/// Where a node's seed may come from.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Seed {
    /// The accepted sources; if there are none, the agent's defaults.
    pub sources: BTreeSet<SeedSource>,
}

/// A source of seeds, by the agent's name ([`kiln_agent::seed::SOURCES`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SeedSource {
    /// `kiln.seed=` on the kernel command line.
    Cmdline,
    /// The systemd credential `kiln.seed`.
    Credential,
    /// A NoCloud volume.
    Nocloud,
    /// An OpenStack config drive.
    ConfigDrive,
    /// User data of a cloud's metadata service.
    UserData,
}

impl SeedSource {
    /// The agent's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cmdline => kiln_agent::seed::CMDLINE,
            Self::Credential => kiln_agent::seed::CREDENTIAL,
            Self::Nocloud => kiln_agent::seed::NOCLOUD,
            Self::ConfigDrive => kiln_agent::seed::CONFIG_DRIVE,
            Self::UserData => kiln_agent::seed::USER_DATA,
        }
    }

    /// Whether it is a block device, which others may be able to attach.
    pub const fn is_volume(self) -> bool {
        matches!(self, Self::Nocloud | Self::ConfigDrive)
    }
}

/// A type of root file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RootFileSystem {
    /// ext4, only ever mounted read-only.
    #[default]
    Ext4,
}

/// The largest disk image in bytes. All of it is hashed when it is made and when it is verified, so
/// a small file that claims terabytes of zeros would occupy a machine for hours.
pub const MAX_DISK_SIZE: u64 = 256 << 30;

/// Sizes of a disk in bytes, multiples of 1 MiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Disk {
    /// Size of the EFI system partition.
    pub esp_size: u64,
    /// Size of each of the two root partitions; default: fitted to the first root.
    pub root_size: Option<u64>,
    /// Size of the whole disk; default: no larger than its partitions need.
    pub size: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_agent_knows_every_source_by_its_name_in_profiles() {
        for name in kiln_agent::seed::SOURCES {
            let source: SeedSource = serde_json::from_value(name.into()).expect("a source");
            assert_eq!(source.as_str(), name);
        }
    }
}
