//! A Kubernetes release, and the artifacts that releases and profiles name.

use super::super::model::ContainerdSeries;
use super::super::place::At;
use super::{Map, RawContainerImage};
use schemars::JsonSchema;
use serde::Deserialize;

/// Whether an image contains a component.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub(crate) enum Demand {
    /// The release must have it.
    Required,
    /// It is included if the release has it.
    Optional,
    /// It is left out.
    Omitted,
}

/// A Kubernetes release: one file of `profiles/releases/`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[schemars(title = "kiln release")]
pub(crate) struct RawRelease {
    /// Kubernetes version. Required.
    #[schemars(extend("examples" = ["1.36.4"]))]
    pub kubernetes: Option<At<String>>,
    /// Image of the pod sandbox. Required.
    #[schemars(extend("examples" = ["registry.k8s.io/pause:3.10.2"]))]
    pub pause_image: Option<At<String>>,
    /// The configuration format that containerd reads: `1` for containerd 1.6 and 1.7, `2` for 2.0
    /// and later. Required.
    pub containerd_series: Option<At<ContainerdSeries>>,
    /// Components that kiln fetches, by name: `kubelet`, `kubeadm`, `kubectl`, `kube-proxy`,
    /// `containerd`, `runc`, `cni-plugins`, `crictl`. A profile's `components` chooses from these
    /// and from `packages`.
    #[schemars(extend("examples" = [{"kubelet": {"version": "1.36.4", "url": "https://dl.k8s.io/release/v{version}/bin/linux/{arch}/kubelet", "sha256": {"amd64": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"}, "install": "/usr/bin/kubelet"}}]))]
    pub components: Map<At<RawArtifact>>,
    /// Components that come as Debian packages: name of the component and of the package.
    #[schemars(extend("examples" = [{"cni-plugins": "containernetworking-plugins"}]))]
    pub packages: Map<At<String>>,
    /// Preloaded container images of this release, such as `pauseImage`; same format as a profile's
    /// `images`.
    #[schemars(extend("examples" = [{"registry.k8s.io/pause:3.2": {"binary": {"program": "/usr/bin/catatonit", "entrypoint": "/pause", "args": ["-P"]}}}]))]
    pub images: Map<At<RawContainerImage>>,
}

/// A file that is fetched into the image: given by `url` or `file`, and installed by one of
/// `install`, `extract` and `deb`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct RawArtifact {
    /// Its version, which replaces `{version}` in `url` and `file`. Required.
    #[schemars(extend("examples" = ["1.0.0"]))]
    pub version: Option<At<String>>,
    /// Where to download it; `{version}` and `{arch}` are replaced.
    #[schemars(extend("examples" = ["https://example.org/npd-{version}-{arch}.tar.gz"]))]
    pub url: Option<At<String>>,
    /// A file on the build host instead of `url`, relative to this file; `~/` is the home
    /// directory, `{version}` and `{arch}` are replaced.
    #[schemars(extend("examples" = ["builds/{arch}/npd"]))]
    pub file: Option<At<String>>,
    /// SHA-256 per architecture (`amd64`, `arm64`, or `all`). Required with `url`; with `file` the
    /// lock pins it.
    #[schemars(extend("examples" = [{"all": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"}]))]
    pub sha256: Map<At<String>>,
    /// Installs the bytes as one file: its absolute path in the image.
    #[schemars(extend("examples" = ["/usr/bin/npd"]))]
    pub install: Option<At<String>>,
    /// Permission bits for `install`, four octal digits. Default: `0755`.
    #[schemars(extend("default" = "0755"))]
    pub mode: Option<At<String>>,
    /// Extracts a tar archive (gzip, xz, zstd or uncompressed): members (a directory with all below
    /// it, `.` for everything) and their absolute paths in the image.
    #[schemars(extend("examples" = [{"bin/npd": "/usr/bin/npd"}]))]
    pub extract: Map<At<String>>,
    /// Unpacks a Debian package like those of the archive. Default: false.
    #[schemars(extend("default" = false))]
    pub deb: Option<At<bool>>,
}
