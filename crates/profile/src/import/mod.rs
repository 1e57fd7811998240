//! Imports an existing node as a profile: kubelet's unit and flags, its configuration, kubeadm's
//! documents, kube-proxy's configuration.
//!
//! Bytes in, text out. A node that is baked from the profile runs kubelet with the same
//! configuration, except for the differences in the report, which an immutable node requires.

mod booleans;
mod documents;
mod error;
mod flags;
mod image;
mod kube_proxy;
mod kubeadm;
mod kubeconfig;
mod node;
mod report;
mod route;
mod unit;
mod words;
mod write;

pub use error::ImportError;
pub use report::{Entry, Fate, Report};

use crate::{Profile, authority};
use documents::Documents;
use flags::{Given, Layer};
use kiln_agent::paths::{FLAGS_VARIABLE, KUBELET_CONFIG};
use kiln_kubernetes::yaml;
use kiln_kubernetes::{Minor, Step, kubelet_config};
use node::Node;
use serde_json::{Map, Value};
use unit::{Placed, Text};

/// Limit for the number of feature gates, more than any kubelet has.
const MAX_GATES: usize = 500;

/// A file to import.
#[derive(Debug, Clone)]
pub struct Source {
    /// Its name, for messages and for references from other files.
    pub name: String,
    /// Its contents.
    pub bytes: Vec<u8>,
}

/// The result of an import.
#[derive(Debug, Clone)]
pub struct Import {
    /// The profile.
    pub profile: String,
    /// The cluster's file; required keys that no file sets are comments.
    pub cluster: String,
    /// The node's seed, as far as the files determine it; never with a token.
    pub seed: String,
    /// What became of each setting.
    pub report: Report,
}

/// Options of an import.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wanted {
    /// Whether settings of the cluster go to the cluster's file instead of the profile.
    pub cluster_file: bool,
    /// Whether kube-proxy is a service of the node instead of the cluster's DaemonSet.
    pub kube_proxy: bool,
}

/// Converts `sources` to a profile that extends `parent`.
///
/// `extends` is the name of the parent in the profile.
///
/// # Errors
/// [`ImportError`]: invalid settings, unreadable files, missing files.
pub fn import(sources: &[Source], parent: &Profile, extends: &str, wanted: Wanted) -> Result<Import, ImportError> {
    if sources.is_empty() {
        return Err(ImportError::Nothing);
    }
    let minor = parent.release.kubernetes.minor;
    let mut node = Node::default();
    let documents = documents::sort(sources, &mut node)?;
    let mut given = command_line(&documents, &mut node)?;
    for it in &documents.kubeadm {
        given.extend(kubeadm::read(&it.document, &it.version, &it.kind, &mut node)?);
    }
    kubeadm::local_endpoint(&mut node);
    let kubelet = !(given.is_empty() && documents.kubelet.is_empty() && documents.kubeadm.is_empty());
    let Wanted { cluster_file, kube_proxy } = wanted;
    match documents.kube_proxy.first() {
        None if !kubelet => return Err(ImportError::Nothing),
        Some(document) if !kubelet && !kube_proxy => {
            let what = "is kube-proxy's configuration alone, which the cluster's DaemonSet carries to its nodes: \
                        give kubelet's files as well, or --kube-proxy for a service of the node";
            return Err(ImportError::at(document.place(&[]).source, what));
        }
        None if kube_proxy => return Err(ImportError::NoKubeProxy),
        _ => {}
    }
    kube_proxy::read(&documents, kube_proxy, minor, &mut node)?;
    let kube_proxy = kube_proxy_overrides(&mut node, parent, extends);
    let kubelet = match kubelet {
        true => Some(kubelet_overrides(&documents, &given, &mut node, parent, extends, cluster_file)?),
        false => None,
    };
    let names: Vec<&str> = sources.iter().map(|source| unit::base(&source.name)).collect();
    Ok(Import {
        profile: write::profile(&node, kubelet.as_ref(), kube_proxy, parent, extends, &names),
        cluster: write::cluster(&node),
        seed: write::seed(&node),
        report: node.report,
    })
}

