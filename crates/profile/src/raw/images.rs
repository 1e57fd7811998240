//! Preloaded container images.

use super::super::place::At;
use super::Map;
use schemars::JsonSchema;
use serde::Deserialize;

/// A preloaded container image: given by one of `archive`, `registry` and `binary`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct RawContainerImage {
    /// An OCI archive (`skopeo copy … oci-archive:FILE`), compressed or not. From several images
    /// kiln takes the one of this name, and from several architectures that of the nodes.
    pub archive: Option<At<RawImageFile>>,
    /// Its reference in a registry. Without a digest, the lock pins the digest that the tag names.
    #[schemars(extend("examples" = ["registry.example.org/team/app:1.2", "registry.example.org/team/app@sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"]))]
    pub registry: Option<At<String>>,
    /// A static program, made into an image of one layer.
    pub binary: Option<At<RawBinary>>,
}

/// A file, given by `url` or `file`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct RawImageFile {
    /// Where to download it; `{arch}` is replaced.
    #[schemars(extend("examples" = ["https://example.org/app-{arch}.tar"]))]
    pub url: Option<At<String>>,
    /// A file on the build host instead of `url`, relative to this file; `~/` is the home
    /// directory, `{arch}` is replaced.
    #[schemars(extend("examples" = ["images/app-{arch}.tar"]))]
    pub file: Option<At<String>>,
    /// SHA-256 per architecture (`amd64`, `arm64`, or `all`). Required with `url`; with `file` the
    /// lock pins it.
    #[schemars(extend("examples" = [{"all": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"}]))]
    pub sha256: Map<At<String>>,
}

/// A static program, given by `program`, `url` or `file`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct RawBinary {
    /// Absolute path of a program on the node, from a package, a component or an artifact.
    #[schemars(extend("examples" = ["/usr/bin/catatonit"]))]
    pub program: Option<At<String>>,
    /// Where to download it; `{arch}` is replaced.
    #[schemars(extend("examples" = ["https://example.org/app-{arch}"]))]
    pub url: Option<At<String>>,
    /// A file on the build host, relative to this file; `~/` is the home directory, `{arch}` is
    /// replaced.
    #[schemars(extend("examples" = ["builds/{arch}/app"]))]
    pub file: Option<At<String>>,
    /// SHA-256 per architecture (`amd64`, `arm64`, or `all`) for `url` and `file`. Required with
    /// `url`; with `file` the lock pins it.
    #[schemars(extend("examples" = [{"all": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"}]))]
    pub sha256: Map<At<String>>,
    /// Its absolute path in the container image, which containers start. Required.
    #[schemars(extend("examples" = ["/app"]))]
    pub entrypoint: Option<At<String>>,
    /// Arguments; a pod's `args` replace them.
    #[schemars(extend("examples" = [["--listen", ":8080"]]))]
    pub args: Vec<At<String>>,
    /// User, or user and group, by number. Default: root.
    #[schemars(extend("examples" = ["65535:65535"]))]
    pub user: Option<At<String>>,
}
