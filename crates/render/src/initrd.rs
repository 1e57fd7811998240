//! The initrd of a disk: `/init`, and those of the tree's kernel modules that it needs to find,
//! verify and mount the root and the node's state. Everything else is on the root.

use super::RenderError;
use super::initramfs::{boot_files, origin};
use kiln_init::modules::{self, Module};
use kiln_init::verity;
use kiln_profile::Arch;
use kiln_tree::{Entry, FileTree, TreePath};
use std::collections::{BTreeMap, BTreeSet};

/// Modules loaded on any hardware, unless they are built in: they verify and mount the root, say
/// from which disk firmware started (`efivarfs`), provide the overlay on `/etc`, and serve
/// systemd-repart to make file systems.
const ALWAYS: [&str; 5] = ["dm_verity", "efivarfs", "ext4", "loop", "overlay"];

/// Hashes that the modules of [`ALWAYS`] use: the kernel would request the fastest implementations
/// by these aliases, and in an initrd nothing answers such requests.
const HASHES: [&str; 2] = ["crypto-crc32c", "crypto-sha256"];

/// Where drivers of disks and of their buses are, below the kernel's directory; files are given by
/// the beginning of their names.
const DRIVERS: [&str; 12] = [
    "kernel/drivers/ata/",
    "kernel/drivers/block/virtio_blk.",
    "kernel/drivers/block/xen-blkfront.",
    "kernel/drivers/hv/hv_vmbus.",
    "kernel/drivers/message/",
    "kernel/drivers/mmc/",
    "kernel/drivers/nvme/host/nvme.",
    "kernel/drivers/pci/",
    "kernel/drivers/scsi/",
    "kernel/drivers/ufs/",
    "kernel/drivers/virtio/virtio_mmio.",
    "kernel/drivers/virtio/virtio_pci.",
];

/// Drives that cannot hold a root.
const OTHER_DRIVES: [&str; 2] = ["sr_mod", "st"];

/// Buses whose devices are disks or lead to disks.
const BUSES: [&str; 10] = ["acpi:", "acpi*:", "mmc:", "of:", "pci:", "platform:", "scsi:", "virtio:", "vmbus:", "xen:"];

/// Returns the contents of a disk's initrd. `superblock` is that of the root's hash tree, by which
/// `/init` recognises the right root.
///
/// # Errors
/// [`RenderError`] when kiln was built for another architecture.
pub fn disk_initrd_entries(
    arch: Arch,
    tree: &FileTree,
    superblock: &[u8],
) -> Result<Vec<(TreePath, Entry)>, RenderError> {
    let mut entries = boot_files(arch)?;
    entries.push((TreePath::new(verity::FILE)?, Entry::file(superblock, 0o444, origin())));
    let Some(kernel) = Kernel::of(tree) else { return Ok(entries) };
    for module in kernel.modules() {
        if let Some(entry) = tree.get(&module.path) {
            entries.push((TreePath::new(&module.path)?, entry.clone()));
        }
    }
    entries.push(module_list(&kernel)?);
    Ok(entries)
}

/// Returns the list of modules for `/init`, for an initramfs that contains the modules themselves.
pub(super) fn module_list_entry(tree: &FileTree) -> Result<Option<(TreePath, Entry)>, RenderError> {
    Kernel::of(tree).map(|kernel| module_list(&kernel)).transpose()
}

fn module_list(kernel: &Kernel<'_>) -> Result<(TreePath, Entry), RenderError> {
    let text = modules::encode(&kernel.modules())?;
    Ok((TreePath::new(modules::FILE)?, Entry::file(text, 0o644, origin())))
}

/// The indexes of the tree's kernel (modules.dep(5), modules.alias).
struct Kernel<'a> {
    directory: String,
    /// By name: the module's path, and the modules to load before it, in that order.
    needs: BTreeMap<String, (&'a str, Vec<String>)>,
    /// By name.
    aliases: BTreeMap<String, Vec<&'a str>>,
}

impl<'a> Kernel<'a> {
    /// Returns `None` when the tree has no kernel modules.
    fn of(tree: &'a FileTree) -> Option<Self> {
        let (directory, _) = tree.children("usr/lib/modules").find(|(_, entry)| entry.is_dir())?;
        let text = |name: &str| std::str::from_utf8(tree.get(&format!("{directory}/{name}"))?.inline()?).ok();
        let mut needs = BTreeMap::new();
        for line in text("modules.dep")?.lines() {
            let Some((path, rest)) = line.split_once(':') else { continue };
            // modprobe loads them from the last to the first.
            let before = rest.split_ascii_whitespace().rev().map(modules::name).collect();
            needs.insert(modules::name(path), (path, before));
        }
        let mut aliases: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        for line in text("modules.alias")?.lines() {
            let words: Vec<&str> = line.split_ascii_whitespace().collect();
            if let ["alias", alias, name] = words[..] {
                aliases.entry(name.replace('-', "_")).or_default().push(alias);
            }
        }
        Some(Self { directory: directory.to_string(), needs, aliases })
    }

