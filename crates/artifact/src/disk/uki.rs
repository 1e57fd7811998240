//! The Unified Kernel Image: everything that one version boots, as one UEFI program.

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

/// The directory of the boot loader's programs in its package.
const EFI: &str = "usr/lib/systemd/boot/efi";
const OS_RELEASE: &str = "usr/lib/os-release";

/// Returns a file of the tree that a disk needs to boot.
///
/// # Errors
/// [`DiskError::Missing`].
pub(super) fn needed<'a>(tree: &'a FileTree, path: &str, package: &'static str) -> Result<&'a Content, DiskError> {
    let missing = || DiskError::Missing { path: path.to_owned(), package };
    tree.resolve(path).and_then(|(_, entry)| entry.content()).ok_or_else(missing)
}

/// Returns the boot loader.
///
/// # Errors
/// [`DiskError::Missing`].
pub(super) fn boot_loader<'a>(tree: &'a FileTree, platform: &Platform) -> Result<&'a Content, DiskError> {
    needed(tree, &format!("{EFI}/systemd-boot{}.efi", platform.efi), "systemd-boot-efi")
}

/// A planned image. Its command line is written last: it names the root hash, which is known last.
#[derive(Debug)]
pub(super) struct Uki<'a> {
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
    /// Plans the image of `tree`'s kernel with `initrd` (and its size and digests) and a command
    /// line of `cmdline` bytes.
    ///
    /// # Errors
    /// [`DiskError`] when the tree lacks a part, or the stub has no room for it.
    pub(super) fn plan(
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

    /// The size of the image in bytes.
    pub(super) fn size(&self) -> u64 {
        self.plan.size
    }

    /// Writes everything except the command line to `file`, starting at byte `offset`.
    ///
    /// # Errors
    /// [`CopyError`].
    pub(super) fn write(&self, store: &Store, file: &File, offset: u64) -> Result<(), CopyError> {
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

    /// Writes the command line to `file`, in which the image begins at byte `offset`.
    ///
    /// # Errors
    /// When the file cannot be written, or the text does not have the planned length.
    pub(super) fn write_cmdline(&self, cmdline: &str, file: &File, offset: u64) -> io::Result<()> {
        let section = &self.plan.sections[CMDLINE];
        if section.end - section.start != cmdline.len() as u64 {
            return Err(io::Error::other("the command line does not have the planned length; this is a bug in kiln"));
        }
        file.write_all_at(cmdline.as_bytes(), offset + section.start)
    }
}
