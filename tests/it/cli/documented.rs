//! Every command that README, the pages of `docs/` and `--help` show: kiln accepts its words, and
//! commands that need no network run and do what a reader expects.

use super::{kiln, run, stdout, verbs};
use crate::common::worker;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A command of kiln's, and where it is documented.
struct Documented {
    page: String,
    line: String,
}

impl Documented {
    /// The line without its comment.
    fn shell(&self) -> &str {
        self.line.split(" #").next().unwrap_or_default().trim_end()
    }
}

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The words after `kiln` in a line of shell, up to a comment, list, pipe or redirection.
fn words(line: &str) -> Vec<&str> {
    let end = line.find([';', '#', '|', '>']).unwrap_or(line.len());
    line[..end].split_whitespace().skip(1).map(|word| word.trim_matches('\'')).collect()
}

/// The lines of `text` that call kiln.
fn commands(page: &str, text: &str) -> Vec<Documented> {
    let lines = text.lines().map(str::trim).filter(|line| line.starts_with("kiln "));
    lines.map(|line| Documented { page: page.to_owned(), line: line.to_owned() }).collect()
}

/// Those in blocks of Markdown that are marked `sh`.
fn in_page(path: &Path) -> Vec<Documented> {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let shell = |block: &str| block.strip_prefix("sh\n").map(str::to_owned);
    let blocks: String = text.split("```").skip(1).step_by(2).filter_map(shell).collect();
    commands(&path.strip_prefix(repository()).expect("below the repository").display().to_string(), &blocks)
}

fn in_help(verb: &str) -> Vec<Documented> {
    let help = stdout(kiln(Path::new("/")).args([verb, "--help"]));
    let examples = help.split("Example").nth(1).unwrap_or_else(|| panic!("no example:\n{help}"));
    let commands = commands(&format!("kiln {verb} --help"), examples);
    assert!(!commands.is_empty(), "no example:\n{help}");
    commands
}

fn all() -> Vec<Documented> {
    let pages = fs::read_dir(repository().join("docs")).expect("docs/").map(|entry| entry.expect("an entry").path());
    let mut pages: Vec<PathBuf> = pages.filter(|path| path.extension().is_some_and(|name| name == "md")).collect();
    pages.push(repository().join("README.md"));
    pages.sort();
    let pages = pages.iter().flat_map(|path| in_page(path));
    pages.chain(verbs().iter().flat_map(|verb| in_help(verb))).collect()
}

