//! Pulls the images that other tools pushed.

use super::distribution::{Distribution, image};
use super::{fetch, fetcher, resolve, run};
use kiln_oci::{Document, media_type};
use kiln_tree::Digest;
use std::fs;
use std::path::{Path, PathBuf};

const USER: &str = "me:correct horse";

/// A registry that requires the password of [`USER`], and a `config.json` that contains it.
pub(super) fn with_password(directory: &Path) -> (Distribution, PathBuf) {
    let (user, password) = USER.split_once(':').expect("both");
    let lines = run("htpasswd", "apache2-utils", &["-nbB", user, password]).stdout;
    let file = directory.join("htpasswd");
    fs::write(&file, lines).expect("written");
    let registry =
        Distribution::start(directory, &format!("auth: {{htpasswd: {{realm: test, path: {}}}}}\n", file.display()));
    let config = directory.join("config.json");
    fs::write(&config, config_for(&registry.address, USER)).expect("written");
    (registry, config)
}

/// A `config.json` with the credentials `user` (`name:password`).
pub(super) fn config_for(registry: &str, user: &str) -> String {
    use base64::Engine as _;
    let auth = base64::engine::general_purpose::STANDARD.encode(user);
    format!("{{\"auths\": {{\"{registry}\": {{\"auth\": \"{auth}\"}}}}}}")
}

#[test]
fn a_pushed_image_is_pulled_with_a_password() {
    let directory = tempfile::tempdir().expect("a directory");
    let (registry, config) = with_password(directory.path());
    let image = image(directory.path());
    let text = fs::read_to_string(&config).expect("read");
    for format in ["oci", "v2s2"] {
        let name = format!("team/{format}:1");
        registry.push(&image, &name, format, &config);
        let reference = registry.reference(&name);
        let fetcher = fetcher(&directory.path().join(format), &text);
        let resolved = resolve(&fetcher, &reference).expect("resolved");
        let files = fetch(&fetcher, &reference, &resolved).expect("fetched");

        let config = config.to_str().expect("a path");
        let judged = format!("docker://{reference}");
        let raw = run("skopeo", "skopeo", &["inspect", "--tls-verify=false", "--authfile", config, "--raw", &judged]);
        let manifest = fs::read(&files[0]).expect("read");
        assert_eq!(manifest, raw.stdout, "skopeo sees another manifest");
        let Ok(Document::Manifest(parsed)) = Document::parse(&manifest) else { panic!("no manifest") };
        let expected = if format == "oci" { media_type::MANIFEST } else { media_type::DOCKER_MANIFEST };
        assert_eq!((parsed.media_type.as_str(), files.len()), (expected, 3));
        // Pulling by digest gives the same image; the digest of other data is rejected.
        let pinned = format!("{reference}@sha256:{}", resolved.manifest);
        assert_eq!(resolve(&fetcher, &pinned).expect("resolved"), resolved);
        let other = format!("{reference}@sha256:{}", Digest::of(b"other"));
        assert!(resolve(&fetcher, &other).expect_err("refused").to_string().contains("does not have it"));
    }
    let reference = registry.reference("team/oci:1");
    for (config, why) in [
        ("{}".to_owned(), "requires a user name and password: log in"),
        ("{\"credsStore\": \"desktop\"}".to_owned(), "delegates to the helper \"desktop\""),
        (config_for(&registry.address, "me:wrong"), "answers 401"),
    ] {
        let error = resolve(&fetcher(&directory.path().join("none"), &config), &reference).expect_err("refused");
        assert!(error.to_string().contains(why), "{error}");
        assert!(!error.to_string().contains("wrong"), "{error}");
    }
}

#[test]
fn an_index_gives_the_image_for_the_architecture() {
    let directory = tempfile::tempdir().expect("a directory");
    let registry = Distribution::start(directory.path(), "");
    let config = directory.path().join("config.json");
    fs::write(&config, "{}").expect("written");
    registry.push(&image(directory.path()), "app:amd64", "oci", &config);
    let fetcher = fetcher(&directory.path().join("cache"), "{}");
    let single = resolve(&fetcher, &registry.reference("app:amd64")).expect("resolved");
    let entry = |architecture: &str, variant: &str| {
        format!(
            "{{\"mediaType\": \"{}\", \"digest\": \"sha256:{}\", \"size\": {}, \"platform\": {{\"os\": \"linux\", \
             \"architecture\": \"{architecture}\"{variant}}}}}",
            media_type::MANIFEST,
            single.manifest,
            single.size
        )
    };
    // The registry requires the manifests of an index to exist, so both entries name the same one.
    let index = format!(
        "{{\"schemaVersion\": 2, \"mediaType\": \"{}\", \"manifests\": [{}, {}]}}",
        media_type::INDEX,
        entry("arm", ", \"variant\": \"v7\""),
        entry("amd64", "")
    );
    let file = directory.path().join("index.json");
    fs::write(&file, &index).expect("written");
    let url = format!("http://{}/v2/app/manifests/1", registry.address);
    let data = format!("@{}", file.display());
    let kind = format!("Content-Type: {}", media_type::INDEX);
    run("curl", "curl", &["--fail", "--silent", "--request", "PUT", "--header", &kind, "--data-binary", &data, &url]);

    let reference = registry.reference("app:1");
    assert_eq!(resolve(&fetcher, &reference).expect("resolved"), single);
    let pinned = format!("{reference}@sha256:{}", Digest::of(index.as_bytes()));
    assert_eq!(resolve(&fetcher, &pinned).expect("resolved"), single);
    let error = fetcher.registries().resolve(&reference.parse().expect("a reference"), "arm64").expect_err("refused");
    assert!(error.to_string().contains("has no image for linux/arm64 (it has linux/arm/v7, linux/amd64)"), "{error}");
    let single = registry.reference("app:amd64").parse().expect("a reference");
    let error = fetcher.registries().resolve(&single, "arm64").expect_err("refused");
    assert!(error.to_string().contains("it is for linux/amd64, not for linux/arm64"), "{error}");
}
