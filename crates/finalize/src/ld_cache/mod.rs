//! `/etc/ld.so.cache` and the SONAME links, byte for byte as `ldconfig -r` makes them.
//!
//! Follows `ldconfig(8)` and glibc's `elf/ldconfig.c`, `elf/cache.c`, `elf/readlib.c` as of Debian
//! bookworm's 2.36 and trixie's 2.41 with Debian's patches. [`scan`] reads libraries, keyed by
//! content so that its result can be cached and reused; [`write`](fn@write) is a pure function of
//! the tree and of what was read.
//!
//! Not supported, because nothing in the two releases needs it: a.out and libc5 libraries, and the
//! directories `tls`, `haswell` and `xeon_phi`, which ldconfig itself dropped in 2.37.

mod cache;
mod compare;
mod conf;
mod library;
mod links;
mod strings;

pub use cache::{LdCache, generator, write};
pub use conf::ConfError;
pub use library::{Library, MAX_ISA_LEVEL};

use super::Finalizer;
use kiln_profile::Arch;
use kiln_tree::{Content, ContentReader, Digest, FileTree, ReadError};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Mutex;

/// Libraries are not listed: they are read once, and the result is cached.
pub(crate) const FINALIZER: Finalizer =
    Finalizer { name: "ld_cache", reads: &[&[conf::LD_SO_CONF, "etc/ld.so.conf.d"]] };

/// What was read from libraries, by the digest of their bytes; small enough to cache (`serde`).
///
/// `None` stands for a file that ldconfig ignores: a linker script or another machine's library.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Libraries(pub BTreeMap<Digest, Option<Library>>);

/// Why the libraries of a tree cannot be indexed.
#[derive(Debug, thiserror::Error)]
pub enum LdCacheError {
    /// The bytes of a file cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// `ld.so.conf` cannot be used.
    #[error(transparent)]
    Conf(#[from] ConfError),
    /// [`write`](fn@write) was called with the scan of another tree.
    #[error("/{0}: this library was not scanned; this is a bug in kiln")]
    NotScanned(String),
    /// The cache exceeds its 32-bit offsets.
    #[error("/etc/ld.so.cache would exceed its format's limit of 4 GiB")]
    TooBig,
}

/// Reads the libraries in the directories that ldconfig searches, except those in `known`.
///
/// # Errors
/// [`LdCacheError`] when a file cannot be read or `ld.so.conf` cannot be used.
pub fn scan(
    tree: &FileTree,
    reader: &dyn ContentReader,
    arch: Arch,
    known: &Libraries,
) -> Result<Libraries, LdCacheError> {
    let mut libraries = Libraries::default();
    let mut missing: BTreeMap<Digest, &Content> = BTreeMap::new();
    for dir in conf::directories(tree, reader, arch)? {
        for (_, content) in links::candidates(tree, &dir) {
            if let Some(library) = known.0.get(&content.digest) {
                libraries.0.insert(content.digest, library.clone());
            } else {
                missing.insert(content.digest, content);
            }
        }
    }
    let contents: Vec<&Content> = missing.into_values().collect();
    let found = Mutex::new(BTreeMap::new());
    reader.visit(&contents, &|index, bytes| {
        let library = library::read(bytes, arch);
        if let (Ok(mut found), Some(content)) = (found.lock(), contents.get(index)) {
            found.insert(content.digest, library);
        }
    })?;
    libraries.0.extend(found.into_inner().unwrap_or_default());
    Ok(libraries)
}
