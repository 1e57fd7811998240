//! Runs a real kubelet and asks which configuration it uses.

use super::namespace::room;
use super::responder::{docker, docker_of_the_machine};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// Returns a program of Kubernetes 1.20.2 that `make kubernetes` built.
pub fn made(name: &str) -> PathBuf {
    let home = std::env::var("HOME").expect("HOME is set");
    let program = Path::new(&home).join(".cache/kiln-test/kubernetes-1.20.2/amd64").join(name);
    assert!(program.exists(), "{} is missing: run \"make kubernetes\"", program.display());
    program
}

/// Flags that need a cluster, a cloud or its files, which tests do not have. None of them is a
/// field of the configuration.
const ELSEWHERE: [&str; 16] = [
    "azure-container-registry-config",
    "bootstrap-kubeconfig",
    "cert-dir",
    "cloud-config",
    "cloud-provider",
    "cni-bin-dir",
    "cni-conf-dir",
    "config",
    "container-runtime",
    "container-runtime-endpoint",
    "dynamic-config-dir",
    "experimental-mounter-path",
    "kubeconfig",
    "network-plugin",
    "pod-infra-container-image",
    "runtime-cgroups",
];

/// Returns `flags` without those of [`ELSEWHERE`], each as one word.
fn here(flags: &[String]) -> Vec<String> {
    let mut kept = Vec::new();
    let mut flags = flags.iter().peekable();
    while let Some(flag) = flags.next() {
        let (name, value) = flag.split_once('=').map_or((flag.as_str(), None), |(name, value)| (name, Some(value)));
        let next = flags.next_if(|next| value.is_none() && !next.starts_with('-'));
        let value = value.or(next.map(String::as_str));
        if !ELSEWHERE.contains(&name.trim_start_matches('-')) {
            kept.push(value.map_or_else(|| name.to_owned(), |value| format!("{name}={value}")));
        }
    }
    kept
}

/// Flags that allow anonymous requests and make kubelet sign its own certificate, whatever the
/// configuration says.
const ANYBODY: [&str; 5] = [
    "--anonymous-auth=true",
    "--authentication-token-webhook=false",
    "--authorization-mode=AlwaysAllow",
    "--client-ca-file=",
    "--rotate-server-certificates=false",
];

/// Returns the `/configz` of a kubelet that is started with `flags` and, unless it is empty, the
/// text of `config`.
///
/// Its callers are not authenticated, and it signs its own certificate, whatever the configuration
/// says, so this does not compare these two settings.
pub fn configz(flags: &[String], config: Option<&str>, cgroup_driver: &str) -> Value {
    let directory = directory();
    let flags: Vec<String> = here(flags).into_iter().chain(ANYBODY.map(str::to_owned)).collect();
    ask(directory.path(), "127.0.0.1:10250", &flags, config, cgroup_driver)
}

/// Makes a directory that any user can enter, with a certificate and its key: `caller.pem`, and
/// `server.crt` and `server.key` of the same.
pub fn directory() -> TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    let path = |name: &str| directory.path().join(name);
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).expect("readable");
    let mut openssl = Command::new("openssl");
    openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]);
    openssl.args(["-subj", "/CN=caller", "-keyout"]).arg(path("server.key")).arg("-out").arg(path("server.crt"));
    let output = openssl.output().expect("openssl starts; it is in Debian's openssl");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let read = |name: &str| fs::read_to_string(path(name)).expect("written");
    fs::write(path("caller.pem"), read("server.crt") + &read("server.key")).expect("written");
    fs::set_permissions(path("server.key"), fs::Permissions::from_mode(0o644)).expect("nobody reads it");
    directory
}

/// Starts a kubelet in `directory`, which [`directory`] made, with these flags and those that
/// isolate it from the machine, and returns the `/configz` at `address`. The request uses the
/// certificate of that directory.
pub fn ask(directory: &Path, address: &str, flags: &[String], config: Option<&str>, cgroup_driver: &str) -> Value {
    let path = |name: &str| directory.join(name);
    // Copied by another process: if this process forked while the file is open for writing, the
    // file could not be executed.
    let copied = Command::new("cp").arg(made("kubelet")).arg(path("kubelet")).status().expect("cp starts");
    assert!(copied.success());
    docker(&path("docker.sock"), cgroup_driver);
    docker_of_the_machine(&path("machine.sock"));
    let mut command = room(&["--mount", "--net"], include_str!("configz.sh"));
    command.arg(directory).arg(address);
    if let Some(config) = config {
        fs::write(path("config.yaml"), config).expect("written");
        command.arg(format!("--config={}", path("config.yaml").display()));
    }
    let output = command.args(flags).output().expect("unshare starts; it is in Debian's util-linux");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "kubelet {flags:?} with {config:?}:\n{said}");
    let configz: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}\n{said}"));
    configz["kubeletconfig"].clone()
}

/// Fields whose values differ, except those about authentication.
pub fn differing(one: &Value, other: &Value) -> BTreeSet<String> {
    let fields = |value: &Value| value.as_object().expect("an object").keys().cloned().collect::<BTreeSet<_>>();
    let all = fields(one).union(&fields(other)).cloned().collect::<BTreeSet<_>>();
    all.into_iter().filter(|field| is_compared(field) && one.get(field) != other.get(field)).collect()
}

/// Whether kubelet reports a field as it was configured.
pub fn is_compared(field: &str) -> bool {
    !["authentication", "authorization"].contains(&field)
}

#[test]
fn values_in_a_separate_word_stay_with_their_flags() {
    let flags =
        ["--kubeconfig", "/x", "--max-pods", "3", "--v=2", "--anonymous-auth", "--config=/y"].map(str::to_owned);
    assert_eq!(here(&flags), ["--max-pods=3", "--v=2", "--anonymous-auth"]);
}
