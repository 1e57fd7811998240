//! The shipped worker, built once per test program and suite through the `kiln` binary. Packages
//! and derived data are cached outside the clone, in `$XDG_CACHE_HOME/kiln-test/kiln`; this affects
//! speed only.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The directory in which tests cache downloads and builds.
pub(crate) fn test_cache() -> PathBuf {
    let base = env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let home = || PathBuf::from(env::var_os("HOME").expect("HOME is set")).join(".cache");
    base.unwrap_or_else(home).join("kiln-test")
}

/// The `kiln` under test, with the tests' cache and the shipped profiles copied to `directory`.
pub(crate) fn kiln(directory: &Path) -> Command {
    kiln_with_cache(directory, &test_cache().join("kiln"))
}

/// As [`kiln`], with a separate cache.
pub(crate) fn kiln_with_cache(directory: &Path, cache: &Path) -> Command {
    let profiles = directory.join("profiles");
    if !profiles.exists() {
        copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("profiles"), &profiles);
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_kiln"));
    command.arg("--profiles").arg(profiles).arg("--cache").arg(cache);
    command
}

/// Builds the worker of `suite` into `directory/out` and returns that path.
///
/// # Panics
/// With kiln's error message when the build fails.
pub(crate) fn build_worker(directory: &Path, suite: &str) -> PathBuf {
    build(directory, "worker", suite, "pxe")
}

/// Builds the artifacts `outputs` of `role`, a profile in `directory`; otherwise as
/// [`build_worker`].
pub(crate) fn build(directory: &Path, role: &str, suite: &str, outputs: &str) -> PathBuf {
    kubelet();
    let out = directory.join("out");
    let mut command = kiln(directory);
    command.args(["build", role, "--release", "debian-1.20.2", "--suite", suite]);
    command.args(["--output", outputs, "--out"]).arg(&out);
    let output = command.output().expect("kiln starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    out
}

/// The kubelet of release debian-1.20.2.
///
/// # Panics
/// When it has not been built.
pub(crate) fn kubelet() -> PathBuf {
    // The path in the release file, independent of XDG_CACHE_HOME.
    let home = PathBuf::from(env::var_os("HOME").expect("HOME is set"));
    let kubelet = home.join(".cache/kiln-test/kubernetes-1.20.2/amd64/kubelet");
    assert!(kubelet.exists(), "{} is missing: run \"make kubelet\"", kubelet.display());
    kubelet
}

/// Copies the YAML files below `from`.
pub(crate) fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a directory");
    for entry in std::fs::read_dir(from).expect("a directory") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("a type").is_dir() {
            copy(&entry.path(), &target);
        } else if entry.path().extension().is_some_and(|extension| extension == "yaml") {
            std::fs::copy(entry.path(), target).expect("copied");
        }
    }
}