/// kubelet's configuration in the profile.
fn kubelet_overrides(
    documents: &Documents<'_>,
    given: &[Given],
    node: &mut Node,
    parent: &Profile,
    extends: &str,
    cluster_file: bool,
) -> Result<Map<String, Value>, ImportError> {
    let minor = parent.release.kubernetes.minor;
    base_config(documents, given, node, minor)?;
    let mut layer = Layer::default();
    for given in given {
        route::route(given, minor, &mut layer, node)?;
    }
    check_config(documents, node, minor)?;
    image::fit(node, minor, cluster_file);
    let (config, unsayable) = image::over(&node.config, &parent.kubelet.config);
    for path in unsayable {
        let field = path.split('.').next().unwrap_or(&path);
        node.report.add(Fate::Impossible, &path, "").why(appends(extends)).differs(field);
    }
    Ok(config)
}

/// kube-proxy's configuration in the profile, if it is a service of the node.
fn kube_proxy_overrides(node: &mut Node, parent: &Profile, extends: &str) -> Option<Map<String, Value>> {
    let nothing = Map::new();
    let inherited = parent.kube_proxy.as_ref().map_or(&nothing, |it| &it.config);
    let (config, unsayable) = image::over(node.kube_proxy.as_ref()?, inherited);
    for path in unsayable {
        node.report.add(Fate::Impossible, format!("kubeProxy.config.{path}"), "").why(appends(extends));
    }
    Some(config)
}

fn appends(extends: &str) -> String {
    format!("{extends} has a list there, and lists append: extend base, or a profile that sets it to null")
}

/// The flags of units, command lines and environment files.
fn command_line(documents: &Documents<'_>, node: &mut Node) -> Result<Vec<Given>, ImportError> {
    let Documents { units, files, commands, .. } = documents;
    let mut given = Vec::new();
    if !units.is_empty() {
        let service = unit::service(units, files)?;
        for (place, path) in service.missing {
            let why = "it was not given: if the node has it, the flags in it are missing here";
            node.report.add(Fate::Impossible, format!("EnvironmentFile={path}"), place).why(why);
        }
        for name in service.unread {
            let why = "no EnvironmentFile= of the unit names it: kubelet does not read it";
            node.report.add(Fate::Dropped, "variables", name).why(why);
        }
        given.extend(kubelet(&service.command, units[0].name)?);
    }
    for command in commands {
        let words = unit::split(&words::joined(command.text, 1), None, command.name)?;
        let words: Vec<_> = words.into_iter().map(|word| Placed { word, file: command.name }).collect();
        match words.first() {
            // Flags without the program.
            Some(first) if first.word.text.starts_with("--") => given.extend(read(&words)?),
            _ => given.extend(kubelet(&words, command.name)?),
        }
    }
    if units.is_empty() {
        for file in files {
            given.extend(variables(file, documents)?);
        }
    }
    Ok(given)
}

/// The flags in an environment file when no unit was given: those of all variables that contain
/// flags.
fn variables(file: &Text<'_>, documents: &Documents<'_>) -> Result<Vec<Given>, ImportError> {
    let mut given = Vec::new();
    for (name, value) in unit::variables(file)? {
        let place = format!("{}:{}", file.name, value.line);
        if name == FLAGS_VARIABLE && documents.kubelet.is_empty() && documents.kubeadm.is_empty() {
            return Err(ImportError::Missing { place, path: KUBELET_CONFIG.into() });
        }
        if value.text.trim_start().starts_with("--") {
            let words = unit::split(&words::joined(&value.text, value.line), None, file.name)?;
            let words: Vec<_> = words.into_iter().map(|word| Placed { word, file: file.name }).collect();
            given.extend(read(&words)?);
        }
    }
    Ok(given)
}

