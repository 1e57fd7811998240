//! Opens packages with kiln.

use kiln_bake::BakeError;
use kiln_bake::packages::{Deb, unpack};
use kiln_cache::Cache;
use kiln_pack::{Input, InputFormat, Packer, Store};
use kiln_profile::Diversion;
use kiln_tree::{Digest, FileTree};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// A .deb and its name.
#[derive(Debug, Clone)]
pub(super) struct Named {
    pub name: String,
    pub version: String,
    pub digest: Digest,
    pub path: PathBuf,
}

/// Reads `debs` through the cache at `cache`.
pub(super) fn open(cache: &Path, debs: &[Named]) -> Store {
    let input = |deb: &Named| Input {
        name: deb.name.clone(),
        digest: deb.digest,
        path: deb.path.clone(),
        size: deb.path.metadata().expect("a package").len(),
        format: InputFormat::Deb,
    };
    let cache = Cache::open(cache, SystemTime::now()).expect("a cache");
    let inputs: Vec<Input> = debs.iter().map(input).collect();
    Packer::new(&cache, 4, &kiln_finalize::reads()).open(&inputs, &|_| {}).expect("packages")
}

/// The tree of `debs`.
pub(super) fn tree(store: &Store, debs: &[Named], diversions: &[Diversion]) -> Result<FileTree, BakeError> {
    let deb = |deb| {
        let Named { name, version, digest, .. }: &Named = deb;
        Deb { name, version, digest: *digest, pack: store.pack(digest).expect("an opened package"), locked_for: None }
    };
    unpack(debs.iter().map(deb).collect(), diversions)
}
