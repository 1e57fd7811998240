//! Docker Engine as the container runtime, behind cri-dockerd. Checks the rendered files, with
//! dockerd's own check. The pair is not run: cri-dockerd is not packaged in Debian, and tests do
//! not download from elsewhere.

use crate::roles::debian_root::{Suite, run};
use crate::roles::own;
use kiln_profile::Cri;
use std::fs;
use std::process::Command;

const RELEASE: &str = "v1.36.4";
/// The settings of a profile for it.
const DOCKER: &str = "cri: cri-dockerd\ncomponents: {cri-dockerd: required, containerd: omitted, runc: omitted}\n";

#[test]
fn a_profile_of_two_lines_is_enough() {
    let profile = own::load(DOCKER, RELEASE).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(profile.cri, Cri::CriDockerd);
    assert!(profile.debian.packages.contains("docker.io"), "{:?}", profile.debian.packages);
    for unit in ["docker.service", "cri-docker.service", "cri-docker.socket"] {
        assert!(profile.units.enable.contains(unit), "{unit}");
    }
    let components: Vec<&str> = profile.release.components.keys().map(String::as_str).collect();
    assert!(components.contains(&"cri-dockerd") && !components.contains(&"containerd"), "{components:?}");
    // Without these settings a node has none of the files, although the release has the components.
    let plain = own::load("", RELEASE).unwrap_or_else(|error| panic!("{error}"));
    assert!(!plain.release.components.contains_key("cri-dockerd"));
    assert!(!plain.debian.packages.contains("docker.io"));
}

#[test]
fn settings_without_effect_are_rejected() {
    let refusal = |more: &str, release: &str| {
        let error = own::load(more, release).err().unwrap_or_else(|| panic!("{more} is let through"));
        error.to_string().split_once("own.yaml:").expect("its place").1.to_owned()
    };
    for (more, release, expected) in [
        (
            "cri: cri-dockerd\n",
            "debian-1.20.2",
            "2:6: cri: cri-dockerd speaks v1 of the CRI and needs Kubernetes 1.24 or later, and this is 1.20",
        ),
        (
            "cri: cri-dockerd\n",
            RELEASE,
            "2:6: cri: the image has no cri-dockerd; add \"cri-dockerd: required\" to components",
        ),
        ("cri: docker\n", RELEASE, "2:6: cri: is \"docker\", and dockershim was removed in Kubernetes 1.24"),
        (
            "cri: cri-dockerd\ncomponents: {cri-dockerd: required}\n",
            RELEASE,
            "2:6: cri: Debian's docker.io comes with its own containerd and runc, and the release has containerd as well",
        ),
        (
            &format!("{DOCKER}containerd: {{mirrors: {{docker.io: ['https://mirror.example']}}}}\n"),
            RELEASE,
            "4:24: containerd.mirrors: cri-dockerd uses dockerd, which does not read it",
        ),
        (
            &format!("{DOCKER}images: {{example.org/a:1: {{archive: {{file: a.tar}}}}}}\n"),
            RELEASE,
            "4:10: images: images are imported into containerd, where dockerd does not look for them",
        ),
    ] {
        let said = refusal(more, release);
        assert!(said.starts_with(expected), "{more}\n  expected {expected}\n  got      {said}");
    }
}

/// Debian's dockerd validates its configuration file.
#[test]
fn dockerd_accepts_its_configuration() {
    let root = tempfile::tempdir().expect("a directory");
    Suite::new("trixie").unpack(&["docker.io", "libc6", "libsystemd0", "libcap2"], root.path());
    let file = root.path().join("daemon.json");
    let dockerd = || {
        // The suite's own C library: this host's may be older.
        let mut command = Command::new(root.path().join("usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2"));
        command.arg("--library-path").arg(root.path().join("usr/lib/x86_64-linux-gnu"));
        command.arg(root.path().join("usr/sbin/dockerd")).arg("--validate").arg("--config-file").arg(&file);
        command
    };
    let text =
        own::rendered_on(DOCKER, RELEASE, &["usr/sbin/dockerd", "usr/bin/cri-dockerd"], "etc/docker/daemon.json");
    let text = text.expect("a configuration");
    fs::write(&file, &text).expect("written");
    let output = run(&mut dockerd(), "docker.io");
    assert!(String::from_utf8_lossy(&output.stderr).contains("configuration OK"), "{output:?}");
    // Proves that the test works.
    fs::write(&file, text.replace("\"bridge\"", "\"brigde\"")).expect("written");
    assert!(!dockerd().output().expect("dockerd").status.success());
}
