//! Documents of images that kiln makes: equal contents give equal bytes.

use super::document::{Descriptor, media_type};
use kiln_tree::Digest;
use serde::Serialize;
use std::collections::BTreeMap;

/// The file `oci-layout` of an OCI image layout.
pub const OCI_LAYOUT: &str = "{\"imageLayoutVersion\":\"1.0.0\"}";

/// What kiln sets in a configuration; everything else is left to the runtime's defaults.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ImageConfig {
    /// User, or user and group, by number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// `NAME=value`.
    pub env: Vec<String>,
    /// The program and the arguments that a pod cannot replace.
    pub entrypoint: Vec<String>,
    /// Arguments that a pod's `args` replace.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cmd: Vec<String>,
}

impl ImageConfig {
    /// The configuration of an image for linux on `arch` with one uncompressed layer, `layer`. It
    /// contains no time.
    pub fn document(&self, arch: &str, layer: &Digest) -> Vec<u8> {
        #[derive(Serialize)]
        struct Document<'a> {
            architecture: &'a str,
            os: &'a str,
            config: &'a ImageConfig,
            rootfs: RootFs,
        }
        #[derive(Serialize)]
        struct RootFs {
            r#type: &'static str,
            diff_ids: [String; 1],
        }
        let rootfs = RootFs { r#type: "layers", diff_ids: [format!("sha256:{layer}")] };
        json(&Document { architecture: arch, os: "linux", config: self, rootfs })
    }
}

/// An OCI manifest.
pub fn manifest(config: Descriptor, layers: Vec<Descriptor>) -> Vec<u8> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Manifest {
        schema_version: u32,
        media_type: &'static str,
        config: Descriptor,
        layers: Vec<Descriptor>,
    }
    json(&Manifest { schema_version: 2, media_type: media_type::MANIFEST, config, layers })
}

/// The `index.json` of a layout that holds `images`, manifests by name. containerd and other
/// programs find the name in the annotations.
pub fn index(images: &[(String, Descriptor)]) -> Vec<u8> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Index {
        schema_version: u32,
        media_type: &'static str,
        manifests: Vec<Descriptor>,
    }
    let named = |(name, manifest): &(String, Descriptor)| {
        let names = ["io.containerd.image.name", "org.opencontainers.image.ref.name"];
        let annotations: BTreeMap<String, String> =
            names.map(|annotation| (annotation.to_owned(), name.clone())).into();
        Descriptor { annotations, platform: None, ..manifest.clone() }
    };
    json(&Index { schema_version: 2, media_type: media_type::INDEX, manifests: images.iter().map(named).collect() })
}

fn json(value: &impl Serialize) -> Vec<u8> {
    // Plain strings, numbers and maps always serialize.
    serde_json::to_vec(value).unwrap_or_default()
}
