//! Imports a sample with `kiln import`, and renders files from the result.

use super::judge::made;
use super::worker;
use kiln_profile::import::Fate;
use kiln_profile::{Arch, Overrides, Profile};
use kiln_testing::namespace::room;
use kiln_tree::{Entry, FileTree, Origin, TreePath};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;

pub(super) const RELEASE: &str = "debian-1.20.2";

/// A directory of samples.
pub(super) fn samples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/import/samples")
}

/// The results of `kiln import`.
pub(super) struct Imported {
    pub directory: TempDir,
    pub profile: Profile,
    pub text: String,
    pub seed: String,
    pub cluster: String,
    pub report: Value,
}

/// Runs `kiln import` with `arguments` and the profiles in `directory`.
pub(super) fn run(directory: &Path, arguments: &[&str], files: &[PathBuf]) -> Output {
    let mut command: Command = worker::kiln(directory);
    command.args(["import", "--json"]).args(arguments).args(files).output().expect("kiln starts")
}

/// Imports files of `tests/it/import/samples/SAMPLE` for `release`.
pub(super) fn import(sample: &str, files: &[&str], release: &str) -> Imported {
    import_with(sample, files, release, &[])
}

/// The same with further `options`.
pub(super) fn import_with(sample: &str, files: &[&str], release: &str, options: &[&str]) -> Imported {
    let files: Vec<PathBuf> = files.iter().map(|file| samples().join(sample).join(file)).collect();
    let directory = tempfile::tempdir().expect("a directory");
    let path = |name: &str| directory.path().join(name).display().to_string();
    let (out, seed) = (path("profile.yaml"), path("seed.yaml"));
    let with =
        |arguments: &[&str]| run(directory.path(), &[&["--release", release], arguments, options].concat(), &files);
    let output = with(&["--out", &out, "--seed-out", &seed]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{sample}: {said}");
    let cluster = path("cluster.yaml");
    let again = with(&["--cluster-out", &cluster]);
    assert!(again.status.success(), "{sample}: {}", String::from_utf8_lossy(&again.stderr));
    let profile = kiln_profile::load(
        &directory.path().join("profiles"),
        &out,
        &Overrides::default(),
        Some(Path::new("/home/user")),
        Arch::Amd64,
    );
    let read = |path: &str| fs::read_to_string(path).expect("written");
    Imported {
        profile: profile.unwrap_or_else(|error| panic!("{sample}: {error}")),
        text: read(&out),
        seed: read(&seed),
        cluster: read(&cluster),
        report: serde_json::from_str(&said).unwrap_or_else(|error| panic!("{sample}: {error}\n{said}")),
        directory,
    }
}

impl Imported {
    /// The fields that differ according to the report.
    pub(super) fn differing(&self) -> BTreeSet<String> {
        let entries = self.report["entries"].as_array().expect("a list").iter();
        entries.filter_map(|entry| Some(entry["differs"].as_str()?.to_owned())).collect()
    }

    /// The number of settings with `fate`.
    pub(super) fn count(&self, fate: Fate) -> usize {
        let fate = serde_json::to_value(fate).expect("a word");
        self.report["entries"].as_array().expect("a list").iter().filter(|entry| entry["fate"] == fate).count()
    }

    /// Whether the report contains a setting with this fate and this prefix.
    pub(super) fn says(&self, fate: Fate, what: &str) -> bool {
        let fate = serde_json::to_value(fate).expect("a word");
        let mut entries = self.report["entries"].as_array().expect("a list").iter();
        entries.any(|entry| entry["fate"] == fate && entry["what"].as_str().is_some_and(|it| it.starts_with(what)))
    }

    /// The text that is rendered at `path`.
    pub(super) fn rendered(&self, path: &str) -> String {
        let rendered = kiln_render::render(&self.profile, &tree()).unwrap_or_else(|error| panic!("{error}"));
        let (_, entry) = rendered.iter().find(|(at, _)| at.as_str() == path).expect("a file");
        String::from_utf8_lossy(entry.inline().expect("its text")).into_owned()
    }

    /// kubelet's flags of the rendered node.
    pub(super) fn flags(&self) -> Vec<String> {
        flags(&self.rendered("var/lib/kubelet/kubeadm-flags.env"))
    }
}

/// The flags in kubeadm's environment file.
pub(super) fn flags(text: &str) -> Vec<String> {
    let flags = text.trim().strip_prefix("KUBELET_KUBEADM_ARGS=\"").and_then(|text| text.strip_suffix('"'));
    flags.expect("flags").split_whitespace().map(str::to_owned).collect()
}

/// The paths that rendering looks for, as in Debian's packages.
fn tree() -> FileTree {
    let plugins = ["bandwidth", "bridge", "firewall", "host-local", "loopback", "portmap"];
    let programs = ["bin/containerd", "bin/kubelet", "bin/kube-proxy", "sbin/ipset", "sbin/iptables-nft", "sbin/runc"];
    let programs = programs.map(|name| format!("usr/{name}"));
    let unit = "usr/lib/systemd/system/containerd.service";
    let paths = plugins.iter().map(|name| format!("usr/lib/cni/{name}")).chain(programs);
    let mut tree = FileTree::new();
    for path in paths.chain([unit.to_owned()]) {
        let entry = Entry::file("", 0o755, Origin::Package("some=1".into()));
        tree.insert(TreePath::new(&path).expect("a path"), entry).expect("inserted");
    }
    tree
}

/// The flags and the configuration that kubeadm 1.20.2 writes for its sample's InitConfiguration
/// and ClusterConfiguration.
pub(super) fn written_by_kubeadm() -> (Vec<String>, String) {
    let script = "room \"$1\" /run /var/lib && mkdir /var/lib/kubelet && ./kubeadm init phase kubelet-start --config init.yaml >&2 && \
                  cat /var/lib/kubelet/kubeadm-flags.env /var/lib/kubelet/config.yaml";
    let directory = tempfile::tempdir().expect("a directory");
    let copied =
        Command::new("cp").arg(made("kubeadm")).arg(directory.path().join("kubeadm")).status().expect("cp starts");
    assert!(copied.success());
    fs::copy(samples().join("kubeadm/init-v1beta2.yaml"), directory.path().join("init.yaml")).expect("copied");
    let output = room(&["--mount", "--net"], script).arg(directory.path()).output().expect("unshare starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let text = String::from_utf8_lossy(&output.stdout);
    let (env, config) = text.split_once('\n').expect("flags and configuration");
    (flags(env), config.to_owned())
}
