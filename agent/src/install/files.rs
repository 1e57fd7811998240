//! Writes all files of a joined node in an order that is safe at a power loss: kubelet's kubeconfig
//! last.

use super::certificate::current;
use super::{Node, cni, flags, hostname};
use crate::discovery::node_kubeconfig;
use crate::paths::{CA_FILE, KUBELET_CONF};
use crate::root::{Access, FileError, RootDir};
use crate::seed::File;
use crate::status::say;
use std::collections::BTreeMap;

const TIMESYNCD: &str = "/run/systemd/timesyncd.conf.d/50-kiln-seed.conf";

/// A file cannot be written.
pub type InstallError = FileError;

/// Makes the files of `node`, whose certificate is in place. It runs at every boot and writes only
/// what differs.
///
/// # Errors
/// [`InstallError`].
pub fn install(root: &RootDir, node: &Node) -> Result<(), InstallError> {
    node.save(root)?;
    root.write(CA_FILE, node.trusted.ca_pem.as_bytes(), Access::mode(0o644))?;
    match write_files(root, &node.seed.files) {
        // They were written before the node joined; a later image may have something else there.
        Err(error) if error.is_lasting() => say(&format!("a file of the seed: {error}")),
        result => result?,
    }
    install_ntp(root, &node.seed.ntp_servers)?;
    hostname::set(root, &node.hostname)?;
    cni::install(root, node)?;
    flags::write(root, node)?;
    let kubeconfig = node_kubeconfig(&node.server, CA_FILE, current());
    root.write(KUBELET_CONF, kubeconfig.as_bytes(), Access::mode(0o600))
}

/// Writes the files that the seed brings.
///
/// # Errors
/// [`InstallError`].
pub fn write_files(root: &RootDir, files: &BTreeMap<String, File>) -> Result<(), InstallError> {
    for (path, file) in files {
        let access = Access { mode: file.mode, owner: Some((file.uid, file.gid)) };
        root.write(path, file.content.as_bytes(), access)?;
    }
    Ok(())
}

/// Tells systemd-timesyncd of the seed's NTP servers. It is already running: kiln-ntp.path waits
/// for this file and restarts it.
///
/// # Errors
/// [`InstallError`].
pub fn install_ntp(root: &RootDir, servers: &[String]) -> Result<(), InstallError> {
    if servers.is_empty() {
        return Ok(());
    }
    let text = format!("[Time]\nNTP={}\n", servers.join(" "));
    root.write(TIMESYNCD, text.as_bytes(), Access::mode(0o644))
}
