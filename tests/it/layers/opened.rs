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
    let cache = Cache::open(cache, SystemTime::now()).expect("a cache");
    let input = |deb: &Named| {
        let mut writer = cache.blob_writer().expect("a writer");
        writer.append(&std::fs::read(&deb.path).expect("a package")).expect("written");
        let stored = writer.finish().expect("stored");
        let (name, format) = (deb.name.clone(), InputFormat::Deb);
        Input { name, digest: stored.digest, path: stored.path, size: stored.size, format }
    };
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
