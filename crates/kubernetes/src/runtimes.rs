//! Container runtimes that guides still mention, and their replacements.

/// The replacement of the runtime that `text`, a name or a socket, belongs to; none for containerd
/// and for unknown runtimes.
///
/// Sources: "Dockershim Removed From Kubernetes" (1.24) and "Container Runtimes" of Kubernetes'
/// documentation; the changelog of 1.11 for rkt.
pub fn replacement(text: &str) -> Option<&'static str> {
    let named = |parts: &[&str]| parts.iter().any(|part| text.contains(part));
    match text {
        _ if named(&["cri-dockerd"]) => Some(
            "containerd runs the same images and pods; where Docker itself must stay on the node, set \"cri: cri-dockerd\"",
        ),
        _ if named(&["docker"]) => Some(
            "dockershim was removed in Kubernetes 1.24; containerd runs the same images and pods, and \"docker ps\" is \"crictl ps\"; \
             where Docker itself must stay on the node, set \"cri: cri-dockerd\"",
        ),
        _ if named(&["rkt", "rocket"]) => Some("rkt was removed in Kubernetes 1.11; containerd runs its images"),
        _ if named(&["cri-o", "crio"]) => Some(
            "containerd runs the same images as CRI-O; move the settings of CRI-O's configuration to \"containerd\"",
        ),
        _ if named(&["frakti"]) => {
            Some("frakti is discontinued; use containerd with a second runtime in containerd.runtimes")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_runtimes_have_a_replacement_and_containerd_has_none() {
        assert!(replacement("unix:///run/cri-dockerd.sock").is_some_and(|why| why.starts_with("containerd")));
        for old in ["docker", "dockershim", "unix:///var/run/dockershim.sock"] {
            assert!(replacement(old).is_some_and(|why| why.contains("in Kubernetes 1.24")), "{old}");
        }
        assert!(replacement("rkt").is_some_and(|why| why.contains("1.11")));
        assert!(replacement("unix:///var/run/crio/crio.sock").is_some());
        assert_eq!(replacement("remote"), None);
        assert_eq!(replacement("unix:///run/containerd/containerd.sock"), None);
    }
}