/// The flags of the kubelet in `command`.
fn kubelet(command: &[Placed<'_>], name: &str) -> Result<Vec<Given>, ImportError> {
    let program = command.iter().position(|it| unit::base(&it.word.text) == "kubelet");
    match program {
        Some(at) => read(&command[at + 1..]),
        None if command.is_empty() => {
            Err(ImportError::at(name, "no unit says ExecStart: give kubelet.service as well"))
        }
        None => Err(ImportError::at(command[0].place(), "what it starts is not kubelet")),
    }
}

fn read(words: &[Placed<'_>]) -> Result<Vec<Given>, ImportError> {
    let plain: Vec<_> = words.iter().map(|it| it.word.clone()).collect();
    let file = words.first().map_or("", |it| it.file);
    let place = |word: &words::Word| Placed { word: word.clone(), file }.place();
    flags::read(&plain, place).map_err(|(place, why)| ImportError::at(place, why))
}

/// Sets kubelet's configuration before its flags: from files, with kubeadm's defaults, or those of
/// a kubelet without a file.
fn base_config(documents: &Documents<'_>, given: &[Given], node: &mut Node, minor: Minor) -> Result<(), ImportError> {
    let kubeadm = !documents.kubeadm.is_empty();
    for document in &documents.kubelet {
        let mut object = document.object();
        booleans::read(&mut object, kubelet_config::FIELDS);
        for (field, value) in &object {
            if !matches!(field.as_str(), "apiVersion" | "kind") {
                let place = document.place(&[Step::Key(field.clone())]);
                node.report.add(Fate::Kept, field, place).to("kubelet.config");
                overlay(&mut node.config, field, value);
            }
        }
    }
    if documents.kubelet.is_empty() && !kubeadm {
        if let Some(config) = given.iter().find(|given| given.name == "config") {
            return Err(ImportError::Missing { place: config.place.clone(), path: config.value.clone() });
        }
        if let Value::Object(defaults) = route::legacy_defaults() {
            for (field, value) in defaults {
                let why = "a kubelet without --config accepts anonymous requests unless flags forbid them";
                node.note(&field, "kubelet's default without --config");
                node.report.add(Fate::Kept, format!("{field}: {value}"), "kubelet's default without --config").why(why);
                node.config.insert(field, value);
            }
        }
    }
    // kubelet derives nodeStatusReportFrequency from the file before it applies flags
    // (SetDefaults_KubeletConfiguration).
    let updates = given.iter().find(|given| given.name.replace('_', "-") == "node-status-update-frequency");
    if let Some(flag) = updates.filter(|_| !node.config.contains_key("nodeStatusReportFrequency")) {
        let reports = node.config.get("nodeStatusUpdateFrequency").cloned().unwrap_or_else(|| "5m".into());
        node.note("nodeStatusReportFrequency", format!("as it was before --{} was read", flag.name));
        node.config.insert("nodeStatusReportFrequency".to_owned(), reports);
    }
    if kubeadm {
        if documents.kubelet.is_empty() {
            let why = "kubeadm's defaults are used; give the KubeletConfiguration as well if the cluster has its own \
                       (kubectl -n kube-system get configmap kubelet-config)";
            node.report.add(Fate::Impossible, "KubeletConfiguration", "").why(why);
        }
        kubeadm::complete(&mut node.config, &node.cluster, minor);
    }
    Ok(())
}

/// Merges a field like a drop-in of kubelet: lists replace, maps merge.
fn overlay(config: &mut Map<String, Value>, field: &str, value: &Value) {
    let mut over = Map::new();
    over.insert(field.to_owned(), value.clone());
    yaml::merge(config, &over);
}

/// Removes what kubelet would ignore, and rejects what kubelet would reject.
fn check_config(documents: &Documents<'_>, node: &mut Node, minor: Minor) -> Result<(), ImportError> {
    for misfit in kubelet_config::remove_ignored(&mut node.config, minor) {
        if let [Step::Key(field)] = &misfit.path[..] {
            node.report.moved(field);
        }
        let place = documents.kubelet.first().map(|document| document.place(&misfit.path).to_string());
        node.report.add(Fate::Dropped, misfit.to_string(), place.unwrap_or_default()).why("kubelet ignores it");
    }
    while let Err(misfit) = kubelet_config::check(&node.config, minor) {
        let gates = node.config.get_mut("featureGates").and_then(Value::as_object_mut);
        if let ([Step::Key(field), Step::Key(gate)], Some(gates)) = (&misfit.path[..], gates)
            && field == "featureGates"
            && gates.len() <= MAX_GATES
            && gates.get(gate).is_some_and(Value::is_boolean)
        {
            gates.remove(gate);
            node.report
                .add(Fate::Dropped, format!("featureGates.{gate}"), "")
                .why(misfit.to_string())
                .differs("featureGates");
            continue;
        }
        let Some(Step::Key(field)) = misfit.path.first() else {
            return Err(ImportError::misfit("kubelet", authority::KUBELET_CONFIG, &misfit));
        };
        let said = node.notes.get(field).and_then(|notes| notes.first()).cloned();
        let place = said.or_else(|| Some(documents.kubelet.first()?.place(&misfit.path).to_string()));
        return Err(ImportError::misfit(place.unwrap_or_default(), authority::KUBELET_CONFIG, &misfit));
    }
    Ok(())
}
