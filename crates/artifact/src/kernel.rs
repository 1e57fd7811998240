//! The one kernel of an image.

use kiln_profile::{AboutProfile, Key, fields};
use kiln_tree::{Content, FileTree};

/// The prefix of the kernel's path in the tree: Debian's `boot/vmlinuz-<version>`.
const KERNEL: &str = "boot/vmlinuz-";

/// No kernel, or more than one.
#[derive(Debug, thiserror::Error)]
#[error("the tree has {0} kernels (boot/vmlinuz-*); an image boots exactly one: check kernel.package")]
pub struct KernelError(usize);

impl AboutProfile for KernelError {
    fn key(&self) -> Option<Key> {
        Some(fields::KERNEL_PACKAGE.into())
    }
}

/// The version of the kernel in `tree`, as in `/usr/lib/modules/<version>`, and its content.
///
/// # Errors
/// [`KernelError`].
pub fn kernel(tree: &FileTree) -> Result<(&str, &Content), KernelError> {
    let kernels: Vec<(&str, &Content)> = tree
        .below("boot")
        .filter_map(|(path, entry)| Some((path.as_str().strip_prefix(KERNEL)?, entry.content()?)))
        .collect();
    match kernels.as_slice() {
        [one] => Ok(*one),
        _ => Err(KernelError(kernels.len())),
    }
}

/// `tree` as the root of a running node: with an empty `/boot`, because its contents boot the node.
/// On a disk, systemd-gpt-auto-generator(8) mounts the EFI system partition there.
#[must_use]
pub fn root_tree(tree: &FileTree) -> FileTree {
    let mut tree = tree.clone();
    tree.retain(|path, _| !path.as_str().starts_with("boot/"));
    tree
}
