//! The record of a build's inputs and outputs: `manifest.json` and `SHA256SUMS`.

mod records;

pub use records::{DiskRecord, OutputFile, PartitionRecord, Pruned};

use kiln_profile::{Arch, Image};
use kiln_tree::{DeviceKind, Digest, Entry, FileTree, Kind, Origin, TreePath};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// The version of the manifest's format.
pub const VERSION: u32 = 1;
/// Its name in the output directory.
pub const FILE: &str = "manifest.json";
/// The list of digests beside the manifest, which sha256sum(1) can read.
pub const SUMS: &str = "SHA256SUMS";

/// The largest manifest that is read, in bytes: a million files.
const MAX_SIZE: u64 = 512 << 20;

/// Why a manifest cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// It cannot be read.
    #[error("reading {}; is {} the output of \"kiln build\"?: {source}", path.display(), path.parent().unwrap_or(path).display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// It is too large.
    #[error("reading {}: it has more than {MAX_SIZE} bytes; kiln does not write such manifests", .0.display())]
    TooLarge(PathBuf),
    /// It is not a manifest.
    #[error("reading {}: it is damaged or of another version of kiln; build again: {source}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The defect, with line and column.
        source: serde_json::Error,
    },
}

/// `manifest.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// [`VERSION`].
    pub version: u32,
    /// Version of kiln.
    pub kiln: String,
    /// The role of the image.
    pub role: String,
    /// Identity of the image.
    pub image: Image,
    /// Architecture.
    pub arch: Arch,
    /// Debian suite.
    pub suite: String,
    /// Kubernetes release.
    pub release: String,
    /// Kernel version.
    pub kernel: String,
    /// The kernel command line.
    pub cmdline: String,
    /// The image's time, seconds since 1970.
    pub epoch: u32,
    /// All inputs.
    pub inputs: Vec<InputRecord>,
    /// What was removed, by prune rule.
    pub pruned: BTreeMap<String, Pruned>,
    /// Programs that the profile allows to have more rights than their caller, and the reasons.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub privileged: BTreeMap<TreePath, String>,
    /// Overlays that are not for production, with their reasons.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub not_for_production: BTreeMap<String, String>,
    /// All entries of the tree, by path.
    pub files: Vec<FileRecord>,
    /// All output files.
    pub outputs: Vec<OutputFile>,
    /// dm-verity's root hash of the root file system, if one was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root_hash: Option<Digest>,
    /// The layout of the disk, if one was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk: Option<DiskRecord>,
}

/// One input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InputRecord {
    /// `package`, `artifact`, `image` or `overlay`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Its version; empty for overlays.
    pub version: String,
    /// The SHA-256 of its bytes; for an overlay, of everything in it.
    pub sha256: Digest,
}

/// One path of the tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FileRecord {
    /// Path without a leading slash.
    pub path: TreePath,
    /// `directory`, `file`, `symlink`, `char`, `block` or `fifo`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Permission bits in octal.
    pub mode: String,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Modification time, seconds since 1970.
    pub mtime: u32,
    /// The size of a file in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// SHA-256 of a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Digest>,
    /// Target of a symbolic link, or `major:minor` of a device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Extended attributes, with values in hexadecimal.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub xattrs: BTreeMap<String, String>,
    /// Who put it there.
    pub origin: Origin,
}

impl FileRecord {
    fn new(path: &TreePath, entry: &Entry, epoch: u32) -> Self {
        let content = entry.content();
        let (kind, target) = match &entry.kind {
            Kind::Directory => ("directory", None),
            Kind::File { .. } => ("file", None),
            Kind::Symlink(target) => ("symlink", Some(target.clone())),
            Kind::Device { kind: DeviceKind::Char, major, minor } => ("char", Some(format!("{major}:{minor}"))),
            Kind::Device { kind: DeviceKind::Block, major, minor } => ("block", Some(format!("{major}:{minor}"))),
            Kind::Fifo => ("fifo", None),
        };
        let meta = &entry.meta;
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        Self {
            path: path.clone(),
            kind: kind.to_owned(),
            mode: format!("{:04o}", meta.mode),
            uid: meta.uid,
            gid: meta.gid,
            mtime: meta.time(epoch),
            size: content.map(|content| content.size),
            sha256: content.map(|content| content.digest),
            target,
            xattrs: meta.xattrs.iter().map(|(name, value)| (name.clone(), hex(value))).collect(),
            origin: meta.origin.clone(),
        }
    }
}

