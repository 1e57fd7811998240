//! Profiles as users write them: errors and their messages, merging, and the shipped profiles.

mod bad;
mod bad_node;
mod clusters;
mod foreign;
mod fuzz;
mod keys;
mod merging;
mod reference;
mod roles;
mod shipped;

use kiln_profile::{Arch, Overrides, Profile, ProfileError};
use std::fs;
use std::path::{Path, PathBuf};

/// A release without dependencies.
const RELEASE: &str = "kubernetes: 1.30.0
pauseImage: registry.k8s.io/pause:3.9
containerdSeries: 2
components:
  kubelet: {version: 1.30.0, url: 'https://example.org/{arch}/kubelet', sha256: {all: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08}, install: /usr/bin/kubelet}
  kube-proxy: {version: 1.30.0, url: 'https://example.org/{arch}/kube-proxy', sha256: {all: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08}, install: /usr/bin/kube-proxy}
packages: {runc: runc}
";

/// A temporary directory of profiles.
struct Profiles(tempfile::TempDir);

impl Profiles {
    /// `base.yaml`, `worker.yaml` and the release `v1`.
    fn new(base: &[u8], worker: &[u8]) -> Self {
        let profiles = Self(tempfile::tempdir().expect("a temporary directory"));
        profiles.write("profiles/base.yaml", base);
        profiles.write("profiles/worker.yaml", worker);
        profiles.write("profiles/releases/v1.yaml", RELEASE.as_bytes());
        profiles
    }

    /// Only `worker.yaml`, on the release `v1`.
    fn worker(text: &str) -> Self {
        Self::new(b"release: v1\n", format!("extends: base\n{text}").as_bytes())
    }

    fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.0.path().join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        fs::write(path, content).expect("a file");
    }

    fn dir(&self) -> PathBuf {
        self.0.path().join("profiles")
    }

    fn load_with(&self, role: &str, overrides: &Overrides) -> Result<Profile, ProfileError> {
        kiln_profile::load(&self.dir(), role, overrides, Some(Path::new("/home/user")), Arch::Amd64)
    }

    fn load(&self) -> Result<Profile, ProfileError> {
        self.load_with("worker", &Overrides::default())
    }

    /// The error's text without the temporary directory.
    fn error_with(&self, role: &str, overrides: &Overrides) -> String {
        let error = self.load_with(role, overrides).expect_err("a bad profile").to_string();
        assert!(!error.contains('\n'), "not one line: {error:?}");
        error.replace(&format!("{}/", self.0.path().display()), "")
    }

    fn error(&self) -> String {
        self.error_with("worker", &Overrides::default())
    }
}

/// The profiles of this repository.
fn shipped_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("profiles")
}

/// Compares with a file of the repository; `UPDATE_SNAPSHOTS=1` writes it instead.
fn assert_snapshot(path: &str, actual: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        fs::write(&path, actual).expect("writing the snapshot");
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    let difference = expected.lines().zip(actual.lines()).enumerate().find(|(_, (old, new))| old != new);
    assert!(
        expected == actual,
        "{} is not up to date (first difference: {difference:?}); if the change is meant, run the test with UPDATE_SNAPSHOTS=1",
        path.display()
    );
}
