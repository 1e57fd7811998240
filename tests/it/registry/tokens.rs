//! Token authentication: the registry checks tokens, and this module is the server that issues
//! them.

use super::distribution::{Distribution, image};
use super::pulling::config_for;
use super::server::{self, Request, Server};
use super::{fetch, fetcher, resolve, run};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use std::fs;
use std::path::{Path, PathBuf};

const USER: &str = "me:correct horse";

/// The key that signs tokens and the certificate that the registry trusts.
struct Keys {
    key: PathBuf,
    certificate: PathBuf,
}

impl Keys {
    fn make(directory: &Path) -> Self {
        let keys = Self { key: directory.join("token.key"), certificate: directory.join("token.crt") };
        let (key, certificate) = (keys.key.to_str().expect("a path"), keys.certificate.to_str().expect("a path"));
        let args = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=tokens", "-days", "2"];
        run("openssl", "openssl", &[args.as_slice(), &["-keyout", key, "-out", certificate]].concat());
        keys
    }

    /// A JSON Web Token, RS256, that allows `actions` on `repository` (distribution's "Token
    /// Specification").
    fn token(&self, repository: &str, actions: &str) -> String {
        let certificate = fs::read_to_string(&self.certificate).expect("read");
        let der: String = certificate.lines().filter(|line| !line.starts_with("-----")).collect();
        let header = format!("{{\"typ\":\"JWT\",\"alg\":\"RS256\",\"x5c\":[\"{der}\"]}}");
        let access = format!("[{{\"type\":\"repository\",\"name\":\"{repository}\",\"actions\":[{actions}]}}]");
        let claims = format!(
            "{{\"iss\":\"test\",\"sub\":\"\",\"aud\":\"registry\",\"nbf\":0,\"iat\":0,\"exp\":4102444800,\"jti\":\"1\",\"access\":{access}}}"
        );
        let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        let input = tempfile::NamedTempFile::new().expect("a file");
        fs::write(input.path(), &signed).expect("written");
        let (key, input) = (self.key.to_str().expect("a path"), input.path().to_str().expect("a path"));
        let signature = run("openssl", "openssl", &["dgst", "-sha256", "-sign", key, input]).stdout;
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

/// Issues all requested tokens to [`USER`], and tokens to pull from `open/…` to everyone.
fn token_server(keys: Keys) -> Server {
    Server::start(move |request, stream| {
        let query = request.target.split_once('?').map_or("", |(_, query)| query);
        let scope = query.split('&').find_map(|part| part.strip_prefix("scope=")).unwrap_or_default();
        let scope = scope.replace("%3A", ":").replace("%2F", "/").replace("%2C", ",");
        let repository = scope.split(':').nth(1).unwrap_or_default();
        let known = request.headers.get("authorization") == Some(&format!("Basic {}", STANDARD.encode(USER)));
        if !known && !repository.starts_with("open/") {
            return server::answer(stream, "401 Unauthorized", &[], b"who are you?");
        }
        let token = keys.token(repository, if known { "\"pull\",\"push\"" } else { "\"pull\"" });
        server::answer(stream, "200 OK", &[], format!("{{\"token\":\"{token}\",\"expires_in\":300}}").as_bytes())
    })
}

fn asked_with_password(request: &Request) -> bool {
    request.headers.contains_key("authorization")
}

#[test]
fn tokens_are_fetched_from_the_realm_of_the_registry() {
    let directory = tempfile::tempdir().expect("a directory");
    let keys = Keys::make(directory.path());
    let certificate = keys.certificate.display().to_string();
    let tokens = token_server(keys);
    let auth = format!(
        "auth: {{token: {{realm: \"{}\", service: registry, issuer: test, rootcertbundle: {certificate}}}}}\n",
        tokens.url("/token")
    );
    let registry = Distribution::start(directory.path(), &auth);
    let config = directory.path().join("config.json");
    let text = config_for(&registry.address, USER);
    fs::write(&config, &text).expect("written");
    let image = image(directory.path());
    for name in ["team/app:1", "open/app:1"] {
        registry.push(&image, name, "oci", &config);
    }

    let before = tokens.requests().len();
    let mine = fetcher(&directory.path().join("mine"), &text);
    let reference = registry.reference("team/app:1");
    let resolved = resolve(&mine, &reference).expect("resolved");
    assert_eq!(fetch(&mine, &reference, &resolved).expect("fetched").len(), 3);
    let asked = tokens.requests().split_off(before);
    assert_eq!(asked.len(), 1, "one token serves a whole image: {asked:?}");
    assert_eq!(asked[0].target, "/token?service=registry&scope=repository%3Ateam%2Fapp%3Apull");
    assert!(asked_with_password(&asked[0]));

    let nobody = fetcher(&directory.path().join("nobody"), "{}");
    let open = resolve(&nobody, &registry.reference("open/app:1")).expect("resolved");
    assert_eq!(open, resolved);
    assert!(!asked_with_password(tokens.requests().last().expect("asked")));
    let error = resolve(&nobody, &reference).expect_err("refused").to_string();
    assert!(error.contains("without credentials") && error.contains("DOCKER_CONFIG"), "{error}");
}
