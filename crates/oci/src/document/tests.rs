use super::*;
use crate::{ImageConfig, index, manifest};
use proptest::prelude::*;
use serde_json::json;

fn descriptor(media_type: &str, bytes: &[u8]) -> Descriptor {
    Descriptor {
        media_type: media_type.into(),
        digest: Digest::of(bytes),
        size: bytes.len() as u64,
        platform: None,
        annotations: BTreeMap::new(),
    }
}

fn error(document: &serde_json::Value) -> String {
    Document::parse(document.to_string().as_bytes()).expect_err("refused").to_string()
}

#[test]
fn documents_that_kiln_writes_can_be_parsed() {
    let config = ImageConfig { entrypoint: vec!["/pause".into()], ..ImageConfig::default() };
    let config = config.document("amd64", &Digest::of(b"layer"));
    let layer = descriptor(media_type::LAYER, b"layer");
    let bytes = manifest(descriptor(media_type::CONFIG, &config), vec![layer.clone()]);
    let Ok(Document::Manifest(image)) = Document::parse(&bytes) else { panic!("not a manifest") };
    assert_eq!(image.layers, [layer]);
    assert_eq!(image.check_config(&config, "amd64"), Ok(()));
    let error = image.check_config(&config, "arm64").expect_err("refused").to_string();
    assert_eq!(error, "it is for linux/amd64, not for linux/arm64");
    let other = ImageManifest { layers: vec![], ..image };
    let error = other.check_config(&config, "amd64").expect_err("refused").to_string();
    assert_eq!(error, "its configuration lists 1 layers, its manifest 0");
    let index = index(&[("example.org/a:1".into(), descriptor(media_type::MANIFEST, &bytes))]);
    let Ok(Document::Index(manifests)) = Document::parse(&index) else { panic!("not an index") };
    assert_eq!(manifests[0].annotations["io.containerd.image.name"], "example.org/a:1");
    assert_eq!(for_arch(&manifests, "amd64"), Ok(&manifests[0]));
}

#[test]
fn the_descriptor_for_the_architecture_is_chosen() {
    let of = |architecture: &str, os: &str, variant: Option<&str>| Descriptor {
        platform: Some(Platform { architecture: architecture.into(), os: os.into(), variant: variant.map(Into::into) }),
        ..descriptor(media_type::MANIFEST, architecture.as_bytes())
    };
    let all = [of("amd64", "windows", None), of("arm", "linux", Some("v7")), of("arm64", "linux", Some("v8"))];
    assert_eq!(for_arch(&all, "arm64"), Ok(&all[2]));
    let error = for_arch(&all, "amd64").expect_err("refused").to_string();
    assert_eq!(error, "it has no image for linux/amd64 (it has windows/amd64, linux/arm/v7, linux/arm64/v8)");
}

#[test]
fn documents_that_are_not_images_are_rejected_with_a_reason() {
    let digest = format!("sha256:{}", Digest::of(b""));
    let of = |kind: &str| json!({"mediaType": kind, "digest": digest, "size": 1});
    let (config, layer) = (of(media_type::CONFIG), of(media_type::LAYER));
    for (document, why) in [
        (json!({"schemaVersion": 1, "fsLayers": []}), "schema version 1"),
        (json!({"schemaVersion": 2}), "both an index and a manifest, or neither"),
        (json!({"schemaVersion": 2, "manifests": [], "config": config, "layers": []}), "both"),
        (json!({"schemaVersion": 2, "mediaType": media_type::INDEX, "config": config, "layers": []}), "both"),
        (
            json!({"schemaVersion": 2, "config": of("application/vnd.cncf.helm.config.v1+json"), "layers": []}),
            "not a container image",
        ),
        (
            json!({"schemaVersion": 2, "config": config, "layers": [of("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip")]}),
            "does not unpack",
        ),
        (json!({"schemaVersion": 2, "config": config, "layers": vec![layer; 128]}), "more than 127 layers"),
        (
            json!({"schemaVersion": 2, "config": {"mediaType": media_type::CONFIG, "digest": "sha512:00", "size": 1}, "layers": []}),
            "a digest is not sha256:",
        ),
        (
            json!({"schemaVersion": 2, "config": {"mediaType": media_type::CONFIG, "digest": digest, "size": -1}, "layers": []}),
            "invalid value",
        ),
        (json!([]), "not an index or manifest"),
    ] {
        let error = error(&document);
        assert!(error.contains(why), "{document}: {error}");
    }
    assert!(matches!(Document::parse(&vec![b' '; (4 << 20) + 1]), Err(DocumentError::TooMuch(_))));
    let deep = "[".repeat(100_000);
    assert!(Document::parse(format!("{{\"schemaVersion\":2,\"x\":{deep}").as_bytes()).is_err());
}

proptest! {
    #[test]
    fn mutated_documents_never_panic(at in 0..600usize, byte: u8, cut in 0..600usize) {
        let layer = descriptor(media_type::LAYER, b"layer");
        let mut bytes = manifest(descriptor(media_type::CONFIG, b"{}"), vec![layer]);
        if let Some(place) = bytes.get_mut(at) {
            *place = byte;
        }
        bytes.truncate(cut);
        let _ = Document::parse(&bytes);
        let _ = Config::parse(&bytes);
    }
}
