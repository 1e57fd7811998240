//! The bytes of `ld.so.cache` (glibc's `dl-cache.h`). All integers are 32-bit little-endian, except
//! `hwcap`.
//!
//! ```text
//! "glibc-ld.so.cache1.1", nlibs, len_strings, flags (2: little endian), extension_offset, 0, 0, 0
//! nlibs × { flags, key, value, osversion, hwcap (64 bit) }
//! strings, padding to 4
//! extension: magic, count, count × { tag, flags, offset, size }, array of hwcaps names, generator
//! ```
//! `key` and `value` are offsets of strings in the file.

use super::compare::dl_cache_libcmp;
use super::conf::directories;
use super::library::Library;
use super::links::search;
use super::strings::Strings;
use super::{LdCacheError, Libraries};
use kiln_profile::Arch;
use kiln_tree::{ContentReader, Entry, FileTree, Origin, TreePath};
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

const MAGIC: &[u8] = b"glibc-ld.so.cache1.1";
const HEADER: usize = 48;
const ENTRY: usize = 24;
/// `cache_file_new_flags_endian_little`.
const LITTLE_ENDIAN: u32 = 2;
/// `DL_CACHE_HWCAP_EXTENSION`.
const HWCAP_EXTENSION: u64 = 1 << 62;
const EXTENSION_MAGIC: u32 = 0xeaa4_2174;
const TAG_GENERATOR: u32 = 0;
const TAG_GLIBC_HWCAPS: u32 = 1;
/// Size of a section's entry in the extension directory.
const SECTION: usize = 16;

/// The changes that ldconfig makes to a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LdCache {
    /// `etc/ld.so.cache` and the SONAME links to make.
    pub entries: Vec<(TreePath, Entry)>,
    /// Dangling links to libraries, to be removed first.
    pub stale: Vec<TreePath>,
}

/// An entry of the cache.
struct CacheEntry {
    lib: String,
    path: String,
    library: Library,
    hwcaps: Option<String>,
}

/// Returns the name that ldconfig records in its cache, from the version of the package that
/// brought `usr/sbin/ldconfig` or the C library, such as `ldconfig (Debian GLIBC 2.41-12) stable
/// release version 2.41`.
///
/// ld.so ignores it.
pub fn generator(tree: &FileTree) -> String {
    let version = tree.iter().find_map(|(_, entry)| match &entry.meta.origin {
        Origin::Package(package) => package.strip_prefix("libc-bin=").or_else(|| package.strip_prefix("libc6=")),
        _ => None,
    });
    match version {
        Some(version) => {
            let upstream = version.rsplit_once('-').map_or(version, |(upstream, _)| upstream);
            format!("ldconfig (Debian GLIBC {version}) stable release version {upstream}")
        }
        None => "ldconfig".to_owned(),
    }
}

/// Returns the cache, the SONAME links and the stale links of `tree`. `generator` is recorded in
/// the cache, see [`generator`].
///
/// `libraries` is the result of [`scan`](super::scan) of the same tree; `reader` reads only
/// `ld.so.conf`.
///
/// # Errors
/// [`LdCacheError`].
pub fn write(
    tree: &FileTree,
    reader: &dyn ContentReader,
    arch: Arch,
    libraries: &Libraries,
    generator: &str,
) -> Result<LdCache, LdCacheError> {
    let mut entries: Vec<CacheEntry> = Vec::new();
    let mut names = BTreeSet::new();
    let mut links = BTreeMap::new();
    let mut stale = Vec::new();
    for dir in directories(tree, reader, arch)? {
        // The name goes into the string table even if the directory is empty.
        names.extend(dir.hwcaps.clone());
        let directory = search(tree, &dir, libraries)?;
        links.extend(directory.links);
        stale.extend(directory.stale);
        for found in directory.found {
            // Elsewhere the cache contains the link, so that an update may bring another file.
            let file = if dir.hwcaps.is_some() { &found.name } else { &found.soname };
            let path = format!("{}/{file}", dir.written);
            let entry = CacheEntry { lib: found.soname, path, library: found.library, hwcaps: dir.hwcaps.clone() };
            let at = entries.iter().position(|other| compare(other, &entry) == Ordering::Greater);
            entries.insert(at.unwrap_or(entries.len()), entry);
        }
    }
    stale.retain(|path| !links.contains_key(path));
    let origin = || super::FINALIZER.origin();
    let cache = bytes(&entries, names, generator).ok_or(LdCacheError::TooBig)?;
    let links = links.into_iter().map(|(path, target)| (path, Entry::symlink(target, origin())));
    let cache = TreePath::new("etc/ld.so.cache").map(|path| (path, Entry::file(cache, 0o644, origin())));
    Ok(LdCache { entries: links.chain(cache).collect(), stale })
}