/// Returns the records of all paths of `tree`.
pub fn records(tree: &FileTree, epoch: u32) -> Vec<FileRecord> {
    tree.iter().map(|(path, entry)| FileRecord::new(path, entry, epoch)).collect()
}

/// Returns the paths of the outputs that the manifest in the directory `output` lists, also of a
/// manifest of another version of kiln.
///
/// # Errors
/// [`ManifestError`].
pub fn read_outputs(output: &Path) -> Result<Vec<String>, ManifestError> {
    /// The fields that every version has, with types that other programs' manifests do not have.
    #[derive(Deserialize)]
    struct Any {
        #[serde(rename = "version")]
        _version: u32,
        #[serde(rename = "kiln")]
        _kiln: String,
        outputs: Vec<AnyFile>,
    }
    #[derive(Deserialize)]
    struct AnyFile {
        path: String,
    }
    let (path, text) = read_text(output)?;
    let any: Any = serde_json::from_slice(&text).map_err(|source| ManifestError::Damaged { path, source })?;
    Ok(any.outputs.into_iter().map(|file| file.path).collect())
}

/// Reads the file of the manifest in the directory `output`; also returns its path.
fn read_text(output: &Path) -> Result<(PathBuf, Vec<u8>), ManifestError> {
    let path = output.join(FILE);
    let failed = |source| ManifestError::Read { path: path.clone(), source };
    let mut text = Vec::new();
    kiln_file::open(&path).map_err(failed)?.take(MAX_SIZE + 1).read_to_end(&mut text).map_err(failed)?;
    if text.len() as u64 > MAX_SIZE {
        return Err(ManifestError::TooLarge(path));
    }
    Ok((path, text))
}

impl Manifest {
    /// Reads the manifest of the build in the directory `output`.
    ///
    /// # Errors
    /// [`ManifestError`].
    pub fn read(output: &Path) -> Result<Self, ManifestError> {
        let (path, text) = read_text(output)?;
        serde_json::from_slice(&text).map_err(|source| ManifestError::Damaged { path, source })
    }

    /// The file's text: JSON with one line for each input, file and output.
    pub fn to_text(&self) -> String {
        let lines = |lines: Vec<String>| {
            if lines.is_empty() { "[]".to_owned() } else { format!("[\n    {}\n  ]", lines.join(",\n    ")) }
        };
        // Exhaustive: a new field that is not written does not compile.
        let Self {
            version,
            kiln,
            role,
            image,
            arch,
            suite,
            release,
            kernel,
            cmdline,
            epoch,
            inputs,
            pruned,
            privileged,
            not_for_production,
            files,
            outputs,
            root_hash,
            disk,
        } = self;
        let fields = [
            ("version", json(version)),
            ("kiln", json(kiln)),
            ("role", json(role)),
            ("image", json(image)),
            ("arch", json(arch)),
            ("suite", json(suite)),
            ("release", json(release)),
            ("kernel", json(kernel)),
            ("cmdline", json(cmdline)),
            ("epoch", json(epoch)),
            ("inputs", lines(inputs.iter().map(json).collect())),
            ("pruned", json(pruned)),
            ("files", lines(files.iter().map(json).collect())),
            ("outputs", lines(outputs.iter().map(json).collect())),
        ];
        let privileged = (!privileged.is_empty()).then(|| ("privileged", json(privileged)));
        let not_for_production =
            (!not_for_production.is_empty()).then(|| ("notForProduction", json(not_for_production)));
        let root_hash = root_hash.iter().map(|hash| ("rootHash", json(hash)));
        let disk = disk.iter().map(|disk| ("disk", json(disk)));
        let fields: Vec<String> = fields
            .into_iter()
            .chain(privileged)
            .chain(not_for_production)
            .chain(root_hash)
            .chain(disk)
            .map(|(name, value)| format!("  \"{name}\": {value}"))
            .collect();
        format!("{{\n{}\n}}\n", fields.join(",\n"))
    }

    /// `SHA256SUMS`: every output and the manifest itself, whose text is `text`.
    pub fn sums(&self, text: &str) -> String {
        let mut lines: Vec<String> =
            self.outputs.iter().map(|output| format!("{}  {}\n", output.sha256, output.path)).collect();
        lines.push(format!("{}  {FILE}\n", Digest::of(text.as_bytes())));
        lines.sort_by(|a, b| a[64..].cmp(&b[64..]));
        lines.concat()
    }
}

fn json(value: &impl Serialize) -> String {
    // Plain strings, numbers and maps always serialize.
    serde_json::to_string(value).unwrap_or_default()
}