/// Whether the command line is accepted; it is not carried out.
fn is_accepted(words: &[&str]) -> Result<(), String> {
    let output = run(kiln(Path::new("/")).args(words).arg("--help"));
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

/// Whether a test may run the command. Builds, locks and boots need packages or a guest, a
/// comparison with a profile bakes it, and files of the machine are not written.
fn runs_anywhere(command: &Documented) -> bool {
    let words = words(&command.line);
    let outputs = || words[1..].iter().filter(|word| word.starts_with("out/")).count();
    match words[0] {
        _ if command.shell().contains("> /") => false,
        "build" | "lock" | "boot" => false,
        "diff" => outputs() == 2,
        _ => true,
    }
}

/// What documents assume to be in a reader's directory: the repository, files of a node, a seed,
/// and outputs of the worker.
fn readers_directory(built: &Path) -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = |name: &str| directory.path().join(name);
    let samples = repository().join("tests/it/import/samples");
    symlink(repository().join("tests"), path("tests")).expect("linked");
    // Profiles read no overlays elsewhere.
    worker::copy(&repository().join("overlays"), &path("overlays"));
    for name in ["bin", "clusters", "out/a", "out/b"] {
        fs::create_dir_all(path(name)).expect("a directory");
    }
    // Commands write profiles.
    worker::copy(&repository().join("profiles"), &path("profiles"));
    symlink(env!("CARGO_BIN_EXE_kiln"), path("bin/kiln")).expect("linked");
    for output in ["worker", "worker-1", "worker-2", "worker-debug", "previous"] {
        symlink(built, path("out").join(output)).expect("linked");
    }
    for output in ["a", "b"] {
        symlink(built.join("pxe"), path("out").join(output).join("pxe")).expect("linked");
    }
    for (sample, name) in [
        ("kubeadm/config.yaml", "config.yaml"),
        ("kubeadm/init-v1beta4.yaml", "kubeadm.yaml"),
        ("kube-proxy/config.conf", "kube-proxy.yaml"),
        ("eks/kubelet-config.json", "kubelet-config.json"),
    ] {
        fs::copy(samples.join(sample), path(name)).unwrap_or_else(|error| panic!("{sample}: {error}"));
    }
    for (name, text) in [
        ("kubelet.service", "[Service]\nExecStart=/usr/bin/kubelet\n"),
        (
            "10-kubeadm.conf",
            "[Service]\nEnvironment=KUBELET_CONFIG_ARGS=--config=/var/lib/kubelet/config.yaml\n\
             EnvironmentFile=-/var/lib/kubelet/kubeadm-flags.env\nEnvironmentFile=-/etc/default/kubelet\nExecStart=\n\
             ExecStart=/usr/bin/kubelet $KUBELET_CONFIG_ARGS $KUBELET_KUBEADM_ARGS $KUBELET_EXTRA_ARGS\n",
        ),
        ("kubeadm-flags.env", "KUBELET_KUBEADM_ARGS=\"--node-labels=disk=ssd\"\n"),
        ("kubelet", "KUBELET_EXTRA_ARGS=--max-pods=50\n"),
        (
            "bootstrap-kubelet.conf",
            "apiVersion: v1\nkind: Config\nclusters: [{name: prod, cluster: {server: https://10.0.0.1:6443}}]\n",
        ),
        ("node-1.yaml", SEED),
    ] {
        fs::write(path(name), text).expect("written");
    }
    directory
}

const SEED: &str = "kind: NodeSeed
nodeName: worker-1
apiServers: [\"10.0.0.1:6443\"]
token: abcdef.0123456789abcdef
discovery:
  caCertHashes: [\"sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\"]
";

#[test]
fn every_command_in_documents_and_help_is_accepted() {
    let commands = all();
    for verb in verbs() {
        let shown = |page: &str| commands.iter().any(|it| it.page == page && words(&it.line)[0] == verb);
        assert!(shown("README.md"), "README.md does not show \"kiln {verb}\"");
        assert!(shown(&format!("kiln {verb} --help")), "the help of {verb} shows another verb");
    }
    for Documented { page, line } in &commands {
        is_accepted(&words(line)).unwrap_or_else(|error| panic!("{page}: {line}: {error}"));
    }
}

#[test]
fn an_option_that_does_not_exist_is_noticed() {
    assert!(is_accepted(&words("kiln build worker --frobnicate # why")).is_err());
    assert_eq!(words("kiln plan worker --json | jq ."), ["plan", "worker", "--json"]);
}

#[test]
fn every_command_in_documents_and_help_that_needs_no_network_succeeds() {
    let build = tempfile::tempdir().expect("a temporary directory");
    let built = worker::build(build.path(), "worker", "trixie", "pxe,qcow2");
    let mut commands: Vec<Documented> = all().into_iter().filter(runs_anywhere).collect();
    // Several pages show the same command.
    commands.sort_by(|a, b| a.shell().cmp(b.shell()));
    commands.dedup_by(|a, b| a.shell() == b.shell());
    assert!(commands.len() > 30, "only {} commands were found", commands.len());
    let mut failures = Vec::new();
    for Documented { page, line } in &commands {
        let directory = readers_directory(&built);
        let path = std::env::join_paths([directory.path().join("bin"), "/usr/bin".into(), "/bin".into()]);
        let mut shell = Command::new("sh");
        shell.args(["-euc", line]).current_dir(directory.path()).env_clear().env("HOME", directory.path());
        let output = run(shell.env("PATH", path.expect("no colon")));
        if !output.status.success() {
            failures.push(format!("{page}: {line}: {}: {}", output.status, String::from_utf8_lossy(&output.stderr)));
        }
    }
    assert!(failures.is_empty(), "{} of {} failed:\n{}", failures.len(), commands.len(), failures.join("\n"));
}
