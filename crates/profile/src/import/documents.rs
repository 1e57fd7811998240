//! Detects the kind of each file by its contents, not by its name.

use super::node::Node;
use super::report::Fate;
use super::unit::{self, Text};
use super::{ImportError, Source, kubeconfig};
use crate::Located;
use kiln_kubernetes::Step;
use serde_json::Value;

/// Size limit of a file in bytes.
const MAX_SIZE: usize = 1 << 20;
/// Limit for the number of files: a unit, a dozen drop-ins and environment files, and as many
/// configurations, fit.
const MAX_FILES: usize = 64;

/// A document of kubeadm.
#[derive(Debug)]
pub(super) struct Kubeadm {
    /// `InitConfiguration`, ….
    pub kind: String,
    /// `v1beta3`, ….
    pub version: String,
    /// The document itself.
    pub document: Located,
}

/// All documents, by kind.
#[derive(Debug, Default)]
pub(super) struct Documents<'a> {
    /// Units, in the order they were given.
    pub units: Vec<Text<'a>>,
    /// Environment files.
    pub files: Vec<Text<'a>>,
    /// Command lines.
    pub commands: Vec<Text<'a>>,
    /// kubelet's configuration, then its drop-ins.
    pub kubelet: Vec<Located>,
    /// kubeadm's documents.
    pub kubeadm: Vec<Kubeadm>,
    /// kube-proxy's configuration.
    pub kube_proxy: Vec<Located>,
}

/// Sorts `sources` by kind; kubeconfigs and ignored documents go to `node` at once.
pub(super) fn sort<'a>(sources: &'a [Source], node: &mut Node) -> Result<Documents<'a>, ImportError> {
    if sources.len() > MAX_FILES {
        return Err(ImportError::TooMany(sources.len()));
    }
    let mut documents = Documents::default();
    for Source { name, bytes } in sources {
        if bytes.len() > MAX_SIZE {
            return Err(ImportError::TooLarge { name: name.clone() });
        }
        let text = std::str::from_utf8(bytes)
            .map_err(|error| ImportError::NotUtf8 { name: name.clone(), offset: error.valid_up_to() })?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let said = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with(['#', ';']));
        let Some(said) = said else { return Err(ImportError::at(name, "is empty")) };
        let text = Text { name, text };
        if unit::is_unit(text.text) {
            documents.units.push(text);
        } else if is_assignment(said) {
            documents.files.push(text);
        } else if is_command(said) {
            documents.commands.push(text);
        } else if let Some(what) = suggestion(said) {
            return Err(ImportError::at(name, what));
        } else {
            yaml(text, &mut documents, node)?;
        }
    }
    // Drop-ins come after the configuration, sorted by name.
    documents.kubelet.sort_by_key(|document| (is_drop_in(document), document.file_name().to_owned()));
    if let Some(second) = documents.kubelet.iter().skip(1).find(|document| !is_drop_in(document)) {
        let what = "a second KubeletConfiguration: give one, and drop-ins of --config-dir whose names end in .conf";
        return Err(ImportError::at(second.place(&[]).source, what));
    }
    Ok(documents)
}

fn is_drop_in(document: &Located) -> bool {
    document.file_name().ends_with(".conf")
}

fn is_command(line: &str) -> bool {
    let mut words = line.split_whitespace();
    let first = words.next().unwrap_or_default();
    first.len() > 3 && first.starts_with("--") || matches!(unit::base(first), "kubelet" | "hyperkube")
}

/// What to give instead of a line that only mentions kubelet.
fn suggestion(line: &str) -> Option<&'static str> {
    let mut words = line.split_whitespace().map(unit::base);
    match words.next()? {
        "k3s" | "rke2" => Some(
            "it runs kubelet inside its own process: give a line that begins with kubelet, with the values of --kubelet-arg= as flags",
        ),
        "docker" | "podman" | "nerdctl" | "crictl" => {
            Some("it starts a container: give the command that runs in it, from kubelet on")
        }
        // A line of ps, with a user and numbers before the command.
        _ if !line.contains(": ")
            && !line.starts_with('{')
            && words.any(|word| matches!(word, "kubelet" | "hyperkube")) =>
        {
            Some(
                "the line does not begin with kubelet: give it from there on (tr '\\0' ' ' </proc/$(pidof kubelet)/cmdline)",
            )
        }
        _ => None,
    }
}

