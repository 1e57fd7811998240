//! What registries and archives of container images say.

use kiln_oci::{Config, Descriptor, Document, ImageConfig, Reference, index, manifest, media_type};
use kiln_source::registry::Credentials;
use kiln_testing::fuzz::Fuzz;
use kiln_tree::Digest;
use std::collections::BTreeMap;

fn describe(media_type: &str, bytes: &[u8]) -> Descriptor {
    let (digest, size) = (Digest::of(bytes), bytes.len() as u64);
    Descriptor { media_type: media_type.into(), digest, size, platform: None, annotations: BTreeMap::new() }
}

fn repair_nothing(_: &mut Vec<u8>) {}

#[test]
fn documents() {
    let config = ImageConfig { entrypoint: vec!["/a".into()], ..ImageConfig::default() };
    let config = config.document("amd64", &Digest::of(b"layer"));
    let image = manifest(describe(media_type::CONFIG, &config), vec![describe(media_type::LAYER, b"layer")]);
    let list = index(&[("example.org/a:1".into(), describe(media_type::MANIFEST, &image))]);
    let words: [&[u8]; 10] = [
        b"\"manifests\":[",
        b"\"platform\":{\"os\":\"linux\",\"architecture\":\"amd64\"}",
        b"\"schemaVersion\":2",
        b"\"layers\":[]",
        b"sha256:",
        b"[[[[[[[[",
        b"18446744073709551615",
        b"\"variant\":\"v8\"",
        b"null",
        b"\\ud800",
    ];
    Fuzz { name: "image", samples: vec![image, list, config], words: &words, repair: repair_nothing }.run(|bytes| {
        let config = Config::parse(bytes);
        let document = Document::parse(bytes);
        if let Ok(Document::Manifest(manifest)) = &document {
            let _ = manifest.check_config(bytes, "amd64");
        }
        if let Ok(Document::Index(manifests)) = &document {
            let _ = kiln_oci::for_arch(manifests, "arm64");
        }
        config.is_ok() || document.is_ok()
    });
}

#[test]
fn references() {
    let samples =
        ["registry.k8s.io/pause:3.10.2", "localhost:5000/a/b__c--d@sha256:"].map(|text| text.as_bytes().to_vec());
    let mut samples = samples.to_vec();
    samples[1].extend(Digest::of(b"").to_string().bytes());
    Fuzz { name: "reference", samples, words: &[b"@sha256:", b":", b"/", b"..", b"__"], repair: repair_nothing }.run(
        |bytes| {
            let Some(reference) = std::str::from_utf8(bytes).ok().and_then(|text| text.parse::<Reference>().ok())
            else {
                return false;
            };
            assert_eq!(reference.to_string().parse().as_ref(), Ok(&reference));
            true
        },
    );
}

#[test]
fn credentials() {
    let samples = vec![br#"{"auths": {"https://a.b/v1/": {"auth": "bWU6eA=="}}, "credsStore": "x"}"#.to_vec()];
    Fuzz { name: "config-json", samples, words: &[b"\"auth\":\"", b"://", b"{}"], repair: repair_nothing }
        .run(|bytes| std::str::from_utf8(bytes).is_ok_and(|text| Credentials::parse(text).is_ok()));
}
