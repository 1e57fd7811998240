//! Keys of a profile that configure the running node.

use super::super::json::Json;
use super::super::place::At;
use super::Map;
use schemars::JsonSchema;
use serde::Deserialize;

/// kubelet's settings.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct RawKubelet {
    /// `KubeletConfiguration` (kubelet.config.k8s.io/v1beta1) fields in upstream's spelling, merged
    /// over kiln's defaults.
    #[schemars(extend("examples" = [{"maxPods": 64, "evictionHard": {"memory.available": "200Mi"}}]))]
    pub config: Map<At<Json>>,
    /// Further flags, without the leading `--`.
    #[schemars(extend("examples" = [{"v": "2"}]))]
    pub args: Map<At<String>>,
    /// Labels with which the node registers itself. The API server rejects a node that gives itself
    /// a `node-role.kubernetes.io/` label, so kiln rejects such labels here.
    #[schemars(extend("examples" = [{"node.kubernetes.io/nodetype": "app"}]))]
    pub labels: Map<At<String>>,
    /// Taints with which the node registers itself.
    #[schemars(extend("examples" = [[{"key": "dedicated", "value": "ingress", "effect": "NoSchedule"}]]))]
    pub taints: Vec<At<RawTaint>>,
}

/// A node taint.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct RawTaint {
    /// Qualified name. Required.
    #[schemars(extend("examples" = ["dedicated"]))]
    pub key: Option<At<String>>,
    /// Value. Default: empty.
    #[schemars(extend("examples" = ["ingress"]))]
    pub value: Option<At<String>>,
    /// Effect on pods that do not tolerate the taint. Required.
    pub effect: Option<At<Effect>>,
}

/// The effect of a taint.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[schemars(inline)]
pub(crate) enum Effect {
    NoSchedule,
    PreferNoSchedule,
    NoExecute,
}

/// kube-proxy as a service of the node itself.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct RawKubeProxy {
    /// `KubeProxyConfiguration` (kubeproxy.config.k8s.io/v1alpha1) fields in upstream's spelling.
    #[schemars(extend("examples" = [{"mode": "ipvs"}]))]
    pub config: Map<At<Json>>,
}

/// containerd's settings.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct RawContainerd {
    /// Snapshotter of the CRI plugin: `overlayfs`, `native`, `btrfs`, `zfs`, or with containerd 2
    /// `erofs`. Default: `overlayfs`.
    #[schemars(extend("default" = "overlayfs"))]
    pub snapshotter: Option<At<String>>,
    /// Registry mirrors: the host of a registry (`_default` for all others) and the endpoints tried
    /// before it.
    #[schemars(extend("examples" = [{"docker.io": ["https://mirror.example.org"]}]))]
    pub mirrors: Map<Vec<At<String>>>,
    /// OCI runtimes in addition to `runc`, by the handler of their RuntimeClass.
    #[schemars(extend("examples" = [{"nvidia": {"binary": "/usr/bin/nvidia-container-runtime"}}]))]
    pub runtimes: Map<At<RawRuntime>>,
    /// Address and port on which containerd serves Prometheus metrics. Default: none.
    #[schemars(extend("examples" = ["127.0.0.1:1338"]))]
    pub metrics: Option<At<String>>,
}

/// An OCI runtime. A package, an artifact or an overlay provides its program.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct RawRuntime {
    /// The shim that containerd starts. Default: `io.containerd.runc.v2`.
    #[schemars(extend("default" = "io.containerd.runc.v2"))]
    pub r#type: Option<At<String>>,
    /// Absolute path of the program that the runc shim calls instead of runc.
    #[schemars(extend("examples" = ["/usr/bin/crun"]))]
    pub binary: Option<At<String>>,
}

/// The pod network that a node has before an add-on installs its own.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct RawCni {
    /// `bridge` (pods reach each other on this node, and other hosts through it) or `none` (a
    /// network add-on installs its own). The other keys apply to `bridge` only. Default: `bridge`.
    #[schemars(extend("default" = "bridge"))]
    pub plugin: Option<At<Plugin>>,
    /// Name of the bridge device. Default: `cbr0`.
    #[schemars(extend("default" = "cbr0"))]
    pub name: Option<At<String>>,
    /// Network of this node's pods, CIDR; a node's seed may override it (`podCIDR`). Default: what
    /// the cluster assigns to the node (kube-controller-manager `--allocate-node-cidrs`), and
    /// `10.88.0.0/16` on a node that joins none.
    #[schemars(extend("examples" = ["10.88.0.0/16"]))]
    pub subnet: Option<At<String>>,
    /// MTU of the pods' devices. Default: the kernel's choice.
    #[schemars(extend("examples" = [1450]))]
    pub mtu: Option<At<u32>>,
}

