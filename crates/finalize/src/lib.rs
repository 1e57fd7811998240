//! The work of maintainer scripts, done as data: each module turns a tree of unpacked packages into
//! the tree of a configured system. See `docs/maintainer-scripts.md`.

pub mod accounts;
pub mod alternatives;
pub mod base_files;
pub mod ca_certificates;
pub mod depmod;
pub mod elf;
pub mod identity;
pub mod input;
pub mod kernel_modules;
pub mod ld_cache;
pub mod nsswitch;
pub mod os_release;
pub mod pam;
pub mod units;
mod words;

use kiln_cache::{Cache, CacheError};
use kiln_manifest::Pruned;
use kiln_pack::Store;
use kiln_pack::layer::remove_paths;
use kiln_profile::{AboutProfile, Arch, Key, Profile, fields};
use kiln_progress::Progress;
use kiln_tree::{Digest, Entry, FileTree, Origin, TreeError, TreePath};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::fmt;

/// What the build needs to know about one of the modules above.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Finalizer {
    /// The name under which the manifest records its files as [generated](Origin::Generated).
    pub name: &'static str,
    /// Small files that it reads in every build: paths of files, and of directories of files.
    pub reads: &'static [&'static [&'static str]],
}

impl Finalizer {
    fn origin(self) -> Origin {
        Origin::Generated(self.name.into())
    }
}

/// All finalizers, in the order in which they run.
pub const FINALIZERS: [Finalizer; 11] = [
    base_files::FINALIZER,
    accounts::FINALIZER,
    os_release::FINALIZER,
    identity::FINALIZER,
    nsswitch::FINALIZER,
    pam::FINALIZER,
    ca_certificates::FINALIZER,
    alternatives::FINALIZER,
    units::FINALIZER,
    depmod::FINALIZER,
    ld_cache::FINALIZER,
];

/// Returns what all finalizers read in every build, for [`Packer::new`](kiln_pack::Packer::new).
pub fn reads() -> Vec<&'static str> {
    FINALIZERS.iter().flat_map(|finalizer| finalizer.reads.concat()).collect()
}

/// Seconds in a day, the unit of shadow(5).
const DAY: u32 = 86_400;

