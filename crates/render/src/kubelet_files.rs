//! Checks what overlays and a profile's `files` bring for kubelet by the rules for the profile's
//! own settings: drop-ins of its configuration, and flags in the environment files of its unit.
//!
//! Sources: "Set Kubelet Parameters Via A Configuration File" of Kubernetes' documentation for how
//! drop-ins are merged into the configuration (KEP-3983); kubeadm's packages for the environment
//! files.

use kiln_agent::paths::{KUBELET_CONFIG, in_tree};
use kiln_kubernetes::kubelet_flags::{self, Flag};
use kiln_kubernetes::yaml;
use kiln_kubernetes::{DROP_INS_SINCE, Minor, Misfit, Step, kubelet_config};
use kiln_profile::kubelet::{self, DROP_INS, ENVIRONMENT_FILES, EXTRA_ARGS};
use kiln_profile::{Located, NotLocated, Place, Profile};
use kiln_tree::{ContentReader, Entry, FileTree, Origin, ReadError, TreePath};
use serde_json::{Map, Value};

const CONFIG: &str = in_tree(KUBELET_CONFIG);
/// The largest file that is accepted, in bytes.
const MAX_SIZE: u64 = 1 << 20;

/// What is wrong with a file for kubelet.
#[derive(Debug, thiserror::Error)]
pub enum KubeletFileError {
    /// Its contents cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// kubelet would not start with it, or would ignore it.
    #[error(transparent)]
    Wrong(#[from] NotLocated),
}

/// Checks the files for kubelet in `tree`, a node of `profile`.
///
/// # Errors
/// [`KubeletFileError`].
pub fn check_kubelet_files(
    tree: &FileTree,
    profile: &Profile,
    reader: &dyn ContentReader,
) -> Result<(), KubeletFileError> {
    let minor = profile.release.kubernetes.minor;
    configuration(tree, minor, reader)?;
    for path in ENVIRONMENT_FILES {
        if let Some(entry) = tree.get(path).filter(|entry| brought(entry)) {
            let source = source(path, entry);
            environment(&text(entry, &source, reader)?, &source, minor)?;
        }
    }
    Ok(())
}

/// Whether the entry is from an overlay or the profile, not from kiln.
fn brought(entry: &Entry) -> bool {
    matches!(entry.meta.origin, Origin::Overlay(_) | Origin::Profile(_))
}

/// The name of a file in messages.
fn source(path: &str, entry: &Entry) -> String {
    format!("{}: /{path}", entry.meta.origin)
}

fn wrong(source: &str, line: usize, text: impl Into<String>) -> KubeletFileError {
    let place = Place { source: source.to_owned(), line: line.try_into().unwrap_or_default(), column: 1 };
    NotLocated { place, text: text.into() }.into()
}

fn text(entry: &Entry, source: &str, reader: &dyn ContentReader) -> Result<String, KubeletFileError> {
    let Some(content) = entry.content() else { return Err(wrong(source, 1, "is not a regular file")) };
    if content.size > MAX_SIZE {
        return Err(wrong(source, 1, format!("has {} bytes, more than the limit of {MAX_SIZE}", content.size)));
    }
    String::from_utf8(reader.read(content)?).map_err(|_| wrong(source, 1, "is not UTF-8"))
}

/// Checks the configuration with its drop-ins merged in the order of their names.
fn configuration(tree: &FileTree, minor: Minor, reader: &dyn ContentReader) -> Result<(), KubeletFileError> {
    let drop_in = |path: &TreePath, entry: &Entry| entry.content().is_some() && path.as_str().ends_with(".conf");
    let drop_ins: Vec<_> = tree.below(DROP_INS).filter(|(path, entry)| drop_in(path, entry)).collect();
    if let Some((path, entry)) = drop_ins.first().filter(|_| !minor.has_config_drop_ins()) {
        let why = format!(
            "kubelet reads drop-ins since Kubernetes 1.{DROP_INS_SINCE}, and this is 1.{minor}: use kubelet.config of the profile"
        );
        return Err(wrong(&source(path.as_str(), entry), 1, why));
    }
    let base = tree.get(CONFIG).map(|entry| (CONFIG, entry));
    if drop_ins.is_empty() && !base.is_some_and(|(_, entry)| brought(entry)) {
        return Ok(());
    }
    let (mut merged, mut documents) = (Map::new(), Vec::new());
    for (path, entry) in base.into_iter().chain(drop_ins.iter().map(|(path, entry)| (path.as_str(), *entry))) {
        let source = source(path, entry);
        let document = Located::parse(&text(entry, &source, reader)?, &source)?;
        let object = document.object();
        for (name, value) in [("apiVersion", kubelet_config::API_VERSION), ("kind", kubelet_config::KIND)] {
            if object.get(name).and_then(|it| it.as_str()) != Some(value) {
                let place = document.place(&[Step::Key(name.to_owned())]);
                return Err(NotLocated { place, text: format!("must have \"{name}: {value}\"") }.into());
            }
        }
        yaml::merge(&mut merged, &object);
        documents.push((document, object));
    }
    let Err(misfit) = kubelet_config::check(&merged, minor).and_then(|()| cgroup_driver(&merged)) else {
        return Ok(());
    };
    let field = |misfit: &Misfit| match misfit.path.first() {
        Some(Step::Key(name)) => name.clone(),
        _ => String::new(),
    };
    // The last file that sets the field takes effect.
    let blamed = documents.iter().rev().find(|(_, object)| object.contains_key(&field(&misfit)));
    let Some((document, _)) = blamed.or(documents.last()) else { return Ok(()) };
    Err(NotLocated { place: document.place(&misfit.path), text: misfit.to_string() }.into())
}

/// The same check as for a profile: kubelet would start, but none of its pods would.
fn cgroup_driver(config: &Map<String, Value>) -> Result<(), Misfit> {
    const FIELD: &str = "cgroupDriver";
    let Some(driver) = config.get(FIELD).filter(|driver| !driver.is_null()) else { return Ok(()) };
    kubelet::cgroup_driver(driver).map_err(|why| Misfit {
        path: vec![Step::Key(FIELD.to_owned())],
        name: false,
        why: format!("is {driver}, and {why}"),
    })
}

/// Checks the flags in [`EXTRA_ARGS`].
fn environment(text: &str, source: &str, minor: Minor) -> Result<(), KubeletFileError> {
    for (number, line) in text.lines().enumerate() {
        let Some(value) = line.trim_start().strip_prefix(EXTRA_ARGS).and_then(|rest| rest.strip_prefix('=')) else {
            continue;
        };
        let words = value.split(|c: char| c.is_whitespace() || c == '"' || c == '\'');
        for name in words.filter_map(|word| word.strip_prefix("--")?.split('=').next()) {
            match kubelet_flags::flag(name, minor) {
                Flag::Flag | Flag::Field(_) => {}
                Flag::Gone { since: 0, instead } => {
                    return Err(wrong(source, number + 1, format!("--{name} has no effect here: {instead}")));
                }
                Flag::Gone { since, instead } => {
                    let why = format!(
                        "--{name} was removed in Kubernetes 1.{since}, and kubelet does not start with it: {instead}"
                    );
                    return Err(wrong(source, number + 1, why));
                }
                Flag::Later { since } => {
                    let why = format!(
                        "kubelet has --{name} since Kubernetes 1.{since}, and does not start with it in 1.{minor}"
                    );
                    return Err(wrong(source, number + 1, why));
                }
                Flag::Unknown => {
                    let why =
                        format!("the kubelet of Kubernetes 1.{minor} has no flag --{name}, and does not start with it");
                    return Err(wrong(source, number + 1, why));
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use kiln_tree::LocalReader;

    fn verdict(files: &[(&str, &str)], minor: u32) -> Option<String> {
        let minor = Minor::new(minor);
        let mut tree = FileTree::new();
        let config = "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\nmaxPods: 110\n";
        let rendered = Entry::file(config, 0o644, Origin::Rendered("kubelet".into()));
        tree.insert(TreePath::new(CONFIG).expect("a path"), rendered).expect("inserted");
        for (path, text) in files {
            let entry = Entry::file(*text, 0o644, Origin::Overlay("edge".into()));
            tree.insert(TreePath::new(path).expect("a path"), entry).expect("inserted");
        }
        let mut verdict = configuration(&tree, minor, &LocalReader);
        for path in ENVIRONMENT_FILES {
            if let Some(entry) = tree.get(path) {
                let source = source(path, entry);
                let text = text(entry, &source, &LocalReader).expect("a text");
                verdict = verdict.and_then(|()| environment(&text, &source, minor));
            }
        }
        verdict.err().map(|error| error.to_string())
    }

    const HEAD: &str = "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n";

    #[test]
    fn drop_ins_are_merged_into_the_configuration_and_checked_as_one() {
        let soft = format!("{HEAD}evictionSoft: {{memory.available: 1Gi}}\n");
        let grace = format!("{HEAD}evictionSoftGracePeriod: {{memory.available: 1m}}\n");
        let first = "etc/kubernetes/kubelet.conf.d/10-soft.conf";
        let second = "etc/kubernetes/kubelet.conf.d/20-grace.conf";
        assert_eq!(verdict(&[(first, &soft), (second, &grace)], 36), None);
        let alone = verdict(&[(first, &soft)], 36).expect("rejected");
        assert!(alone.starts_with("overlay edge: /etc/kubernetes/kubelet.conf.d/10-soft.conf:3:"), "{alone}");
        assert!(alone.contains("needs a grace period"), "{alone}");
        let early = verdict(&[(first, &soft), (second, &grace)], 29).expect("rejected");
        assert!(early.contains("since Kubernetes 1.30"), "{early}");
        let kind = verdict(&[(first, "maxPods: 10\n")], 36).expect("rejected");
        assert!(kind.contains("must have \"apiVersion: kubelet.config.k8s.io/v1beta1\""), "{kind}");
        let driver = verdict(&[(first, &format!("{HEAD}cgroupDriver: cgroupfs\n"))], 36).expect("rejected");
        assert!(
            driver.ends_with(
                "10-soft.conf:3:15: cgroupDriver is \"cgroupfs\", and must be systemd, as the container runtime's is"
            ),
            "{driver}"
        );
        // kubelet reads no other names.
        assert_eq!(verdict(&[("etc/kubernetes/kubelet.conf.d/README", "hello")], 36), None);
    }

    #[test]
    fn flags_in_environment_files_are_checked() {
        let with = |path: &str, text: &str, minor| verdict(&[(path, text)], minor);
        assert_eq!(with("etc/default/kubelet", "# why\nKUBELET_EXTRA_ARGS=\"--v=4 --max-pods=50\"\n", 36), None);
        let gone = with("etc/default/kubelet", "KUBELET_EXTRA_ARGS=--network-plugin=cni\n", 36).expect("rejected");
        assert!(gone.starts_with("overlay edge: /etc/default/kubelet:1:1: --network-plugin was removed in"), "{gone}");
        let none = with("etc/sysconfig/kubelet", "A=1\nKUBELET_EXTRA_ARGS='--v=4 --no-such'\n", 36).expect("rejected");
        assert!(none.contains("kubelet:2:1: the kubelet of Kubernetes 1.36 has no flag --no-such"), "{none}");
    }
}