    /// Returns the modules of an initrd, by name.
    fn modules(&self) -> Vec<Module> {
        let mut wanted: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (name, (path, _)) in &self.needs {
            let aliases = self.aliases.get(name).map_or(&[][..], Vec::as_slice);
            if ALWAYS.contains(&name.as_str()) || aliases.iter().any(|alias| HASHES.contains(alias)) {
                wanted.insert(name, Vec::new());
            } else if DRIVERS.iter().any(|place| path.starts_with(place)) && !OTHER_DRIVES.contains(&name.as_str()) {
                let on_bus = |alias: &&&str| BUSES.iter().any(|bus| alias.starts_with(bus));
                let aliases: Vec<&str> = aliases.iter().filter(on_bus).copied().collect();
                if !aliases.is_empty() {
                    wanted.insert(name, aliases);
                }
            }
        }
        // A module that only other modules need gets a pattern that matches no device: without an
        // alias it would always be loaded.
        let needed: BTreeSet<&str> = wanted
            .keys()
            .filter_map(|name| self.needs.get(*name))
            .flat_map(|(_, needs)| needs)
            .map(String::as_str)
            .collect();
        for name in needed {
            wanted.entry(name).or_insert_with(|| vec![modules::ONLY_NEEDED]);
        }
        let module = |(name, aliases): (&str, Vec<&str>)| {
            let (path, needs) = self.needs.get(name)?;
            let aliases = aliases.into_iter().map(str::to_owned).collect();
            Some(Module { path: format!("{}/{path}", self.directory), needs: needs.clone(), aliases })
        };
        wanted.into_iter().filter_map(module).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kiln_tree::Origin;

    const DEP: &str = "\
kernel/drivers/block/virtio_blk.ko.xz:
kernel/drivers/block/nbd.ko.xz:
kernel/drivers/ata/libata.ko.xz: kernel/drivers/scsi/scsi_mod.ko.xz kernel/drivers/scsi/scsi_common.ko.xz
kernel/drivers/ata/ahci.ko.xz: kernel/drivers/ata/libata.ko.xz kernel/drivers/scsi/scsi_mod.ko.xz kernel/drivers/scsi/scsi_common.ko.xz
kernel/drivers/scsi/scsi_mod.ko.xz: kernel/drivers/scsi/scsi_common.ko.xz
kernel/drivers/scsi/scsi_common.ko.xz:
kernel/drivers/md/dm-verity.ko.xz: kernel/drivers/md/dm-mod.ko.xz
kernel/drivers/md/dm-mod.ko.xz:
kernel/fs/efivarfs/efivarfs.ko.xz:
kernel/arch/x86/crypto/sha256-ssse3.ko.xz:
kernel/drivers/net/virtio_net.ko.xz:
";
    const ALIAS: &str = "\
# Aliases extracted from modules themselves.
alias virtio:d00000002v* virtio_blk
alias virtio:d00000001v* virtio_net
alias pci:v*d*sv*sd*bc01sc06i01* ahci
alias devname:mapper/control dm_mod
alias crypto-sha256 sha256_ssse3
alias block-major-8-* sd_mod
";

    fn tree() -> FileTree {
        let mut tree = FileTree::new();
        let mut put = |path: &str, text: &str| {
            let entry = Entry::file(text, 0o644, Origin::Generated("depmod".into()));
            tree.insert(TreePath::new(&format!("usr/lib/modules/6.12/{path}")).expect("a path"), entry).expect("free");
        };
        put("modules.dep", DEP);
        put("modules.alias", ALIAS);
        DEP.lines().filter_map(|line| line.split_once(':')).for_each(|(path, _)| put(path, "ELF"));
        tree
    }

    #[test]
    fn drivers_of_disks_and_what_they_need_are_listed() {
        let list = Kernel::of(&tree()).expect("a kernel").modules();
        let lines: Vec<String> = list
            .iter()
            .map(|module| format!("{} [{}] [{}]", module.name(), module.needs.join(" "), module.aliases.join(" ")))
            .collect();
        assert_eq!(
            lines,
            [
                "ahci [scsi_common scsi_mod libata] [pci:v*d*sv*sd*bc01sc06i01*]",
                "dm_mod [] [-]",
                "dm_verity [dm_mod] []",
                "efivarfs [] []",
                "libata [scsi_common scsi_mod] [-]",
                "scsi_common [] [-]",
                "scsi_mod [scsi_common] [-]",
                "sha256_ssse3 [] []",
                "virtio_blk [] [virtio:d00000002v*]",
            ]
        );
    }

    #[test]
    fn an_initrd_has_what_its_list_names_and_nothing_else() {
        let entries = disk_initrd_entries(Arch::Amd64, &tree(), b"superblock").expect("entries");
        let paths: BTreeSet<&str> = entries.iter().map(|(path, _)| path.as_str()).collect();
        assert_eq!(paths.len(), entries.len());
        let find =
            |path: &str| entries.iter().find(|(it, _)| it.as_str() == path).and_then(|(_, entry)| entry.inline());
        assert_eq!(find(verity::FILE), Some(&b"superblock"[..]));
        let list = find(modules::FILE).and_then(|list| std::str::from_utf8(list).ok()).expect("a list");
        for module in modules::decode(list).expect("a list") {
            assert!(paths.contains(module.path.as_str()), "{}", module.path);
        }
        assert!(paths.contains("init") && !paths.iter().any(|path| path.contains("virtio_net")));
    }

    #[test]
    fn a_kernel_without_modules_needs_none() {
        let entries = disk_initrd_entries(Arch::Amd64, &FileTree::new(), b"").expect("entries");
        assert!(entries.iter().all(|(path, _)| path.as_str() != modules::FILE));
    }
}
