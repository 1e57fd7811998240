//! The PXE set: the files that a network boot loader needs to start a node that runs from RAM.

use super::initramfs::{InitramfsError, Plan};
use super::kernel::{KernelError, kernel, root_tree};
use super::{OutputFile, remedy};
use kiln_cache::Cache;
use kiln_pack::{CopyError, Store};
use kiln_profile::{AboutProfile, Key};
use kiln_tree::{Digest, Entry, FileTree, ReadError, TreeError, TreePath};
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// The inputs of a PXE set.
#[derive(Debug)]
pub struct Pxe<'a> {
    /// The finished tree.
    pub tree: &'a FileTree,
    /// The contents of its files.
    pub store: &'a Store,
    /// The cache for finished frames.
    pub cache: &'a Cache,
    /// The image's time, seconds since 1970.
    pub epoch: u32,
    /// Kernel command line.
    pub cmdline: &'a [String],
    /// The part that is only in the initramfs: `/init`, its devices, and the list of extended
    /// attributes that newc cannot store.
    pub boot_entries: &'a [(TreePath, Entry)],
    /// Threads to use; the bytes do not depend on it.
    pub threads: usize,
}

/// Why a PXE set cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum PxeError {
    /// No kernel, or more than one.
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// A file of the profile has the path of `/init`.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// Compressing failed.
    #[error(transparent)]
    Initramfs(#[from] InitramfsError),
    /// The kernel cannot be read.
    #[error("copying the kernel: {0}")]
    Copy(ReadError),
    /// The output cannot be written.
    #[error("writing {path}: {source}{}", remedy(source))]
    Write {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
}

impl AboutProfile for PxeError {
    fn key(&self) -> Option<Key> {
        match self {
            Self::Kernel(error) => error.key(),
            _ => None,
        }
    }
}

impl Pxe<'_> {
    /// Writes `vmlinuz`, `initramfs.cpio.zst`, `cmdline` and `boot.ipxe` to the new directory
    /// `directory`. `made` is called with the number of bytes of every frame that had to be
    /// compressed.
    ///
    /// # Errors
    /// [`PxeError`].
    pub fn write(&self, directory: &Path, made: &(dyn Fn(u64) + Sync)) -> Result<Vec<OutputFile>, PxeError> {
        let at = |name: &str| directory.join(name);
        let failed = |name: &str| {
            let path = at(name);
            move |source| PxeError::Write { path, source }
        };
        fs::create_dir_all(directory).map_err(failed(""))?;
        let (_, kernel) = kernel(self.tree)?;
        let mut vmlinuz = BufWriter::new(File::create(at("vmlinuz")).map_err(failed("vmlinuz"))?);
        self.store.copy(kernel, &mut vmlinuz).map_err(|error| match error {
            CopyError::Read(source) => PxeError::Copy(source),
            CopyError::Write(source) => failed("vmlinuz")(source),
        })?;
        vmlinuz.flush().map_err(failed("vmlinuz"))?;

        let tree = self.initramfs_tree()?;
        let name = "initramfs.cpio.zst";
        let out = File::create(at(name)).map_err(failed(name))?;
        let initramfs =
            Plan::new(&tree, self.epoch)?.write(self.store, self.cache, self.threads, (&out, &at(name)), made)?;

        let output =
            |name: &str, size, sha256, content| OutputFile { path: format!("pxe/{name}"), size, sha256, content };
        let mut outputs = vec![
            output("vmlinuz", kernel.size, kernel.digest, None),
            output(name, initramfs.size, initramfs.digest, Some(initramfs.members)),
        ];
        let cmdline = self.cmdline.join(" ");
        for (name, text) in [("cmdline", format!("{cmdline}\n")), ("boot.ipxe", ipxe(&cmdline))] {
            fs::write(at(name), &text).map_err(failed(name))?;
            outputs.push(output(name, text.len() as u64, Digest::of(text.as_bytes()), None));
        }
        outputs.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(outputs)
    }

    /// The tree as it is in RAM: without `/boot`, and with the files that boot it.
    fn initramfs_tree(&self) -> Result<FileTree, PxeError> {
        let mut tree = root_tree(self.tree);
        for (path, entry) in self.boot_entries {
            tree.insert(path.clone(), entry.clone())?;
        }
        Ok(tree)
    }
}

/// An iPXE script (<https://ipxe.org/scripting>) that boots the set from the directory it was
/// loaded from.
fn ipxe(cmdline: &str) -> String {
    format!("#!ipxe\nkernel vmlinuz initrd=initramfs.cpio.zst {cmdline}\ninitrd initramfs.cpio.zst\nboot\n")
}
