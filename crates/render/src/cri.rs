//! Which of two programs serves the CRI and where, and the file that tells crictl.

use super::{RenderError, Rendered, containerd, cri_dockerd};
use kiln_profile::{Cri, Profile};
use kiln_tree::FileTree;

/// The socket at which kubelet and crictl find the runtime: each project's default.
pub(super) fn endpoint(cri: Cri) -> &'static str {
    match cri {
        Cri::Containerd => "unix:///run/containerd/containerd.sock",
        Cri::CriDockerd => "unix:///run/cri-dockerd.sock",
    }
}

/// The unit that serves the CRI.
pub(super) fn unit(cri: Cri) -> &'static str {
    match cri {
        Cri::Containerd => "containerd.service",
        Cri::CriDockerd => "cri-docker.service",
    }
}

pub(super) fn render(profile: &Profile, tree: &FileTree, rendered: &mut Rendered) -> Result<(), RenderError> {
    let endpoint = endpoint(profile.cri);
    rendered.file(
        "cri",
        "etc/crictl.yaml",
        format!("runtime-endpoint: \"{endpoint}\"\nimage-endpoint: \"{endpoint}\"\ntimeout: 10\ndebug: false\n"),
    )?;
    match profile.cri {
        Cri::Containerd => containerd::render(profile, tree, rendered),
        Cri::CriDockerd => cri_dockerd::render(profile, tree, rendered),
    }
}