fn is_assignment(line: &str) -> bool {
    let name = line.strip_prefix("export ").unwrap_or(line).split('=').next().unwrap_or_default();
    line.contains('=') && !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// The documents of a YAML or JSON file.
fn yaml(file: Text<'_>, documents: &mut Documents<'_>, node: &mut Node) -> Result<(), ImportError> {
    for text in split(file.text) {
        let document = Located::parse(&text, file.name)?;
        let object = document.object();
        let field = |name: &str| object.get(name).and_then(Value::as_str).unwrap_or_default();
        let (api, kind) = (field("apiVersion"), field("kind"));
        let (group, version) = api.rsplit_once('/').unwrap_or(("", api));
        match (group, kind) {
            ("kubelet.config.k8s.io", "KubeletConfiguration") if version != "v1beta1" => {
                let place = document.place(&[Step::Key("apiVersion".to_owned())]);
                let short = kiln_agent::names::short(version);
                let what = format!(
                    "no kubelet since Kubernetes 1.10 reads kubelet.config.k8s.io/{short}: rewrite it as v1beta1"
                );
                return Err(ImportError::at(place, what));
            }
            ("kubelet.config.k8s.io", "KubeletConfiguration") => documents.kubelet.push(document),
            ("kubelet.config.k8s.io", "CredentialProviderConfig") => {
                let why = "add it with an overlay, and the programs that it names";
                node.report.add(Fate::Impossible, kind, file.name).why(why);
            }
            ("kubeadm.k8s.io", "InitConfiguration" | "JoinConfiguration" | "ClusterConfiguration") => {
                let (kind, version) = (kind.to_owned(), version.to_owned());
                documents.kubeadm.push(Kubeadm { kind, version, document });
            }
            ("kubeadm.k8s.io", "UpgradeConfiguration" | "ResetConfiguration") => {
                let why = "it configures a run of kubeadm, and nodes made from images are replaced instead";
                node.report.add(Fate::Dropped, kind, file.name).why(why);
            }
            ("kubeproxy.config.k8s.io", "KubeProxyConfiguration") => {
                documents.kube_proxy.push(document);
            }
            ("", "Config") if version == "v1" => kubeconfig::read(&document, node)?,
            _ => {
                let place = document.place(&[]);
                let what = match (api, kind) {
                    ("", "") => "has neither apiVersion nor kind, and is not a unit, an environment file or a command line of kubelet".to_owned(),
                    _ => format!(
                        "{:?} of {:?} is not read by kubelet, kube-proxy or kubeadm",
                        kiln_agent::names::short(kind),
                        kiln_agent::names::short(api)
                    ),
                };
                return Err(ImportError::at(place.source, what));
            }
        }
    }
    Ok(())
}

/// The documents in `text`, each preceded by as many empty lines as it has lines before it. Tabs in
/// JSON become blanks, because YAML does not accept them as indentation.
fn split(text: &str) -> Vec<String> {
    let is_json = text.trim_start().starts_with('{');
    let mut split = vec![String::new()];
    let mut before = String::new();
    for line in text.lines() {
        before.push('\n');
        let marker =
            line.strip_prefix("---").is_some_and(|rest| rest.trim().is_empty() || rest.trim_start().starts_with('#'));
        if marker && !is_json {
            split.push(before.clone());
            continue;
        }
        let Some(last) = split.last_mut() else { continue };
        match is_json {
            true => last.push_str(&line.replace('\t', " ")),
            false => last.push_str(line),
        }
        last.push('\n');
    }
    let says = |line: &str| !line.trim().is_empty() && !line.trim_start().starts_with('#');
    split.retain(|document| document.lines().any(says));
    split
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_keep_their_lines() {
        let split = split("# c\n---\na: 1\n--- # next\nb: 2\n---\n");
        assert_eq!(split, ["\n\na: 1\n", "\n\n\n\nb: 2\n"]);
    }

    #[test]
    fn kinds_are_detected_by_content() {
        assert!(is_command("/usr/bin/kubelet --a=b") && is_command("--max-pods=1 \\"));
        let ps = "root  812 2.1 0.9 1943 9 ? Ssl 09:12 1:02 /usr/bin/kubelet --config=/var/lib/kubelet/config.yaml";
        for line in [ps, "docker run --net=host quay.io/hyperkube kubelet --v=2", "/usr/local/bin/k3s agent"] {
            assert!(suggestion(line).is_some_and(|what| what.contains("from") || what.contains("begins")), "{line}");
        }
        assert_eq!((suggestion("apiVersion: v1"), suggestion("a: 1")), (None, None));
        assert!(is_command("hyperkube kubelet") && !is_command("---") && !is_command("kind: x"));
        assert!(is_assignment("KUBELET_EXTRA_ARGS=--a=b") && is_assignment("export A=") && !is_assignment("a: b=c"));
    }
}
