//! Directories that a node needs, with kubeadm's modes.
//!
//! They are both in the image and in tmpfiles.d, because a file system mounted over `/etc` or
//! `/var` at boot may be empty.

use super::{RenderError, Rendered};
use kiln_profile::Profile;
use kiln_profile::kubelet::DROP_INS;
use std::fmt::Write as _;

const BY: &str = "directories";

/// Path and mode.
const DIRECTORIES: [(&str, u16); 12] = [
    ("etc/cni/net.d", 0o755),
    ("etc/kubernetes", 0o755),
    ("etc/kubernetes/manifests", 0o700),
    ("etc/kubernetes/pki", 0o700),
    ("opt/cni/bin", 0o755),
    ("var/lib/cni", 0o755),
    ("var/lib/containerd", 0o711),
    ("var/lib/kubelet", 0o700),
    ("var/lib/kubelet/pki", 0o700),
    // Bind-mounted to /etc/kubernetes.
    ("var/lib/kubernetes", 0o755),
    ("var/log/containers", 0o755),
    ("var/log/pods", 0o755),
];

pub(super) fn render(profile: &Profile, rendered: &mut Rendered) -> Result<(), RenderError> {
    // kubelet does not start when its configured drop-in directory is missing.
    let drop_ins = profile.release.kubernetes.minor.has_config_drop_ins().then_some((DROP_INS, 0o755));
    let mut tmpfiles = String::from("# Directories of a Kubernetes node; see tmpfiles.d(5).\n");
    for (path, mode) in DIRECTORIES.into_iter().chain(drop_ins) {
        rendered.directory(BY, path, mode)?;
        writeln!(tmpfiles, "d /{path} {mode:04o} root root -").ok();
    }
    rendered.file(BY, "usr/lib/tmpfiles.d/kiln.conf", tmpfiles)
}
