//! The Unified Kernel Image: everything that is started of one version, as one program for UEFI.

use super::DiskError;
use super::target::At;
use crate::initramfs;
use crate::kernel::kernel;
use crate::platform::Platform;
use kiln_format::pe::{self, Section};
use kiln_pack::{CopyError, Store};
use kiln_tree::{Content, ContentReader, FileTree};
use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::unix::fs::FileExt;

/// Where the boot loader's package has its programs.
const EFI: &str = "usr/lib/systemd/boot/efi";
const OS_RELEASE: &str = "usr/lib/os-release";

/// A file of the tree that a disk boots with.
///
/// # Errors
/// [`DiskError::Missing`].
pub fn needed<'a>(tree: &'a FileTree, path: &str, package: &'static str) -> Result<&'a Content, DiskError> {
    let missing = || DiskError::Missing { path: path.to_owned(), package };
    tree.resolve(path).and_then(|(_, entry)| entry.content()).ok_or_else(missing)
}

/// The boot loader.
///
/// # Errors
/// [`DiskError::Missing`].
pub fn boot_loader<'a>(tree: &'a FileTree, platform: &Platform) -> Result<&'a Content, DiskError> {
    needed(tree, &format!("{EFI}/systemd-boot{}.efi", platform.efi), "systemd-boot-efi")
}

/// A planned image. Its command line is written last: it names the root hash, which is known last.
#[derive(Debug)]
pub struct Uki<'a> {
    plan: pe::Plan,
    os_release: Vec<u8>,
    uname: &'a str,
    kernel: &'a Content,
    initrd: File,
}

/// The numbers of the sections.
const OSREL: usize = 0;
const CMDLINE: usize = 1;
const UNAME: usize = 2;
const INITRD: usize = 3;
const LINUX: usize = 4;

impl<'a> Uki<'a> {
    /// Plans the image of `tree`'s kernel with `initrd` (and what is known of it) and a command line of `cmdline` bytes.
    ///
    /// # Errors
    /// [`DiskError`] when the tree lacks a part, or the stub does not take it.
    pub fn plan(
        tree: &'a FileTree,
        store: &Store,
        platform: &Platform,
        (initrd, written): (File, &initramfs::Written),
        cmdline: usize,
    ) -> Result<Self, DiskError> {
        let path = format!("{EFI}/linux{}.efi.stub", platform.efi);
        let stub = store.read(needed(tree, &path, "systemd-boot-efi")?)?;
        let os_release = store.read(needed(tree, OS_RELEASE, "base-files")?)?;
        let (uname, kernel) = kernel(tree)?;
        let data = |name, size| Section { name, size, code: false };
        let sections = [
            data(".osrel", os_release.len() as u64),
            data(".cmdline", cmdline as u64),
            data(".uname", uname.len() as u64),
            data(".initrd", written.size),
            Section { name: ".linux", size: kernel.size, code: true },
        ];
        let plan = pe::append(&stub, platform.machine, &sections).map_err(|source| DiskError::Stub { path, source })?;
        Ok(Self { plan, os_release, uname, kernel, initrd })
    }

    /// Bytes of the image.
    pub fn size(&self) -> u64 {
        self.plan.size
    }

    /// Writes all but the command line to `file`, from byte `offset` on.
    ///
    /// # Errors
    /// [`CopyError`].
    pub fn write(&self, store: &Store, file: &File, offset: u64) -> Result<(), CopyError> {
        let at = |section: usize| offset + self.plan.sections[section].start;
        let put = |bytes: &[u8], offset| file.write_all_at(bytes, offset).map_err(CopyError::Write);
        put(&self.plan.head, offset)?;
        put(&self.os_release, at(OSREL))?;
        put(self.uname.as_bytes(), at(UNAME))?;
        let mut initrd = &self.initrd;
        initrd.rewind().map_err(CopyError::Write)?;
        let size = self.plan.sections[INITRD].end - self.plan.sections[INITRD].start;
        io::copy(&mut initrd.take(size), &mut At { file, offset: at(INITRD) }).map_err(CopyError::Write)?;
        store.copy(self.kernel, &mut At { file, offset: at(LINUX) })
    }

    /// Writes the command line to `file`, where the image begins at byte `offset`.
    ///
    /// # Errors
    /// When the file cannot be written, or the text has another length than was planned.
    pub fn write_cmdline(&self, cmdline: &str, file: &File, offset: u64) -> io::Result<()> {
        let section = &self.plan.sections[CMDLINE];
        if section.end - section.start != cmdline.len() as u64 {
            return Err(io::Error::other(
                "the command line has another length than was planned; this is a bug in kiln",
            ));
        }
        file.write_all_at(cmdline.as_bytes(), offset + section.start)
    }
}
