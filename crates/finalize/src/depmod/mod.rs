//! The indexes that `depmod` makes of a kernel's modules, byte for byte as kmod writes them.
//!
//! There are three steps, so that the expensive one can be cached and the others are pure
//! functions: [`scan`] reads every module once, [`select`](super::kernel_modules::select) may drop
//! some, [`indexes`] returns the files. Follows `depmod(8)`, `modules.dep(5)` and, where these do
//! not specify it (the order of everything), kmod's `tools/depmod.c` and `shared/hash.c`, of Debian
//! bookworm's version 30 and trixie's version 34.
//!
//! Not supported: directories reached through a symlink inside a module tree are not searched, and
//! `depmod.d` is never followed; it is an error only where it would matter (two modules of one
//! name).

mod decompress;
pub(super) mod graph;
mod hash;
mod module;
mod scan;
mod trie;
pub(super) mod write;

pub use module::ModuleError;
pub use scan::{key, scan};
pub use write::{entries, indexes};

use super::Finalizer;
use kiln_tree::{FileTree, Origin, ReadError};
use serde::{Deserialize, Serialize};

/// No file is listed: modules and their lists are read once, and the result is cached.
pub(crate) const FINALIZER: Finalizer = Finalizer { name: "depmod", reads: &[] };

/// The directory of all kernels' modules, below the root.
pub const MODULES: &str = "usr/lib/modules";

/// Everything that the indexes are made from; small enough to cache (`serde`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KernelModules {
    /// One for each directory in [`MODULES`], sorted by release.
    pub kernels: Vec<Kernel>,
}

/// The modules of one kernel.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kernel {
    /// `uname -r`, the name of its directory.
    pub release: String,
    /// Its modules, sorted by path, at most one with each name.
    pub modules: Vec<ModuleInfo>,
    /// Modules with the same name as another one, which `modprobe` therefore never loads.
    pub shadowed: Vec<ModuleFile>,
    /// Lines of `modules.order`; `None` when it is missing or its last line is not terminated (kmod
    /// ignores it then).
    pub order: Option<Vec<String>>,
    /// Paths in `modules.builtin`; `None` when it is missing.
    pub builtin: Option<Vec<String>>,
    /// `(alias, name)` of built-in modules from `modules.builtin.modinfo`; `None` when it is
    /// missing.
    pub builtin_aliases: Option<Vec<(String, String)>>,
}

/// A module's file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModuleFile {
    /// Path below the kernel's directory (`kernel/fs/ext4/ext4.ko.xz`).
    pub path: String,
    /// Size of the file in bytes, compressed if it is.
    pub size: u64,
}

/// What was read from a module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModuleInfo {
    /// Its file.
    pub file: ModuleFile,
    /// Symbols it exports.
    pub exports: Vec<String>,
    /// Symbols that it needs and that some module of the kernel exports, in the order of its symbol
    /// table.
    pub needs: Vec<String>,
    /// `alias=` values of `.modinfo`.
    pub aliases: Vec<String>,
    /// `softdep=` values of `.modinfo`.
    pub softdeps: Vec<String>,
    /// `weakdep=` values of `.modinfo`.
    pub weakdeps: Vec<String>,
}

impl ModuleInfo {
    /// Its name for `modprobe`.
    pub fn name(&self) -> String {
        module_name(&self.file.path)
    }
}

/// kmod's `path_to_modname`: the base name up to its first dot, with `-` replaced by `_`.
pub fn module_name(path: &str) -> String {
    let base = path.rsplit('/').next().unwrap_or(path);
    base.split('.').next().unwrap_or(base).replace('-', "_")
}

/// The version of kmod to follow. Each version can read the files of the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kmod {
    /// 30, of Debian bookworm: index nodes after their children, no `modules.weakdep`, the last of
    /// equal lines of `modules.order` counts.
    V30,
    /// 34, of Debian trixie: index nodes before their children, `modules.weakdep`, the first of
    /// equal lines counts.
    V34,
}

impl Kmod {
    /// Returns the version for the package `kmod` or `libkmod2` in the tree; 34 if there is
    /// neither.
    pub fn of(tree: &FileTree) -> Self {
        let versions = tree.iter().filter_map(|(_, entry)| match &entry.meta.origin {
            Origin::Package(package) => package.strip_prefix("kmod=").or_else(|| package.strip_prefix("libkmod2=")),
            _ => None,
        });
        let major = |version: &str| version.split(|c: char| !c.is_ascii_digit()).next().and_then(|n| n.parse().ok());
        match versions.filter_map(major).next() {
            Some(0_u32..34) => Self::V30,
            _ => Self::V34,
        }
    }
}

/// Why the modules of a tree cannot be indexed.
#[derive(Debug, thiserror::Error)]
pub enum DepmodError {
    /// The bytes of a file cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The reader did not deliver a file's bytes but reported no error.
    #[error("/{0}: its contents were never delivered; this is a bug in kiln")]
    Undelivered(String),
    /// A file with the suffix `.ko` is not a module.
    #[error("kernel module /{path}: {why}; remove it, or install it again as .ko, .ko.xz or .ko.zst")]
    Module {
        /// Its path in the tree.
        path: String,
        /// What is wrong with it.
        why: ModuleError,
    },
    /// Modules that need each other's symbols, so that none of them can be loaded.
    #[error("kernel {release}: modules {} need each other in a cycle and can never be loaded", .modules.join(", "))]
    Cycle {
        /// The kernel.
        release: String,
        /// The modules on or behind the cycle, sorted.
        modules: Vec<String>,
    },
    /// Two files have one module name, and configuration may decide between them.
    #[error(
        "kernel {release}: {first} and {second} are the same module, and /{config} may decide between them, but kiln \
         does not read it; remove one of the three"
    )]
    Ambiguous {
        /// The kernel.
        release: String,
        /// One file.
        first: String,
        /// The other.
        second: String,
        /// The `depmod.d` file.
        config: String,
    },
    /// An index exceeds its size limit.
    #[error("kernel {release}: {file} would exceed its format's limit of 256 MiB")]
    TooBig {
        /// The kernel.
        release: String,
        /// The index.
        file: &'static str,
    },
    /// A kernel's name is not valid in a path.
    #[error("kernel {0:?} cannot be a directory name")]
    Release(String),
}

#[cfg(test)]
mod tests {
    use super::*;
    use kiln_tree::{Entry, TreePath};

    #[test]
    fn the_version_of_kmod_is_that_of_its_package() {
        let of = |package: &str| {
            let mut tree = FileTree::new();
            let entry = Entry::file("", 0o755, Origin::Package(package.into()));
            tree.insert(TreePath::new("usr/bin/kmod").expect("a path"), entry).expect("inserted");
            Kmod::of(&tree)
        };
        assert_eq!(of("kmod=30+20221128-1"), Kmod::V30);
        assert_eq!(of("libkmod2=34.2-2"), Kmod::V34);
        assert_eq!(of("busybox=1.35.0-4"), Kmod::V34);
    }

    #[test]
    fn names_are_modprobes() {
        assert_eq!(module_name("kernel/net/br-netfilter.ko.xz"), "br_netfilter");
        assert_eq!(module_name("a.b.ko"), "a");
    }
}
