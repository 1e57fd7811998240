//! Registries that send wrong or truncated data, redirect endlessly, or demand too much.

use super::pulling::config_for;
use super::server::{self, Server};
use super::{fetch, fetcher, resolve};
use kiln_oci::{Descriptor, ImageConfig, manifest, media_type};
use kiln_tree::Digest;
use std::collections::BTreeMap;
use std::sync::Arc;

const LAYER: &[u8] = &[7; 100_000];

/// The manifest and configuration of an image with one layer.
fn documents() -> (Vec<u8>, Vec<u8>) {
    let config = ImageConfig { entrypoint: vec!["/a".into()], ..ImageConfig::default() };
    let config = config.document("amd64", &Digest::of(LAYER));
    let describe = |media_type: &str, bytes: &[u8]| Descriptor {
        media_type: media_type.into(),
        digest: Digest::of(bytes),
        size: bytes.len() as u64,
        platform: None,
        annotations: BTreeMap::new(),
    };
    (manifest(describe(media_type::CONFIG, &config), vec![describe(media_type::LAYER, LAYER)]), config)
}

/// The contents of `/v2/app/`.
fn served(manifest: Vec<u8>, config: Vec<u8>, layer: Vec<u8>) -> BTreeMap<String, Vec<u8>> {
    let (_, honest) = documents();
    let name = |bytes: &[u8]| format!("blobs/sha256:{}", Digest::of(bytes));
    [
        ("manifests/1".to_owned(), manifest.clone()),
        (format!("manifests/sha256:{}", Digest::of(&documents().0)), manifest),
        (name(&honest), config),
        (name(LAYER), layer),
    ]
    .into()
}

fn registry(files: BTreeMap<String, Vec<u8>>) -> Server {
    Server::start(move |request, stream| match files.get(request.target.trim_start_matches("/v2/app/")) {
        Some(bytes) => server::ranged(request, stream, bytes),
        None => server::answer(stream, "404 Not Found", &[], b""),
    })
}

/// Resolves and fetches `app:1` from `server`.
fn pull(server: &Server, config: &str) -> Result<usize, String> {
    let directory = tempfile::tempdir().expect("a directory");
    let fetcher = fetcher(directory.path(), config);
    let reference = format!("{}/app:1", server.address());
    let resolved = resolve(&fetcher, &reference).map_err(|error| error.to_string())?;
    fetch(&fetcher, &reference, &resolved).map(|files| files.len()).map_err(|error| error.to_string())
}

#[test]
fn contents_that_do_not_match_their_digest_are_rejected() {
    let (manifest, config) = documents();
    assert_eq!(pull(&registry(served(manifest.clone(), config.clone(), LAYER.to_vec())), "{}"), Ok(3));
    let mut other = LAYER.to_vec();
    other[0] = 8;
    let mut padded = config.clone();
    padded.push(b' ');
    for (files, why) in [
        (served(manifest.clone(), config.clone(), other), "no location has the bytes with sha256"),
        (served(manifest.clone(), config.clone(), LAYER[..5000].to_vec()), "has 5000 bytes, expected 100000"),
        (served(manifest.clone(), padded, LAYER.to_vec()), "is damaged or was tampered with"),
        (served(vec![b' '; (4 << 20) + 1], config.clone(), LAYER.to_vec()), "more than 4194304 bytes"),
        (served(b"<html>".to_vec(), config.clone(), LAYER.to_vec()), "not an index or manifest"),
        (served(b"{\"schemaVersion\":1}".to_vec(), config.clone(), LAYER.to_vec()), "schema version 1"),
        (BTreeMap::new(), "does not have it"),
    ] {
        let error = pull(&registry(files), "{}").expect_err(why);
        assert!(error.contains(why), "{why}: {error}");
    }
}

#[test]
fn an_endless_chain_of_indexes_ends() {
    // An index cannot contain its own digest, so the chain is finite but too long.
    let (leaf, config) = documents();
    let mut files = served(leaf.clone(), config, LAYER.to_vec());
    let mut inner = leaf;
    for _ in 0..6 {
        let entry = format!(
            "{{\"mediaType\":\"{}\",\"digest\":\"sha256:{}\",\"size\":{}}}",
            media_type::INDEX,
            Digest::of(&inner),
            inner.len()
        );
        files.insert(format!("manifests/sha256:{}", Digest::of(&inner)), inner);
        inner = format!("{{\"schemaVersion\":2,\"manifests\":[{entry}]}}").into_bytes();
    }
    files.insert("manifests/1".into(), inner);
    let error = pull(&registry(files), "{}").expect_err("refused");
    assert!(error.contains("more than 3 indexes within each other"), "{error}");
}

#[test]
fn a_cut_layer_is_resumed() {
    let (manifest, config) = documents();
    let files = served(manifest, config, LAYER.to_vec());
    let layer = format!("/v2/app/blobs/sha256:{}", Digest::of(LAYER));
    let server = Server::start(move |request, stream| match files.get(request.target.trim_start_matches("/v2/app/")) {
        Some(bytes) if request.target == layer && request.nth == 0 => server::cut(request, stream, bytes, 60_000),
        Some(bytes) => server::ranged(request, stream, bytes),
        None => server::answer(stream, "404 Not Found", &[], b""),
    });
    assert_eq!(pull(&server, "{}"), Ok(3));
    let offsets: Vec<_> = server.requests().iter().filter_map(server::Request::offset).collect();
    assert_eq!(offsets, [60_000]);
}

