//! Tests of downloads with servers on this host that truncate, stall, lie, redirect and refuse.

mod client;
mod credentials;
mod curl;
mod fetch;
mod processes;
use kiln_testing::server;
mod tls;

use kiln_cache::Cache;
use kiln_progress::Progress;
use kiln_source::fetch::{Fetcher, Location, Want};
use kiln_source::http::{Client, HttpConfig, ProxyConfig, RetryPolicy};
use kiln_tree::Digest;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// Short limits, so that failures are quick.
fn config() -> HttpConfig {
    HttpConfig {
        connect_timeout: Duration::from_secs(10),
        stall_timeout: Duration::from_millis(400),
        retry: RetryPolicy {
            first_delay: Duration::from_millis(2),
            max_delay: Duration::from_secs(2),
            ..RetryPolicy::default()
        },
        ..HttpConfig::default()
    }
}

fn client() -> Client {
    Client::new(config())
}

fn with_proxy(vars: &[(&str, &str)]) -> Client {
    Client::new(HttpConfig { proxy: ProxyConfig::from_vars(vars.iter().copied()).expect("a proxy"), ..config() })
}

fn fetcher(root: &Path, http: Client) -> Fetcher {
    let cache = Cache::open(root, SystemTime::now()).expect("a cache");
    Fetcher::new(cache, http, Progress::quiet())
}

/// Bytes without repeated parts.
fn body(len: usize) -> Vec<u8> {
    (0..len.div_ceil(32)).flat_map(|block| *Digest::of(&block.to_le_bytes()).as_bytes()).take(len).collect()
}

fn want(name: &str, bytes: &[u8], urls: &[String]) -> Want {
    Want {
        name: name.into(),
        digest: Digest::of(bytes),
        size: Some(bytes.len() as u64),
        from: urls.iter().map(|url| Location::Url(url.as_str().into())).collect(),
    }
}

/// Number of files in a directory of the cache.
fn files_in(dir: &Path) -> usize {
    std::fs::read_dir(dir).expect("listed").count()
}
