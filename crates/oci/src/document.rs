//! Indexes, manifests and configurations, parsed from untrusted bytes.

use kiln_tree::Digest;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The largest index or manifest in bytes: what registries must accept (distribution specification,
/// "Pushing Manifests").
pub const MAX_DOCUMENT: u64 = 4 << 20;
/// The largest configuration in bytes.
pub const MAX_CONFIG: u64 = 8 << 20;
/// The highest number of layers; overlayfs allows fewer.
const MAX_LAYERS: usize = 127;
/// The largest layer in bytes: the maximum of a ustar header's size field.
const MAX_LAYER: u64 = (8 << 30) - 1;

/// Media types.
pub mod media_type {
    /// Of an OCI index.
    pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
    /// Of an OCI manifest.
    pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
    /// Of an OCI configuration.
    pub const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
    /// Of a layer that is not compressed.
    pub const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
    /// Docker's index.
    pub const DOCKER_INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
    /// Docker's manifest.
    pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
    /// Docker's configuration.
    pub const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
    /// All media types that a request for a manifest accepts.
    pub const DOCUMENTS: [&str; 4] = [INDEX, MANIFEST, DOCKER_INDEX, DOCKER_MANIFEST];

    /// Media types of layers that containerd unpacks.
    pub(super) const LAYERS: [&str; 6] = [
        LAYER,
        "application/vnd.oci.image.layer.v1.tar+gzip",
        "application/vnd.oci.image.layer.v1.tar+zstd",
        "application/vnd.docker.image.rootfs.diff.tar",
        "application/vnd.docker.image.rootfs.diff.tar.gzip",
        "application/vnd.docker.image.rootfs.diff.tar.zstd",
    ];
}

/// A reference to other content by digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// Its media type.
    pub media_type: String,
    /// Its digest, `sha256:` and 64 digits.
    #[serde(with = "prefixed")]
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
    /// In an index: the platform it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// Annotations.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// The platform of an image, with Go's names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Platform {
    /// `amd64`.
    pub architecture: String,
    /// `linux`.
    pub os: String,
    /// `v8`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

/// What a reference can resolve to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Document {
    /// Manifests, or further indexes.
    Index(Vec<Descriptor>),
    /// One image.
    Manifest(ImageManifest),
}

/// One image for one platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageManifest {
    /// Its media type: the one that it declares, or the one that matches its configuration's.
    pub media_type: String,
    /// Its configuration.
    pub config: Descriptor,
    /// Its layers, lowest first.
    pub layers: Vec<Descriptor>,
}

/// The checked fields of a configuration.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Config {
    /// The platform of the image.
    #[serde(flatten)]
    pub platform: Platform,
    rootfs: RootFs,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct RootFs {
    diff_ids: Vec<String>,
}

/// Why bytes are not an image that a node can run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// Not the expected JSON.
    #[error("it is not {what}: {why}")]
    Malformed {
        /// The expected document, with its article.
        what: &'static str,
        /// Why.
        why: String,
    },
    /// Docker's first schema, whose digests cannot be trusted.
    #[error("it has schema version {0}, which is obsolete; push it again with a current tool")]
    Schema(u64),
    /// Both index and manifest, which readers would interpret differently.
    #[error("it is both an index and a manifest, or neither")]
    Ambiguous,
    /// Content that is stored like an image but is not an image.
    #[error("it holds {0:?}, which is not a container image")]
    NotAnImage(String),
    /// A layer that containerd cannot unpack.
    #[error("its layer {digest} has the type {media_type:?}, which containerd does not unpack")]
    Layer {
        /// The layer.
        digest: Digest,
        /// Its type.
        media_type: String,
    },
    /// More than any valid image has.
    #[error("it has more than {0}")]
    TooMuch(String),
    /// An index has no image for this architecture.
    #[error("it has no image for linux/{wanted} (it has {found})")]
    NoPlatform {
        /// The wanted architecture.
        wanted: String,
        /// The platforms of the index.
        found: String,
    },
    /// The image is for another architecture.
    #[error("it is for {found}, not for linux/{wanted}")]
    OtherPlatform {
        /// The wanted architecture.
        wanted: String,
        /// The platform of the image.
        found: String,
    },
    /// Configuration and manifest do not belong to the same image.
    #[error("its configuration lists {config} layers, its manifest {manifest}")]
    Layers {
        /// The number of `diff_ids`.
        config: usize,
        /// The number of layers.
        manifest: usize,
    },
}

/// An index or a manifest, before its kind is known.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    schema_version: u64,
    media_type: Option<String>,
    manifests: Option<Vec<Descriptor>>,
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
}