/// A baked pod network.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub(crate) enum Plugin {
    Bridge,
    None,
}

/// systemd units.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct RawUnits {
    /// Units (`foo.service`) and drop-ins (`foo.service.d/10-bar.conf`) to add, with their text.
    #[schemars(extend("examples" = [{"hello.service": "[Service]\nExecStart=/usr/bin/true\n\n[Install]\nWantedBy=multi-user.target\n"}]))]
    pub add: Map<At<String>>,
    /// States of units, regardless of the packages' presets, in the terms of `systemctl
    /// is-enabled`. A unit that neither a package nor `add` provides is an error unless its name
    /// ends in `?`.
    #[schemars(extend("examples" = [{"systemd-networkd.service": "enabled", "apt-daily.timer?": "masked"}]))]
    pub states: Map<At<UnitState>>,
    /// The target to boot into. Default: `multi-user.target`.
    #[schemars(extend("default" = "multi-user.target"))]
    pub default_target: Option<At<String>>,
}

/// The state of a unit, as `systemctl is-enabled` reports it.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub(crate) enum UnitState {
    Enabled,
    Disabled,
    Masked,
}

/// A user; passwords are never set.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct RawUser {
    /// Numeric id. Required.
    #[schemars(extend("examples" = [2379]))]
    pub uid: Option<At<u32>>,
    /// Primary group, a name or a number. Default: a group of the user's name and number.
    #[schemars(extend("examples" = ["daemon"]))]
    pub group: Option<At<String>>,
    /// Home directory. Default: `/nonexistent`.
    #[schemars(extend("default" = "/nonexistent"))]
    pub home: Option<At<String>>,
    /// Login shell. Default: `/usr/sbin/nologin`.
    #[schemars(extend("default" = "/usr/sbin/nologin"))]
    pub shell: Option<At<String>>,
    /// Supplementary groups.
    #[schemars(extend("examples" = [["systemd-journal"]]))]
    pub groups: Vec<At<String>>,
    /// The user's description (GECOS).
    #[schemars(extend("examples" = ["etcd key-value store"]))]
    pub comment: Option<At<String>>,
}

/// A file whose contents are in the profile.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct RawFile {
    /// Its text. Required.
    #[schemars(extend("examples" = ["A kiln image.\n"]))]
    pub content: Option<At<String>>,
    /// Permission bits, four octal digits. Default: `0644`.
    #[schemars(extend("default" = "0644"))]
    pub mode: Option<At<String>>,
    /// Owner, a number. Default: 0.
    #[schemars(extend("default" = 0))]
    pub uid: Option<At<u32>>,
    /// Group, a number. Default: 0.
    #[schemars(extend("default" = 0))]
    pub gid: Option<At<u32>>,
    /// Whether it may replace a file of a package or one that kiln writes. Default: false; a
    /// conflict then stops the build.
    #[schemars(extend("default" = false))]
    pub replace: Option<At<bool>>,
}

/// A dpkg diversion.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct RawDiversion {
    /// Absolute path where the file is installed instead. Required.
    #[schemars(extend("examples" = ["/usr/sbin/modinfo.distrib"]))]
    pub to: Option<At<String>>,
    /// The package whose own copy keeps the path. Default: none.
    #[schemars(extend("examples" = ["kmod"]))]
    pub by: Option<At<String>>,
}

/// Files left out of the image, and why that is safe.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct RawPrune {
    /// Why nothing on a node needs the files. Required.
    #[schemars(extend("examples" = ["no man program is installed"]))]
    pub reason: Option<At<String>>,
    /// Globs of paths, without a leading slash; `*` stays in one directory, `**` crosses them.
    /// Required.
    #[schemars(extend("examples" = [["usr/share/man/**"]]))]
    pub paths: Vec<At<String>>,
    /// Globs of paths that are kept although they match `paths`.
    #[schemars(extend("examples" = [["usr/share/doc/*/copyright"]]))]
    pub keep: Vec<At<String>>,
}
