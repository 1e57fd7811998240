//! Detects outputs that are up to date.

use kiln_bake::lock::Locked;
use kiln_cache::Cache;
use kiln_manifest::Manifest;
use kiln_pack::layer::Overlay;
use kiln_tree::Digest;
use sha2::{Digest as _, Sha256};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Detects an output that a build would only reproduce, by the digest of all inputs and the files'
/// inode data, as make and git do. The files' contents are not compared; `kiln verify` does that.
#[derive(Debug)]
pub(super) struct Unchanged {
    directory: PathBuf,
    key: Digest,
}

impl Unchanged {
    /// Computes a key from everything that determines the contents of `directory`.
    pub(super) fn new(locked: &Locked, overlays: &[Overlay], directory: &Path) -> Self {
        let mut hasher = Sha256::new();
        // The running kiln is identified by inode data: hashing it would take longer than the rest.
        hasher.update(stamp(Path::new("/proc/self/exe")).unwrap_or_default());
        // Serializing plain data cannot fail.
        hasher.update(serde_json::to_vec(locked.profile()).unwrap_or_default());
        hasher.update(locked.lock().to_text());
        for overlay in overlays {
            hasher.update(overlay.digest().as_bytes());
        }
        let directory = std::path::absolute(directory).unwrap_or_else(|_| directory.to_owned());
        hasher.update(directory.as_os_str().as_encoded_bytes());
        Self { directory, key: Digest::finish(hasher) }
    }

    /// Returns the manifest of the output if nothing has changed since [`Unchanged::remember`].
    pub(super) fn find(&self, cache: &Cache) -> Option<Manifest> {
        let remembered = cache.derived("output", &self.key)?;
        let manifest = Manifest::read(&self.directory).ok()?;
        (remembered == self.stamps(&manifest)?.as_bytes()).then_some(manifest)
    }

    /// Records that the output is up to date.
    pub(super) fn remember(&self, cache: &Cache, manifest: &Manifest) {
        if let Some(stamps) = self.stamps(manifest) {
            // If this fails, the next build only repeats the work.
            let _ = cache.put_derived("output", &self.key, stamps.as_bytes());
        }
    }

    fn stamps(&self, manifest: &Manifest) -> Option<String> {
        let names = manifest
            .outputs
            .iter()
            .map(|output| output.path.as_str())
            .chain([kiln_manifest::FILE, kiln_manifest::SUMS]);
        names.map(|name| stamp(&self.directory.join(name)).ok()).collect()
    }
}

/// Inode, size and times of a file, one of which changes whenever the file does.
fn stamp(path: &Path) -> io::Result<String> {
    let found = fs::metadata(path)?;
    Ok(format!(
        "{} {} {} {}.{:09} {}.{:09}\n",
        found.dev(),
        found.ino(),
        found.size(),
        found.mtime(),
        found.mtime_nsec(),
        found.ctime(),
        found.ctime_nsec()
    ))
}
