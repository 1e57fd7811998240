//! The profiles and releases of this repository.

use super::{assert_snapshot, shipped_dir};
use kiln_profile::{Arch, ArtifactSource, Overrides, Profile};
use std::path::Path;

fn load(role: &str, overrides: &Overrides) -> Profile {
    kiln_profile::load(&shipped_dir(), role, overrides, Some(Path::new("/home/user")), Arch::Amd64)
        .unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn the_worker_is_unchanged() {
    let profile = load("worker", &Overrides::default());
    let json = serde_json::to_string_pretty(&profile).expect("JSON");
    assert_snapshot("tests/snapshots/worker.json", &format!("{json}\n"));
}

/// Every role on every shipped release, suite and architecture.
#[test]
fn every_role_loads_on_every_suite_architecture_and_release() {
    let releases = ["v1.36.4", "debian-1.20.2"];
    let roles = kiln_profile::roles(&shipped_dir()).expect("roles");
    assert_eq!(roles, ["app", "base", "batch", "control-plane", "deploy", "gpu", "ingress", "system", "worker"]);
    for role in roles.iter().filter(|role| *role != "base") {
        for release in releases {
            let suites = ["trixie", "bookworm"].into_iter();
            for (suite, arch) in suites.flat_map(|suite| [(suite, Arch::Amd64), (suite, Arch::Arm64)]) {
                let overrides = Overrides {
                    release: Some(release.into()),
                    suite: Some(suite.into()),
                    arch: Some(arch),
                    ..Overrides::default()
                };
                let profile = load(role, &overrides);
                assert_eq!(profile.release.name, release);
                assert!(profile.release.components.contains_key("kubelet"));
                assert_eq!(profile.debian.packages.contains("systemd-repart"), suite == "trixie");
                // A program that kubelet used until 1.21.7.
                assert_eq!(profile.debian.packages.contains("findutils"), release == "debian-1.20.2");
                assert!(profile.debian.packages.is_disjoint(&profile.debian.exclude));
            }
        }
    }
}

#[test]
fn a_node_gets_each_of_its_programs_once() {
    let programs = |release: &str| {
        let profile = load("worker", &Overrides { release: Some(release.into()), ..Overrides::default() });
        let release = profile.release;
        (release.components.into_keys().collect::<Vec<_>>(), release.packages.into_iter().collect::<Vec<_>>())
    };
    assert_eq!(
        programs("v1.36.4"),
        (["cni-plugins", "containerd", "crictl", "kubelet", "runc"].map(str::to_owned).to_vec(), vec![])
    );
    assert_eq!(
        programs("debian-1.20.2"),
        (
            vec!["kubelet".to_owned()],
            ["catatonit", "containernetworking-plugins", "containerd", "runc"].map(str::to_owned).to_vec().sorted()
        )
    );
}

/// Sorted, for comparison with sets.
trait Sorted {
    fn sorted(self) -> Self;
}

impl Sorted for Vec<String> {
    fn sorted(mut self) -> Self {
        self.sort();
        self
    }
}

#[test]
fn the_old_release_is_files_of_the_home_directory() {
    let profile = load("worker", &Overrides { release: Some("debian-1.20.2".into()), ..Overrides::default() });
    let kubelet = &profile.release.components["kubelet"];
    let path = "/home/user/.cache/kiln-test/kubernetes-1.20.2/amd64/kubelet";
    assert_eq!(kubelet.source, ArtifactSource::File(path.into()));
    assert_eq!(kubelet.sha256, None);
}