impl Document {
    /// Parses an index or a manifest of at most [`MAX_DOCUMENT`] bytes.
    ///
    /// # Errors
    /// [`DocumentError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, DocumentError> {
        within(bytes, MAX_DOCUMENT)?;
        let malformed = |error: serde_json::Error| malformed("an index or manifest", &error);
        let raw: Raw = match serde_json::from_slice(bytes) {
            Ok(raw) => raw,
            // Schema 1 has other fields.
            Err(error) => match serde_json::from_slice::<SchemaOnly>(bytes) {
                Ok(SchemaOnly { schema_version: version }) if version != 2 => {
                    return Err(DocumentError::Schema(version));
                }
                _ => return Err(malformed(error)),
            },
        };
        if raw.schema_version != 2 {
            return Err(DocumentError::Schema(raw.schema_version));
        }
        let said = raw.media_type.as_deref();
        match (raw.manifests, raw.config, raw.layers) {
            (Some(manifests), None, None)
                if said.is_none_or(|said| [media_type::INDEX, media_type::DOCKER_INDEX].contains(&said)) =>
            {
                Ok(Self::Index(manifests))
            }
            (None, Some(config), Some(layers))
                if said.is_none_or(|said| [media_type::MANIFEST, media_type::DOCKER_MANIFEST].contains(&said)) =>
            {
                let docker = config.media_type == media_type::DOCKER_CONFIG;
                let kind = if docker { media_type::DOCKER_MANIFEST } else { media_type::MANIFEST };
                let media_type = said.unwrap_or(kind).to_owned();
                ImageManifest { media_type, config, layers }.checked().map(Self::Manifest)
            }
            _ => Err(DocumentError::Ambiguous),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SchemaOnly {
    schema_version: u64,
}

impl ImageManifest {
    fn checked(self) -> Result<Self, DocumentError> {
        if ![media_type::CONFIG, media_type::DOCKER_CONFIG].contains(&self.config.media_type.as_str()) {
            return Err(DocumentError::NotAnImage(self.config.media_type));
        }
        if self.layers.len() > MAX_LAYERS {
            return Err(DocumentError::TooMuch(format!("{MAX_LAYERS} layers")));
        }
        if self.config.size > MAX_CONFIG {
            return Err(DocumentError::TooMuch(format!("{MAX_CONFIG} bytes of configuration")));
        }
        for layer in &self.layers {
            if !media_type::LAYERS.contains(&layer.media_type.as_str()) {
                return Err(DocumentError::Layer { digest: layer.digest, media_type: layer.media_type.clone() });
            }
            if layer.size > MAX_LAYER {
                return Err(DocumentError::TooMuch(format!("{MAX_LAYER} bytes in a layer")));
            }
        }
        Ok(self)
    }

    /// Configuration and layers.
    pub fn blobs(&self) -> impl Iterator<Item = &Descriptor> {
        std::iter::once(&self.config).chain(&self.layers)
    }

    /// Checks that `bytes` are the configuration of this image and that the image is for linux on
    /// `arch`.
    ///
    /// # Errors
    /// [`DocumentError`].
    pub fn check_config(&self, bytes: &[u8], arch: &str) -> Result<(), DocumentError> {
        let config = Config::parse(bytes)?;
        if !config.platform.is_linux_on(arch) {
            let found = config.platform.to_string();
            return Err(DocumentError::OtherPlatform { wanted: arch.to_owned(), found });
        }
        let (config, manifest) = (config.rootfs.diff_ids.len(), self.layers.len());
        if config == manifest { Ok(()) } else { Err(DocumentError::Layers { config, manifest }) }
    }
}

impl Config {
    /// Parses a configuration of at most [`MAX_CONFIG`] bytes.
    ///
    /// # Errors
    /// [`DocumentError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, DocumentError> {
        within(bytes, MAX_CONFIG)?;
        serde_json::from_slice(bytes).map_err(|error| malformed("the configuration of an image", &error))
    }
}

impl Platform {
    /// Whether nodes of `arch` run it. The only variant of arm64 is v8.
    pub fn is_linux_on(&self, arch: &str) -> bool {
        self.os == "linux" && self.architecture == arch && matches!(self.variant.as_deref(), None | Some("" | "v8"))
    }
}

impl std::fmt::Display for Platform {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let short = |text: &str| text.chars().filter(|char| !char.is_control()).take(40).collect::<String>();
        write!(f, "{}/{}", short(&self.os), short(&self.architecture))?;
        match &self.variant {
            Some(variant) => write!(f, "/{}", short(variant)),
            None => Ok(()),
        }
    }
}

/// The first descriptor of an index that is for linux on `arch`. A single descriptor does not have
/// to name its platform.
///
/// # Errors
/// [`DocumentError::NoPlatform`].
pub fn for_arch<'a>(manifests: &'a [Descriptor], arch: &str) -> Result<&'a Descriptor, DocumentError> {
    let fits = |found: &&Descriptor| found.platform.as_ref().is_some_and(|platform| platform.is_linux_on(arch));
    if let Some(found) = manifests.iter().find(fits) {
        return Ok(found);
    }
    match manifests {
        [only] if only.platform.is_none() => Ok(only),
        _ => {
            let mut found: Vec<String> = manifests
                .iter()
                .filter_map(|found| found.platform.as_ref())
                .map(ToString::to_string)
                .take(10)
                .collect();
            found.dedup();
            let found = if found.is_empty() { "no entry that names its platform".into() } else { found.join(", ") };
            Err(DocumentError::NoPlatform { wanted: arch.to_owned(), found })
        }
    }
}

fn within(bytes: &[u8], limit: u64) -> Result<(), DocumentError> {
    match bytes.len() as u64 > limit {
        true => Err(DocumentError::TooMuch(format!("{limit} bytes"))),
        false => Ok(()),
    }
}

fn malformed(what: &'static str, error: &serde_json::Error) -> DocumentError {
    DocumentError::Malformed { what, why: error.to_string().chars().take(200).collect() }
}

/// `sha256:` and 64 digits.
mod prefixed {
    use kiln_tree::Digest;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(digest: &Digest, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("sha256:{digest}"))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Digest, D::Error> {
        let text = String::deserialize(deserializer)?;
        let digits = text.strip_prefix("sha256:").and_then(|digits| digits.parse().ok());
        digits.ok_or_else(|| D::Error::custom("a digest is not sha256: and 64 hexadecimal digits"))
    }
}

#[cfg(test)]
mod tests;
