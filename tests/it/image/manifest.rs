//! Reads `manifest.json` by its documented fields, without kiln's types.

use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// The fields that the tests use.
#[derive(Deserialize)]
pub(crate) struct Manifest {
    pub epoch: u64,
    pub inputs: Vec<Input>,
    pub pruned: BTreeMap<String, Pruned>,
    pub files: Vec<Record>,
}

/// An input.
#[derive(Deserialize)]
pub(crate) struct Input {
    pub kind: String,
    pub name: String,
    pub version: String,
    pub sha256: String,
}

/// Files that were left out.
#[derive(Deserialize)]
pub(crate) struct Pruned {
    pub files: u64,
    pub bytes: u64,
}

/// A path of the tree.
#[derive(Deserialize, Clone)]
pub(crate) struct Record {
    pub path: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub mode: String,
    pub uid: u32,
    pub gid: u32,
    pub mtime: u64,
    pub size: Option<u64>,
    pub sha256: Option<String>,
    pub target: Option<String>,
    pub origin: Value,
}

impl Manifest {
    /// Reads the manifest in the output directory `out`.
    pub(crate) fn read(out: &Path) -> Self {
        let text = fs::read_to_string(out.join("manifest.json")).expect("manifest.json");
        serde_json::from_str(&text).expect("a manifest")
    }

    /// The paths of the tree in an initramfs: all except the kernel's directory.
    pub(crate) fn in_initramfs(&self) -> impl Iterator<Item = &Record> {
        self.files.iter().filter(|record| !record.path.starts_with("boot/"))
    }

    /// The total size in bytes of the regular files in an initramfs.
    pub(crate) fn bytes(&self) -> u64 {
        self.in_initramfs().filter_map(|record| record.size).sum()
    }
}

impl Record {
    /// The expected entry in mtree(5) format.
    pub(crate) fn mtree(&self) -> BTreeMap<String, String> {
        let mut keywords = BTreeMap::new();
        let mut set = |key: &str, value: String| keywords.insert(key.to_owned(), value);
        set("mode", self.mode.trim_start_matches('0').to_owned());
        set("uid", self.uid.to_string());
        set("gid", self.gid.to_string());
        set("time", format!("{}.0", self.mtime));
        let target = || self.target.clone().expect("a target");
        let kind = match self.kind.as_str() {
            "directory" => "dir",
            "symlink" => {
                set("link", target());
                "link"
            }
            "char" | "block" => {
                set("device", format!("native,{}", target().replace(':', ",")));
                &self.kind
            }
            "file" => {
                set("size", self.size.expect("a size").to_string());
                set("sha256digest", self.sha256.clone().expect("a digest"));
                "file"
            }
            other => other,
        };
        set("type", kind.to_owned());
        keywords
    }

    /// The package that it comes from, without its version.
    pub(crate) fn package(&self) -> Option<&str> {
        self.origin.get("package")?.as_str()?.split('=').next()
    }
}