#[test]
fn the_password_is_sent_to_the_registry_only() {
    let (manifest, config) = documents();
    let files = Arc::new(served(manifest, config, LAYER.to_vec()));
    let storage = {
        let files = files.clone();
        Server::start(move |request, stream| {
            let name = request.target.trim_start_matches("/v2/app/").split('?').next().unwrap_or_default();
            server::ranged(request, stream, &files[name])
        })
    };
    let elsewhere = storage.url("");
    let registry = Server::start(move |request, stream| {
        if !request.headers.contains_key("authorization") {
            let challenge = ["WWW-Authenticate: Basic realm=\"r\""];
            return server::answer(stream, "401 Unauthorized", &challenge, b"");
        }
        let to = format!("Location: {elsewhere}{}?signature=1", request.target);
        server::answer(stream, "307 Temporary Redirect", &[&to], b"")
    });
    assert_eq!(pull(&registry, &config_for(&registry.address(), "me:secret")), Ok(3));
    let requests = storage.requests();
    assert!(requests.len() >= 4, "{requests:?}");
    assert!(requests.iter().all(|request| !request.headers.contains_key("authorization")), "{requests:?}");
}

/// A server for anybody, whose requests must not contain a password.
fn stranger() -> Server {
    Server::start(|_, stream| server::answer(stream, "200 OK", &[], b"{\"token\":\"t\"}"))
}

fn got_passwords(server: &Server) -> usize {
    server.requests().iter().filter(|request| request.headers.contains_key("authorization")).count()
}

#[test]
fn a_challenge_from_where_the_registry_redirects_to_is_not_answered() {
    let thief = stranger();
    for challenge in [format!("Bearer realm=\"{}\"", thief.url("/token")), "Basic realm=\"x\"".to_owned()] {
        let header = format!("WWW-Authenticate: {challenge}");
        let storage = Server::start(move |_, stream| server::answer(stream, "401 Unauthorized", &[&header], b""));
        let to = format!("Location: {}", storage.url("/blob?token=secret"));
        let registry = Server::start(move |_, stream| server::answer(stream, "307 Temporary Redirect", &[&to], b""));
        let error = pull(&registry, &config_for(&registry.address(), "me:secret")).expect_err("no authorization");
        let expected = format!(
            "{} redirects to {}/blob?token=***, which requires an authorization of its own",
            registry.address(),
            storage.url("")
        );
        assert!(error.contains(&expected) && !error.contains("secret"), "{error}");
        assert_eq!(got_passwords(&registry) + got_passwords(&storage), 0);
    }
    assert_eq!(thief.requests().len(), 0, "{:?}", thief.requests());
}

#[test]
fn a_password_goes_over_plain_http_to_this_host_only() {
    for realm in ["http://tokens.invalid/token?secret", "http://192.0.2.1/", "http://127.0.0.1.example.org/"] {
        let header = format!("WWW-Authenticate: Bearer realm=\"{realm}\"");
        let registry = Server::start(move |_, stream| server::answer(stream, "401 Unauthorized", &[&header], b""));
        let error = pull(&registry, &config_for(&registry.address(), "me:secret")).expect_err(realm);
        assert!(error.contains("which is not https") && !error.contains("secret"), "{error}");
    }
    // The server of tokens must not hand the password on, either.
    let thief = stranger();
    let to = format!("Location: {}", thief.url("/"));
    let tokens = Server::start(move |_, stream| server::answer(stream, "307 Temporary Redirect", &[&to], b""));
    let header = format!("WWW-Authenticate: Bearer realm=\"{}\"", tokens.url("/token"));
    let registry = Server::start(move |_, stream| server::answer(stream, "401 Unauthorized", &[&header], b""));
    pull(&registry, &config_for(&registry.address(), "me:secret")).expect_err("the token is not accepted");
    assert!(got_passwords(&tokens) > 0 && got_passwords(&thief) == 0, "{:?}", thief.requests());
}

#[test]
fn redirects_in_circles_and_strange_challenges_end() {
    let answers: [(&str, &str, &str); 6] = [
        ("307 Temporary Redirect", "Location: /v2/app/manifests/1", "redirected more than 10 times"),
        ("401 Unauthorized", "X: y", "an authorization that kiln does not support"),
        ("401 Unauthorized", "WWW-Authenticate: Negotiate", "an authorization that kiln does not support"),
        ("401 Unauthorized", "WWW-Authenticate: Bearer service=\"x\"", "does not name a realm"),
        ("401 Unauthorized", "WWW-Authenticate: Bearer realm=\"ftp://x/\"", "which is not https"),
        ("401 Unauthorized", "WWW-Authenticate: Bearer realm=\"/\"", "which is not https"),
    ];
    for (status, header, why) in answers {
        let server = Server::start(move |_, stream| server::answer(stream, status, &[header], b""));
        let error = pull(&server, "{}").expect_err(why);
        assert!(error.contains(why), "{why}: {error}");
    }
    // A token server that issues no token, and a registry that always demands another one.
    for (answer, why) in [
        ("{}", "answers without a token"),
        ("{\"token\":\"a b\\r\\nX: y\"}", "answers without a token"),
        ("[", "answers without a token"),
        ("{\"token\":\"good\"}", "answers 401"),
    ] {
        let tokens = Server::start(move |_, stream| server::answer(stream, "200 OK", &[], answer.as_bytes()));
        let challenge = format!("WWW-Authenticate: Bearer realm=\"{}\"", tokens.url("/"));
        let server = Server::start(move |_, stream| server::answer(stream, "401 Unauthorized", &[&challenge], b""));
        let error = pull(&server, "{}").expect_err(why);
        assert!(error.contains(why), "{why}: {error}");
    }
}
