//! What an initramfs needs in addition to the tree that every artifact holds.

use super::initrd::module_list_entry;
use super::{RenderError, embedded};
use kiln_init::xattrs::{self, Xattr};
use kiln_profile::Arch;
use kiln_tree::{DeviceKind, Entry, FileTree, Kind, Metadata, Origin, TreePath};

/// Returns the entries to add to `tree` when it becomes an initramfs: `boot_files`, the list of
/// modules for a node with its state on a disk, and the list of extended attributes, if any.
///
/// # Errors
/// [`RenderError`] when kiln was built for another architecture, or an attribute cannot be listed.
pub fn initramfs_entries(arch: Arch, tree: &FileTree) -> Result<Vec<(TreePath, Entry)>, RenderError> {
    let mut entries = boot_files(arch)?;
    entries.extend(module_list_entry(tree)?);
    let xattrs: Vec<Xattr> = tree
        .iter()
        .flat_map(|(path, entry)| entry.meta.xattrs.iter().map(move |(name, value)| (path, name, value)))
        .map(|(path, name, value)| Xattr { path: path.to_string(), name: name.clone(), value: value.clone() })
        .collect();
    if !xattrs.is_empty() {
        entries.push((TreePath::new(xattrs::FILE)?, Entry::file(xattrs::encode(&xattrs)?, 0o644, origin())));
    }
    Ok(entries)
}

/// Returns `/init` and the two device nodes that must exist: the Rust runtime aborts without
/// `/dev/null` when there is no console.
pub(super) fn boot_files(arch: Arch) -> Result<Vec<(TreePath, Entry)>, RenderError> {
    let init = embedded::INIT.for_arch(arch)?;
    let device = |mode, minor_of: (u32, u32)| Entry {
        kind: Kind::Device { kind: DeviceKind::Char, major: minor_of.0, minor: minor_of.1 },
        meta: Metadata::new(mode, origin()),
    };
    Ok(vec![
        (TreePath::new("dev/console")?, device(0o600, (5, 1))),
        (TreePath::new("dev/null")?, device(0o666, (1, 3))),
        (TreePath::new("init")?, Entry::file(init, 0o755, origin())),
    ])
}

pub(super) fn origin() -> Origin {
    Origin::Generated("initramfs".into())
}
