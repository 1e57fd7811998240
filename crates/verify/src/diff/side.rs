//! One of the two things compared.

use super::DiffError;
use kiln_image::ImageRoot;
use kiln_image::initramfs::BOOT_PATHS;
use kiln_image::listing::{Listed, Listing};
use kiln_manifest::{FileRecord, Manifest};
use kiln_tree::{Digest, Origin};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// The largest text that is compared, in bytes.
const MAX_TEXT: u64 = 128 << 10;

/// The texts of a side, by path.
pub(super) type Texts = BTreeMap<String, String>;

/// Whether `path` boots an image and is therefore not part of every image: the kernel's directory,
/// and paths that only an initramfs has.
pub(super) fn is_boot(path: &str) -> bool {
    path == "boot" || path.starts_with("boot/") || BOOT_PATHS.contains(&path)
}

/// Provides the bytes of files.
pub trait Contents {
    /// Returns the bytes of the files in `wanted` that have at most `limit` bytes.
    ///
    /// # Errors
    /// A description of the failure.
    fn read(&self, wanted: &BTreeSet<String>, limit: u64) -> Result<BTreeMap<String, Vec<u8>>, String>;
}

impl Contents for Box<dyn ImageRoot> {
    fn read(&self, wanted: &BTreeSet<String>, limit: u64) -> Result<BTreeMap<String, Vec<u8>>, String> {
        kiln_image::contents(&**self, wanted, limit).map_err(|error| error.to_string())
    }
}

/// One path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// `directory`, `file`, `symlink`, `char`, `block`, `fifo` or `socket`.
    pub kind: String,
    /// Permission bits in octal.
    pub mode: String,
    /// Owner and group.
    pub owner: (u32, u32),
    /// The size of a file.
    pub size: Option<u64>,
    /// SHA-256 of a file.
    pub sha256: Option<Digest>,
    /// Target of a symbolic link, or `major:minor` of a device.
    pub target: Option<String>,
    /// Extended attributes, values in hexadecimal.
    pub xattrs: BTreeMap<String, String>,
    /// The origin, if it is known.
    pub origin: Option<Origin>,
}

/// An output, an image, or what a profile would bake.
pub struct Side {
    /// The name that the user gave.
    pub name: String,
    /// Values of a manifest besides files: `image`, `packages`, `artifacts`, `overlays`, each by
    /// name. `None` if there is no manifest.
    pub facts: Option<BTreeMap<&'static str, BTreeMap<String, String>>>,
    /// The kernel's command line, if it is known.
    pub cmdline: Option<String>,
    /// The command line of an output's disk, if it has one: it includes the parameters that find
    /// the root.
    pub disk_cmdline: Option<String>,
    /// The sizes of artifacts, by path.
    pub outputs: BTreeMap<String, u64>,
    /// Everything in the root file system.
    pub files: BTreeMap<String, Entry>,
    /// Whether the kernel's directory is included.
    pub has_boot: bool,
    /// The files' bytes.
    pub contents: Box<dyn Contents>,
}

impl fmt::Debug for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Side").field("name", &self.name).field("files", &self.files.len()).finish_non_exhaustive()
    }
}

impl Side {
    /// The side of `manifest`; `contents` are its files.
    pub fn of_manifest(name: &str, manifest: &Manifest, contents: Box<dyn Contents>) -> Self {
        let mut facts: BTreeMap<&'static str, BTreeMap<String, String>> = BTreeMap::new();
        for input in &manifest.inputs {
            let (kind, value) = match input.kind.as_str() {
                "package" => ("packages", input.version.clone()),
                "image" => ("images", input.sha256.to_string()),
                "overlay" => ("overlays", input.sha256.to_string()),
                _ => ("artifacts", input.version.clone()),
            };
            facts.entry(kind).or_default().insert(input.name.clone(), value);
        }
        let image = [
            ("id", manifest.image.id.clone()),
            ("version", manifest.image.version.clone()),
            ("role", manifest.role.clone()),
            ("architecture", manifest.arch.to_string()),
            ("suite", manifest.suite.clone()),
            ("release", manifest.release.clone()),
        ];
        facts.insert("image", image.into_iter().map(|(name, value)| (name.to_owned(), value)).collect());
        Self {
            name: name.to_owned(),
            facts: Some(facts),
            cmdline: Some(manifest.cmdline.clone()),
            disk_cmdline: manifest.disk.as_ref().map(|disk| disk.cmdline.clone()),
            outputs: manifest.outputs.iter().map(|output| (output.path.clone(), output.size)).collect(),
            files: manifest.files.iter().map(|record| (record.path.to_string(), Entry::from(record))).collect(),
            has_boot: true,
            contents,
        }
    }

    /// The side of an image without an output directory.
    pub fn of_image(name: &str, listing: &Listing, cmdline: Option<String>, contents: Box<dyn Contents>) -> Self {
        let files = listing.paths.iter().map(|(path, listed)| (path.clone(), Entry::from(listed))).collect();
        let (facts, outputs, has_boot) = (None, BTreeMap::new(), false);
        Self { name: name.to_owned(), facts, disk_cmdline: None, cmdline, outputs, files, has_boot, contents }
    }

    /// Returns the files in `paths` that are texts of moderate length.
    pub(super) fn texts<'a>(&'a self, paths: impl Iterator<Item = &'a str>) -> Result<Texts, DiffError> {
        let moderate =
            |path: &&str| self.files.get(*path).and_then(|entry| entry.size).is_some_and(|size| size <= MAX_TEXT);
        let settings = self.files.keys().map(String::as_str).filter(|path| super::sysctls::is_setting(path));
        let wanted: BTreeSet<String> = paths
            .filter(|path| super::text::is_configuration(path))
            .chain(settings)
            .filter(moderate)
            .map(str::to_owned)
            .collect();
        if wanted.is_empty() {
            return Ok(Texts::new());
        }
        let failed = |why| DiffError { side: self.name.clone(), why };
        let found = self.contents.read(&wanted, MAX_TEXT).map_err(failed)?;
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).ok().filter(|text| !text.contains('\0'));
        Ok(found.into_iter().filter_map(|(path, bytes)| Some((path, text(bytes)?))).collect())
    }
}

impl From<&FileRecord> for Entry {
    fn from(record: &FileRecord) -> Self {
        Self {
            kind: record.kind.clone(),
            mode: record.mode.clone(),
            owner: (record.uid, record.gid),
            size: record.size,
            sha256: record.sha256,
            target: record.target.clone(),
            xattrs: record.xattrs.clone(),
            origin: Some(record.origin.clone()),
        }
    }
}

impl From<&Listed> for Entry {
    fn from(listed: &Listed) -> Self {
        let node = &listed.node;
        Self {
            kind: node.kind.name().to_owned(),
            mode: format!("{:04o}", node.mode),
            owner: (node.uid, node.gid),
            size: node.kind.size(),
            sha256: listed.sha256,
            target: node.kind.target(),
            xattrs: listed.xattrs_in_hex(),
            origin: None,
        }
    }
}
