//! Configuration that makes a Debian tree a Kubernetes node, rendered from the profile as tree
//! entries.
//!
//! All functions are pure functions of the profile and of the tree of packages and artifacts. Paths
//! are those of kubeadm and of the upstream documentation, so that an operator finds everything
//! where the Kubernetes documentation says it is.

mod agent;
mod boot_check;
mod cluster;
mod cni;
mod containerd;
mod cri;
mod cri_dockerd;
mod directories;
mod embedded;
mod error;
mod files;
mod images;
mod initramfs;
mod initrd;
mod kernel;
mod kube_proxy;
mod kubelet;
mod kubelet_config;
mod kubelet_files;
mod network;
mod ntp;
mod shutdown;
mod state;
mod sysctl_reasons;
mod system;

pub use embedded::{AGENT, check_programs};
pub use error::RenderError;
pub use initramfs::initramfs_entries;
pub use initrd::disk_initrd_entries;
pub use kubelet_files::{KubeletFileError, check_kubelet_files};

use kiln_kubernetes::yaml;
use kiln_profile::Profile;
use kiln_tree::{Entry, FileTree, Origin, TreePath};
use std::collections::BTreeMap;

/// Returns everything that the profile asks for beyond packages, artifacts and overlays, in byte
/// order of the paths, each path once.
///
/// `tree` holds the packages and artifacts. Rendered entries replace what packages ship at the same
/// path (Debian's `etc/containerd/config.toml`); the profile's own files do so only where they say
/// `replace`.
///
/// # Errors
/// [`RenderError`] when the profile asks for something that cannot work, or a component's program
/// is not in `tree`.
pub fn render(profile: &Profile, tree: &FileTree) -> Result<Vec<(TreePath, Entry)>, RenderError> {
    let mut rendered = Rendered::default();
    directories::render(profile, &mut rendered)?;
    kernel::render(profile, &mut rendered)?;
    network::render(&mut rendered)?;
    ntp::render(tree, &mut rendered)?;
    state::render(tree, &mut rendered)?;
    system::render(profile, tree, &mut rendered)?;
    shutdown::render(profile, &mut rendered)?;
    cri::render(profile, tree, &mut rendered)?;
    images::render(profile, &mut rendered)?;
    cni::render(profile, tree, &mut rendered)?;
    cluster::render(profile, &mut rendered)?;
    kubelet::render(profile, tree, &mut rendered)?;
    kubelet_config::render(profile, &mut rendered)?;
    agent::render(profile, &mut rendered)?;
    boot_check::render(tree, &mut rendered)?;
    kube_proxy::render(profile, tree, &mut rendered)?;
    files::render(profile, tree, &mut rendered)?;
    Ok(rendered.entries.into_iter().collect())
}

/// The entries rendered so far; a later entry replaces an earlier one at the same path.
#[derive(Default)]
struct Rendered {
    entries: BTreeMap<TreePath, Entry>,
}

impl Rendered {
    /// Adds a root-owned file of mode `0644` from renderer `by`.
    fn file(&mut self, by: &str, path: &str, text: impl Into<String>) -> Result<(), RenderError> {
        self.put(path, Entry::file(text.into(), 0o644, origin(by)))
    }

    /// Adds a root-owned directory.
    fn directory(&mut self, by: &str, path: &str, mode: u16) -> Result<(), RenderError> {
        self.put(path, Entry::directory(mode, origin(by)))
    }

    /// Adds a symbolic link.
    fn link(&mut self, by: &str, path: &str, target: impl Into<String>) -> Result<(), RenderError> {
        self.put(path, Entry::symlink(target, origin(by)))
    }

    fn put(&mut self, path: &str, entry: Entry) -> Result<(), RenderError> {
        self.entries.insert(TreePath::new(path)?, entry);
        Ok(())
    }
}

fn origin(by: &str) -> Origin {
    Origin::Rendered(by.into())
}

/// The directories in which services look for programs.
const PROGRAMS: [&str; 4] = ["usr/bin", "usr/local/bin", "usr/sbin", "usr/local/sbin"];

/// Finds the program `name` in the tree and returns its absolute path.
fn find(tree: &FileTree, name: &str) -> Option<String> {
    let paths = PROGRAMS.iter().map(|dir| format!("{dir}/{name}"));
    paths.filter(|path| tree.contains(path)).map(|path| format!("/{path}")).next()
}

/// Like [`find`], for a program without which `component` cannot work.
fn program(tree: &FileTree, component: &str, name: &str) -> Result<String, RenderError> {
    find(tree, name).ok_or_else(|| RenderError::NoProgram { component: component.into(), name: name.into() })
}

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod tests;
