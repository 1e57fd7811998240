//! Pulls from registries: Debian's docker-registry (the distribution project), and one that
//! misbehaves.

mod baked;
mod distribution;
mod hostile;
mod pulling;
use kiln_testing::server;
mod tokens;
use crate::common::worker;

use kiln_cache::Cache;
use kiln_oci::Reference;
use kiln_progress::Progress;
use kiln_source::fetch::{FetchError, Fetcher, Location, Want};
use kiln_source::http::{Client, HttpConfig, RetryPolicy};
use kiln_source::registry::{Credentials, Part, PartKind, RegistryError, Resolved};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, SystemTime};

/// A client with the credentials of `config`, a `config.json`, and short limits.
fn fetcher(cache: &Path, config: &str) -> Fetcher {
    let retry = RetryPolicy { attempts: 2, first_delay: Duration::from_millis(2), ..RetryPolicy::default() };
    let http = Client::new(HttpConfig { retry, stall_timeout: Duration::from_secs(5), ..HttpConfig::default() });
    let cache = Cache::open(cache, SystemTime::now()).expect("a cache");
    Fetcher::new(cache, http, Progress::quiet()).with_credentials(Credentials::parse(config).expect("credentials"))
}

fn resolve(fetcher: &Fetcher, reference: &str) -> Result<Resolved, RegistryError> {
    fetcher.registries().resolve(&reference.parse().expect("a reference"), "amd64")
}

/// Fetches the manifest and blobs of `resolved`, as a build does.
fn fetch(fetcher: &Fetcher, reference: &str, resolved: &Resolved) -> Result<Vec<PathBuf>, FetchError> {
    let reference: Reference = reference.parse().expect("a reference");
    let want = |kind, digest, size| {
        let from = vec![Location::Registry(Part { reference: reference.clone(), kind, digest })];
        Want { name: reference.to_string(), digest, size: Some(size), from }
    };
    let manifest = want(PartKind::Manifest, resolved.manifest, resolved.size);
    let blobs = resolved.blobs.iter().map(|(digest, size)| want(PartKind::Blob, *digest, *size));
    fetcher.fetch_all(&std::iter::once(manifest).chain(blobs).collect::<Vec<_>>())
}

/// Runs a program of the Debian package `package` to its end.
fn run(program: &str, package: &str, args: &[&str]) -> Output {
    let output = Command::new(program).args(args).output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}: install the package {package}"));
    assert!(output.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}
