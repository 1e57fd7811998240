//! Container runtimes that guides still name, and what took their place.

/// What took the place of the runtime that `text`, a name or a socket, is of; nothing for containerd and what is unknown.
///
/// Sources: "Dockershim Removed From Kubernetes" (1.24) and "Container Runtimes" of Kubernetes' documentation; the changelog of 1.11 for rkt.
pub fn replaced(text: &str) -> Option<&'static str> {
    let named = |parts: &[&str]| parts.iter().any(|part| text.contains(part));
    match text {
        _ if named(&["cri-dockerd"]) => Some(
            "containerd runs the same images and pods; where Docker itself must stay on the node, say \"cri: cri-dockerd\"",
        ),
        _ if named(&["docker"]) => Some(
            "dockershim is gone since Kubernetes 1.24; containerd runs the same images and pods, and \"docker ps\" is \"crictl ps\"; \
             where Docker itself must stay on the node, say \"cri: cri-dockerd\"",
        ),
        _ if named(&["rkt", "rocket"]) => Some("rkt is gone since Kubernetes 1.11; containerd runs its images"),
        _ if named(&["cri-o", "crio"]) => Some(
            "containerd runs the same images as CRI-O; what CRI-O's own configuration says must be said in \"containerd\"",
        ),
        _ if named(&["frakti"]) => {
            Some("frakti is no more; take containerd with a second runtime in containerd.runtimes")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_runtime_is_answered_and_another_socket_is_not() {
        assert!(replaced("unix:///run/cri-dockerd.sock").is_some_and(|why| why.starts_with("containerd")));
        for old in ["docker", "dockershim", "unix:///var/run/dockershim.sock"] {
            assert!(replaced(old).is_some_and(|why| why.contains("since Kubernetes 1.24")), "{old}");
        }
        assert!(replaced("rkt").is_some_and(|why| why.contains("1.11")));
        assert!(replaced("unix:///var/run/crio/crio.sock").is_some());
        assert_eq!(replaced("remote"), None);
        assert_eq!(replaced("unix:///run/containerd/containerd.sock"), None);
    }
}
