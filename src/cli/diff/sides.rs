//! Opens the two sides of a comparison.

use super::super::Global;
use super::super::args::ProfileArgs;
use super::super::build::with_build_line;
use super::super::host::Host;
use super::super::lock::{LockPolicy, load_locked};
use super::DiffArgs;
use anyhow::Context;
use kiln_bake::Baked;
use kiln_image::listing::Listing;
use kiln_manifest::Manifest;
use kiln_verify::diff::{Contents, Side};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::{Path, PathBuf};

/// Maximum size in bytes of the file `cmdline` beside an initramfs.
const MAX_CMDLINE: u64 = 64 << 10;

/// Opens `name`: an output directory or an image if such a path exists, else a role.
pub(super) fn open(global: &Global, args: &DiffArgs, name: &str) -> anyhow::Result<Side> {
    let path = Path::new(name);
    if path.is_dir() {
        let manifest = Manifest::read(path)?;
        let contents = OutputContents(path.to_owned());
        return Ok(Side::of_manifest(name, &manifest, Box::new(contents)));
    }
    if path.is_file() && path.extension().is_none_or(|extension| extension != "yaml") {
        return image(name, path).with_context(|| format!("reading {name}"));
    }
    profile(global, args, name)
}

fn image(name: &str, path: &Path) -> anyhow::Result<Side> {
    let root = kiln_image::open(path)?;
    let listing = Listing::read(&*root, &mut |_, _| {})?;
    let cmdline = root.cmdline().or_else(|| beside(path));
    Ok(Side::of_image(name, &listing, cmdline, Box::new(root)))
}

/// Reads the command line of a PXE set, which is a separate file.
fn beside(path: &Path) -> Option<String> {
    let mut text = String::new();
    kiln_file::open(&path.with_file_name("cmdline")).ok()?.take(MAX_CMDLINE).read_to_string(&mut text).ok()?;
    Some(text.trim().to_owned())
}

/// Bakes a profile without making artifacts.
fn profile(global: &Global, args: &DiffArgs, role: &str) -> anyhow::Result<Side> {
    let host = Host::new(global)?;
    let cache = host.cache()?;
    let http = host.http(args.offline, &args.mirrors)?;
    let policy = LockPolicy { locked: args.locked, offline: args.offline };
    let wanted = ProfileArgs { role: role.to_owned(), changes: args.changes.clone() };
    let locked = load_locked(&host, &wanted, &args.mirrors, &[], policy, &cache, &http)
        .with_context(|| format!("{role} is neither an output nor an image, and is read as a role"))?;
    let (baked, manifest) = with_build_line(&host, &locked, &host.fetcher(&cache, &http), |line| line.bake())?;
    Ok(Side::of_manifest(role, &manifest, Box::new(BakedContents(baked))))
}

/// The files of an output, opened on demand: most comparisons need only the manifest.
struct OutputContents(PathBuf);

impl Contents for OutputContents {
    fn read(&self, wanted: &BTreeSet<String>, limit: u64) -> Result<BTreeMap<String, Vec<u8>>, String> {
        let root = kiln_verify::open_output(&self.0).map_err(|error| error.to_string())?;
        root.read(wanted, limit)
    }
}

struct BakedContents(Baked);

impl Contents for BakedContents {
    fn read(&self, wanted: &BTreeSet<String>, limit: u64) -> Result<BTreeMap<String, Vec<u8>>, String> {
        let mut found = BTreeMap::new();
        for path in wanted {
            let content = self.0.tree.get(path).and_then(|entry| entry.content());
            if let Some(content) = content.filter(|content| content.size <= limit) {
                let mut bytes = Vec::new();
                self.0.store.copy(content, &mut bytes).map_err(|error| error.to_string())?;
                found.insert(path.clone(), bytes);
            }
        }
        Ok(found)
    }
}
