//! Runs a kubelet to find out whether it accepts a configuration.

use kiln_testing::namespace::room;
use kiln_testing::responder::docker_of_the_machine;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::thread;

/// The number of kubelets that run at once; they mostly wait.
const SIDE_BY_SIDE: usize = 24;

/// kubelet's verdict on a configuration.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is valid.
    Accepted,
    /// It has this field, which is unknown to kubelet.
    Unknown(String),
    /// kubelet exits with this message.
    Rejected(String),
}

/// kubelet's verdicts on `configs`, in order.
pub(super) fn verdicts<'a>(configs: impl Iterator<Item = &'a Map<String, Value>> + Send) -> Vec<Verdict> {
    side_by_side(&made("kubelet"), configs, verdict)
}

/// The verdicts of `program` on `configs`, in order. `verdict` is called with the program, a
/// directory that any user may write, and a configuration.
pub(super) fn side_by_side<'a>(
    program: &Path,
    configs: impl Iterator<Item = &'a Map<String, Value>> + Send,
    verdict: impl Fn(&Path, &Path, &Map<String, Value>) -> Verdict + Sync,
) -> Vec<Verdict> {
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::set_permissions(directory.path(), PermissionsExt::from_mode(0o755)).expect("readable");
    // A copy that any user can execute. Another process makes it: a child forked while this process
    // has the file open for writing would inherit the descriptor, and executing the file would fail
    // (ETXTBSY).
    let copy = directory.path().join("program");
    let copied = Command::new("cp").arg(program).arg(&copy).status().expect("cp starts");
    assert!(copied.success(), "{} is missing: run `make kubelet`", program.display());
    std::fs::set_permissions(&copy, PermissionsExt::from_mode(0o755)).expect("executable");
    docker_of_the_machine(&directory.path().join("machine.sock"));
    let queue = Mutex::new(configs.enumerate());
    let verdicts = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..SIDE_BY_SIDE {
            scope.spawn(|| {
                while let Some((number, config)) = { queue.lock().expect("a queue").next() } {
                    let own = directory.path().join(number.to_string());
                    std::fs::create_dir(&own).expect("a directory");
                    std::fs::set_permissions(&own, PermissionsExt::from_mode(0o777)).expect("writable");
                    let verdict = verdict(&copy, &own, config);
                    verdicts.lock().expect("verdicts").push((number, verdict));
                }
            });
        }
    });
    let mut verdicts = verdicts.into_inner().expect("verdicts");
    verdicts.sort_by_key(|(number, _)| *number);
    verdicts.into_iter().map(|(_, verdict)| verdict).collect()
}

/// The command that runs `program` as nobody, with its own directories and `text` in the file of
/// `--config`.
pub(super) fn unprivileged(program: &Path, config: &Path, text: &str) -> Command {
    std::fs::write(config, text).expect("written");
    std::fs::set_permissions(config, PermissionsExt::from_mode(0o644)).expect("readable");
    let mut command = room(&["--mount"], "room \"$1\" /run /var/lib; no_kmsg; shift; as_nobody \"$@\"");
    command.arg(program.parent().expect("its directory")).arg(program).arg("--config").arg(config);
    command
}

/// `kubelet --help`.
fn help_text() -> String {
    let output = Command::new(made("kubelet")).arg("--help").output().expect("kubelet runs; `make kubelet` builds it");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The feature gates that `kubelet --help` lists, each with its description: `BETA - default=true`.
pub(super) fn gates() -> BTreeMap<String, String> {
    let gate = |line: &str| {
        let (name, rest) = line.trim().split_once("=true|false (")?;
        Some((name.to_owned(), rest.split_once(')')?.0.to_owned()))
    };
    help_text().lines().filter_map(gate).collect()
}

/// The flags that `kubelet --help` lists.
pub(super) fn help() -> Vec<String> {
    let text = help_text();
    let names =
        text.lines().filter_map(|line| line.trim_start().strip_prefix("--").or(line.split_once(", --").map(|it| it.1)));
    names.filter_map(|rest| Some(rest.split_whitespace().next()?.to_owned())).collect()
}

/// A program of Kubernetes 1.20.2 that `make kubelet` built.
pub(super) fn made(name: &str) -> PathBuf {
    let home = std::env::var("HOME").expect("HOME is set");
    Path::new(&home).join(".cache/kiln-test/kubernetes-1.20.2/amd64").join(name)
}

fn verdict(kubelet: &Path, directory: &Path, config: &Map<String, Value>) -> Verdict {
    // Without an API server; the tested configuration overrides these.
    let mut full = json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": { "anonymous": { "enabled": true }, "webhook": { "enabled": false } },
        "authorization": { "mode": "AlwaysAllow" },
        "failSwapOn": false,
    });
    full.as_object_mut().expect("an object").extend(config.clone());
    let output = unprivileged(kubelet, &directory.join("config.json"), &full.to_string())
        .args(["--container-runtime=remote", "--container-runtime-endpoint=unix:///nonexistent.sock"])
        .arg(format!("--root-dir={}/root", directory.display()))
        .arg(format!("--cert-dir={}/pki", directory.display()))
        .output()
        .expect("unshare starts; it is in Debian's util-linux");
    let text = String::from_utf8_lossy(&output.stderr);
    if let Some((_, unknown)) = text.split_once("found unknown field: ") {
        return Verdict::Unknown(unknown.split(',').next().unwrap_or_default().to_owned());
    }
    // An unprivileged kubelet exits there, after all checks.
    if text.contains("failed to create kubelet") {
        return Verdict::Accepted;
    }
    // klog's fatal line, or the one error that 1.20 only logs before it exits.
    let fatal = text.lines().find(|line| line.starts_with('F')).or_else(|| text.lines().last());
    Verdict::Rejected(fatal.unwrap_or_default().to_owned())
}