/// The order of entries: by name, descending, then by ABI, then those of glibc-hwcaps first.
fn compare(a: &CacheEntry, b: &CacheEntry) -> Ordering {
    dl_cache_libcmp(b.lib.as_bytes(), a.lib.as_bytes())
        .then_with(|| b.library.flags.cmp(&a.library.flags))
        .then_with(|| a.hwcaps.is_none().cmp(&b.hwcaps.is_none()))
        .then_with(|| a.hwcaps.cmp(&b.hwcaps))
}

/// Returns the file; `None` beyond 4 GiB.
fn bytes(entries: &[CacheEntry], mut names: BTreeSet<String>, generator: &str) -> Option<Vec<u8>> {
    let used: BTreeSet<&String> = entries.iter().filter_map(|entry| entry.hwcaps.as_ref()).collect();
    names.extend(entries.iter().flat_map(|entry| [entry.lib.clone(), entry.path.clone()]));
    let strings = Strings::new(names);
    let table = HEADER + ENTRY * entries.len();
    let string = |text: &str| u32::try_from(table + strings.offset(text)?).ok();
    let extension = (table + strings.bytes.len()).next_multiple_of(4);

    let mut file = MAGIC.to_vec();
    let header = [u32::try_from(entries.len()).ok()?, u32::try_from(strings.bytes.len()).ok()?, LITTLE_ENDIAN];
    push(&mut file, &header);
    push(&mut file, &[u32::try_from(extension).ok()?, 0, 0, 0]);
    for entry in entries {
        file.extend(entry.library.flags.to_le_bytes());
        push(&mut file, &[string(&entry.lib)?, string(&entry.path)?, 0]);
        let index = entry.hwcaps.as_ref().map(|name| used.iter().take_while(|used| **used < name).count());
        let hwcap = match index {
            Some(index) => HWCAP_EXTENSION | u64::from(entry.library.isa_level) << 32 | u64::try_from(index).ok()?,
            None => 0,
        };
        file.extend(hwcap.to_le_bytes());
    }
    file.extend(&strings.bytes);
    file.resize(extension, 0);
    let hwcaps: Vec<u32> = used.iter().map(|name| string(name)).collect::<Option<_>>()?;
    extensions(&mut file, &hwcaps, generator)?;
    Some(file)
}

/// Appends the extension directory and its sections.
fn extensions(file: &mut Vec<u8>, hwcaps: &[u32], generator: &str) -> Option<()> {
    let count = if hwcaps.is_empty() { 1 } else { 2 };
    let hwcaps_at = file.len() + 8 + SECTION * count;
    let generator_at = hwcaps_at + 4 * hwcaps.len();
    let word = |value: usize| u32::try_from(value).ok();
    push(file, &[EXTENSION_MAGIC, word(count)?]);
    push(file, &[TAG_GENERATOR, 0, word(generator_at)?, word(generator.len())?]);
    if !hwcaps.is_empty() {
        push(file, &[TAG_GLIBC_HWCAPS, 0, word(hwcaps_at)?, word(4 * hwcaps.len())?]);
    }
    push(file, hwcaps);
    file.extend(generator.as_bytes());
    Some(())
}

fn push(file: &mut Vec<u8>, words: &[u32]) {
    file.extend(words.iter().flat_map(|word| word.to_le_bytes()));
}