/// Why a tree cannot be finalized.
#[derive(Debug, thiserror::Error)]
pub enum FinalizeError {
    /// Users and groups.
    #[error("{}", within("users and groups", .0))]
    Accounts(#[from] accounts::AccountsError),
    /// Kernel modules cannot be read.
    #[error("kernel modules: {0}")]
    Depmod(#[from] depmod::DepmodError),
    /// Kernel modules cannot be selected.
    #[error("{key}: {source}; {instead}")]
    Select {
        /// The key that asks for the module.
        key: Key,
        /// Why.
        source: Box<kernel_modules::SelectError>,
        /// What to do.
        instead: String,
    },
    /// The linker's cache.
    #[error("ld.so.cache: {0}")]
    LdCache(#[from] ld_cache::LdCacheError),
    /// Alternatives.
    #[error("{}", within("alternatives", .0))]
    Alternatives(#[from] alternatives::AlternativesError),
    /// Skeletons of /etc and /var.
    #[error("base-files: {0}")]
    BaseFiles(#[from] base_files::BaseFilesError),
    /// Certificate authorities.
    #[error("CA certificates: {0}")]
    CaCertificates(#[from] ca_certificates::CaError),
    /// Identity of the machine.
    #[error("identity: {0}")]
    Identity(#[from] input::OutputError),
    /// The name service switch.
    #[error("nsswitch.conf: {0}")]
    Nsswitch(#[from] nsswitch::NsswitchError),
    /// os-release.
    #[error("os-release: {0}")]
    OsRelease(#[from] os_release::OsReleaseError),
    /// Authentication modules.
    #[error("PAM: {0}")]
    Pam(#[from] pam::PamError),
    /// systemd units.
    #[error("{}", within("systemd units", .0))]
    Units(#[from] units::UnitsError),
    /// A generated file conflicts with the tree.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// A computed result cannot be stored in the cache.
    #[error(transparent)]
    Cache(#[from] CacheError),
}

impl AboutProfile for FinalizeError {
    fn key(&self) -> Option<Key> {
        match self {
            Self::Accounts(error) => error.key(),
            Self::Select { key, .. } => Some(key.clone()),
            Self::Alternatives(error) => error.key(),
            Self::Units(error) => error.key(),
            Self::Depmod(_)
            | Self::LdCache(_)
            | Self::BaseFiles(_)
            | Self::CaCertificates(_)
            | Self::Identity(_)
            | Self::Nsswitch(_)
            | Self::OsRelease(_)
            | Self::Pam(_)
            | Self::Tree(_)
            | Self::Cache(_) => None,
        }
    }
}

/// Returns the error's text, preceded by `topic` unless it begins with a key of the profile.
fn within(topic: &str, error: &(impl AboutProfile + fmt::Display)) -> String {
    match error.key() {
        Some(_) => error.to_string(),
        None => format!("{topic}: {error}"),
    }
}

/// Finishes `tree` for `profile`; `epoch` is the image's time in seconds since 1970. Returns what
/// was removed.
///
/// The order matters: modules are selected before they are indexed, accounts are created before
/// files are given to them, and units are enabled when all of them exist.
///
/// # Errors
/// [`FinalizeError`].
pub fn finalize(
    tree: &mut FileTree,
    profile: &Profile,
    epoch: u32,
    store: &Store,
    cache: &Cache,
    progress: &Progress,
) -> Result<BTreeMap<String, Pruned>, FinalizeError> {
    let mut pruned = BTreeMap::new();
    base_files::finalize(tree, store)?;
    let warnings = accounts::finalize(tree, store, &profile.accounts, epoch / DAY)?;
    warnings.iter().for_each(|warning| progress.detail(warning));
    os_release::finalize(tree, store, &profile.image)?;
    identity::finalize(tree)?;
    nsswitch::finalize(tree, store)?;
    pam::finalize(tree, store)?;
    ca_certificates::finalize(tree, store)?;
    alternatives::finalize(tree, &profile.alternatives)?;
    units::finalize(tree, store, &profile.units)?;
    kernel_modules::kernels_to_boot(tree)?;
    pruned.insert("kernel-modules".to_owned(), modules(tree, profile, store, cache)?);
    libraries(tree, profile.arch, store, cache)?;
    Ok(pruned)
}

/// Drops the modules that are not kept, and writes the indexes of the others.
fn modules(tree: &mut FileTree, profile: &Profile, reader: &Store, cache: &Cache) -> Result<Pruned, FinalizeError> {
    let keep = &profile.kernel.modules_keep;
    let kmod = depmod::Kmod::of(tree);
    let scanned = depmod::key(tree);
    let key = Digest::of(format!("modules 1 {scanned} {keep:?} {kmod:?}").as_bytes());
    type Outcome = (Vec<TreePath>, Vec<(TreePath, Vec<u8>)>);
    let (dropped, indexes): Outcome = remembered(cache, "modules", &key, || {
        let all = remembered(cache, "module-scan", &scanned, || Ok(depmod::scan(tree, reader)?))?;
        let selection = if keep.is_empty() {
            kernel_modules::Selection { kept: all, dropped: Vec::new() }
        } else {
            kernel_modules::select(&all, keep).map_err(|source| not_selected(profile, source))?
        };
        let indexes = depmod::indexes(&selection.kept, kmod)?;
        Ok((selection.dropped.into_iter().map(|(path, _)| path).collect(), indexes))
    })?;
    let pruned = remove_paths(tree, &dropped);
    for (path, bytes) in indexes {
        tree.insert(path, Entry::file(bytes, 0o644, depmod::FINALIZER.origin()))?;
    }
    Ok(pruned)
}

/// Adds the key that asks for the module to the error.
fn not_selected(profile: &Profile, source: kernel_modules::SelectError) -> FinalizeError {
    let pattern = source.pattern();
    let key = profile.module_key(pattern);
    let instead = if key.is(fields::KERNEL_MODULES_KEEP) {
        format!("correct it, or write {pattern}? if it is optional")
    } else {
        format!("correct it, or choose a {} that has it", Key::from(fields::KERNEL_PACKAGE))
    };
    FinalizeError::Select { key, source: Box::new(source), instead }
}

/// Writes the linker's cache and missing SONAME links.
fn libraries(tree: &mut FileTree, arch: Arch, reader: &Store, cache: &Cache) -> Result<(), FinalizeError> {
    let mut listing = format!("libraries 1 {arch:?}\n");
    for (path, entry) in tree.iter().filter(|(path, _)| path.as_str().contains(".so")) {
        if let Some(content) = entry.content() {
            listing += &format!("{path} {}\n", content.digest);
        }
    }
    let key = Digest::of(listing.as_bytes());
    let known = ld_cache::Libraries::default();
    let libraries = remembered(cache, "libraries", &key, || Ok(ld_cache::scan(tree, reader, arch, &known)?))?;
    let written = ld_cache::write(tree, reader, arch, &libraries, &ld_cache::generator(tree))?;
    for path in written.stale {
        tree.remove(path.as_str());
    }
    for (path, entry) in written.entries {
        tree.insert(path, entry)?;
    }
    Ok(())
}

/// Returns the cached value of `key`, or computes and caches it. A cached value that can no longer
/// be decoded is computed again.
fn remembered<T: Serialize + DeserializeOwned>(
    cache: &Cache,
    kind: &str,
    key: &Digest,
    compute: impl FnOnce() -> Result<T, FinalizeError>,
) -> Result<T, FinalizeError> {
    if let Some(value) = cache.derived(kind, key).and_then(|bytes| postcard::from_bytes(&bytes).ok()) {
        return Ok(value);
    }
    let value = compute()?;
    if let Ok(bytes) = postcard::to_stdvec(&value)
        && !cache.is_read_only()
    {
        cache.put_derived(kind, key, &bytes)?;
    }
    Ok(value)
}
