//! kubeadm's documents: `InitConfiguration`, `JoinConfiguration`, `ClusterConfiguration` of
//! kubeadm.k8s.io/v1beta2 to v1beta4.
//!
//! Sources: `cmd/kubeadm/app/apis/kubeadm`, `cmd/kubeadm/app/componentconfigs/kubelet.go` and
//! `cmd/kubeadm/app/phases/kubelet/flags.go` of Kubernetes.

use super::ImportError;
use super::flags::Given;
use super::node::{Cluster, Node};
use super::report::Fate;
use crate::Located;
use crate::kubelet::{self, slot};
use ipnet::IpNet;
use kiln_kubernetes::{Minor, Step};
use serde_json::{Map, Value, json};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Versions whose fields are known here.
const VERSIONS: [&str; 3] = ["v1beta2", "v1beta3", "v1beta4"];

const CONTROL_PLANE: &str = "it is for \"kubeadm init\" on a control plane, not for a node's image";
const RUN: &str = "it configures a run of kubeadm, and nodes join without kubeadm";
const TOKEN: &str = "a secret is never written: \"kiln seed --fresh-token FILE\" puts a new token into the seed";

/// Reads one document: returns the kubelet flags in it, and adds everything else to `node`.
///
/// # Errors
/// [`ImportError::At`]: an unknown version, or arguments of the wrong type.
pub(super) fn read(document: &Located, version: &str, kind: &str, node: &mut Node) -> Result<Vec<Given>, ImportError> {
    let place =
        |path: &[&str]| document.place(&path.iter().map(|step| Step::Key((*step).to_owned())).collect::<Vec<_>>());
    if !VERSIONS.contains(&version) {
        let what = format!(
            "kubeadm.k8s.io/{version} is not one of {}: convert it with \"kubeadm config migrate\"",
            VERSIONS.join(", ")
        );
        return Err(ImportError::at(place(&["apiVersion"]), what));
    }
    let object = document.object();
    let mut given = Vec::new();
    for (key, value) in &object {
        let place = place(&[key]).to_string();
        match (kind, key.as_str()) {
            (_, "apiVersion" | "kind") => {}
            ("InitConfiguration" | "JoinConfiguration", "nodeRegistration") => {
                given.extend(registration(document, value, version, node)?);
            }
            ("InitConfiguration", "bootstrapTokens") => {
                node.report.add(Fate::Impossible, key, place).why(TOKEN);
            }
            ("InitConfiguration", "localAPIEndpoint") => local(value, &place, node),
            ("InitConfiguration" | "JoinConfiguration", "patches") => {
                let why = "kubeadm patches what it writes with the files of that directory: set in the KubeletConfiguration \
                           what those for kubeletconfiguration set";
                node.report.add(Fate::Impossible, key, place).why(why);
            }
            ("JoinConfiguration", "discovery") => discovery(value, &place, node),
            ("JoinConfiguration", "controlPlane") => {
                node.report
                    .add(Fate::Impossible, key, place)
                    .why("it joins as a control plane: import with --role control-plane");
            }
            ("JoinConfiguration", "caCertPath") => {
                let to = "/etc/kubernetes/pki/ca.crt";
                node.report.add(Fate::Translated, key, place).to(to).why("where the agent writes it");
            }
            ("ClusterConfiguration", "kubernetesVersion") => {
                let version = value.as_str().unwrap_or_default().trim_start_matches('v').to_owned();
                let entry = node.report.add(Fate::Translated, key, place);
                if version.starts_with(|c: char| c.is_ascii_digit()) {
                    entry.to(format!("kubernetes: {version} of the cluster"));
                    node.cluster.kubernetes = Some(version);
                } else {
                    entry.fate = Fate::Impossible;
                    entry.why("it names no version: set that of the API servers in the cluster's file");
                }
            }
            ("ClusterConfiguration", "controlPlaneEndpoint") => {
                endpoint(value.as_str().unwrap_or_default(), key, &place, node)
            }
            ("ClusterConfiguration", "networking") => networking(value, &place, node),
            ("ClusterConfiguration", "controllerManager") => {
                masks(value, version, node);
                node.report.add(Fate::Dropped, key, place).why(CONTROL_PLANE);
            }
            ("ClusterConfiguration", "imageRepository") => {
                let why = "the release names the pause image: set its pauseImage to use another registry";
                node.report.add(Fate::Translated, key, place).to("pauseImage of the release").why(why);
            }
            ("InitConfiguration" | "ClusterConfiguration", _) => {
                node.report.add(Fate::Dropped, key, place).why(CONTROL_PLANE);
            }
            _ => {
                node.report.add(Fate::Dropped, key, place).why(RUN);
            }
        }
    }
    if kind == "InitConfiguration" {
        let tainted = object.get("nodeRegistration").is_none_or(|it| it.get("taints").is_none());
        let why = match tainted {
            true => "it makes a control plane: import with --role control-plane, whose taint kubeadm sets as well",
            false => "it makes a control plane: import with --role control-plane",
        };
        node.report.add(Fate::Impossible, kind, document.file_name()).why(why);
    }
    Ok(given)
}

/// Reads `nodeRegistration`.
fn registration(
    document: &Located,
    registration: &Value,
    version: &str,
    node: &mut Node,
) -> Result<Vec<Given>, ImportError> {
    let mut given = Vec::new();
    for (key, value) in registration.as_object().into_iter().flatten() {
        let steps = ["nodeRegistration", key.as_str()].map(|step| Step::Key(step.to_owned()));
        let place = document.place(&steps).to_string();
        let text = value.as_str().unwrap_or_default();
        match key.as_str() {
            "name" => {
                given.push(Given { name: "hostname-override".into(), value: text.to_owned(), place });
            }
            "criSocket" => {
                let name = "container-runtime-endpoint".to_owned();
                given.push(Given { name, value: text.to_owned(), place });
            }
            // Taken before the flags, because --register-with-taints overrides it.
            "taints" => node.taint(value, &place),
            "kubeletExtraArgs" => {
                if let Some((step, name, value)) = bare(value) {
                    let place = document.place(&[&steps[..], &[step]].concat());
                    let what = format!(
                        "kubeletExtraArgs: {name} is {value}, and must be a string: write \"{value}\", in quotes"
                    );
                    return Err(ImportError::at(place, what));
                }
                let Some(args) = extra_args(value, version) else {
                    let form = if version == "v1beta4" { "a list of name and value" } else { "a map" };
                    return Err(ImportError::at(place, format!("kubeletExtraArgs must be {form} in {version}")));
                };
                for (index, (name, text)) in args.into_iter().enumerate() {
                    let step = if value.is_array() { Step::Index(index) } else { Step::Key(name.clone()) };
                    let place = document.place(&[&steps[..], &[step]].concat()).to_string();
                    given.push(Given { name, value: text, place });
                }
            }
            _ => {
                node.report.add(Fate::Dropped, format!("nodeRegistration.{key}"), place).why(RUN);
            }
        }
    }
    Ok(given)
}

/// Flags as a map, or since v1beta4 as a list with possible duplicates.
fn extra_args(value: &Value, version: &str) -> Option<Vec<(String, String)>> {
    if version == "v1beta4" {
        let text = |arg: &Value, name: &str| Some(arg.get(name)?.as_str()?.to_owned());
        return value.as_array()?.iter().map(|arg| Some((text(arg, "name")?, text(arg, "value")?))).collect();
    }
    let args = value.as_object()?.iter();
    args.map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect()
}

/// The first value that is not a string and can be written as one: its step, its name and itself.
fn bare(args: &Value) -> Option<(Step, &str, &Value)> {
    let is_bare = |value: &Value| value.is_number() || value.is_boolean();
    match args {
        Value::Object(args) => {
            let (name, value) = args.iter().find(|(_, value)| is_bare(value))?;
            Some((Step::Key(name.clone()), name, value))
        }
        Value::Array(args) => args.iter().enumerate().find_map(|(index, arg)| {
            let value = arg.get("value").filter(|value| is_bare(value))?;
            Some((Step::Index(index), arg.get("name")?.as_str()?, value))
        }),
        _ => None,
    }
}

/// Reads `localAPIEndpoint`, the address of the API unless `controlPlaneEndpoint` sets another.
fn local(value: &Value, place: &str, node: &mut Node) {
    let port = value.get("bindPort").and_then(Value::as_u64).unwrap_or(6443);
    match value.get("advertiseAddress").and_then(Value::as_str).and_then(|it| it.parse::<IpAddr>().ok()) {
        Some(address) if !address.is_unspecified() => {
            node.cluster.local_api =
                Some((SocketAddr::new(address, u16::try_from(port).unwrap_or(6443)), place.to_owned()));
        }
        _ => {
            node.report.add(Fate::Dropped, "localAPIEndpoint", place).why(CONTROL_PLANE);
        }
    }
}

/// Uses the local endpoint as that of the API if no document names another.
pub(super) fn local_endpoint(node: &mut Node) {
    let Some((address, place)) = node.cluster.local_api.take() else { return };
    match node.cluster.api_servers.is_empty() {
        true => endpoint(&address.to_string(), "localAPIEndpoint", &place, node),
        false => {
            node.report.add(Fate::Dropped, "localAPIEndpoint", place).why(CONTROL_PLANE);
        }
    }
}

/// Reads `discovery`.
fn discovery(discovery: &Value, place: &str, node: &mut Node) {
    for (key, value) in discovery.as_object().into_iter().flatten() {
        let what = format!("discovery.{key}");
        match key.as_str() {
            "bootstrapToken" => {
                if let Some(server) = value.get("apiServerEndpoint").and_then(Value::as_str) {
                    endpoint(server, "discovery.bootstrapToken.apiServerEndpoint", place, node);
                }
                let hashes = value.get("caCertHashes").and_then(Value::as_array).into_iter().flatten();
                node.seed.ca_cert_hashes = hashes.filter_map(Value::as_str).map(str::to_owned).collect();
                if !node.seed.ca_cert_hashes.is_empty() {
                    let what = "discovery.bootstrapToken.caCertHashes";
                    node.report.add(Fate::Kept, what, place).to("discovery.caCertHashes of the seed");
                }
                if value.get("token").is_some() {
                    node.report.add(Fate::Impossible, "discovery.bootstrapToken.token", place).why(TOKEN);
                }
            }
            "file" => {
                let why = "give that kubeconfig as well: it has the API server's address and authority";
                node.report.add(Fate::Impossible, what, place).why(why);
            }
            "tlsBootstrapToken" => {
                node.report.add(Fate::Impossible, what, place).why(TOKEN);
            }
            _ => {
                node.report.add(Fate::Dropped, what, place).why(RUN);
            }
        }
    }
}

/// Reads the API's `HOST` or `HOST:PORT`.
fn endpoint(text: &str, what: &str, place: &str, node: &mut Node) {
    let has_port = text.rsplit_once(':').is_some_and(|(host, port)| {
        port.chars().all(|c| c.is_ascii_digit()) && (!host.contains(':') || host.ends_with(']'))
    });
    let url = format!("https://{text}{}", if has_port { "" } else { ":6443" });
    let entry = node.report.add(Fate::Translated, what, place);
    match kiln_agent::url::Url::parse_endpoint(&url) {
        Ok(_) => {
            entry.to(format!("apiServers: [{url}] of the cluster and of the seed"));
            if !node.cluster.api_servers.contains(&url) {
                node.cluster.api_servers.push(url);
            }
        }
        Err(error) => {
            entry.fate = Fate::Impossible;
            entry.why(error.to_string());
        }
    }
}

/// Reads `networking`.
fn networking(networking: &Value, place: &str, node: &mut Node) {
    for (key, value) in networking.as_object().into_iter().flatten() {
        let text = value.as_str().unwrap_or_default();
        let networks = || text.split(',').map(|part| part.trim().to_owned()).collect();
        let entry = node.report.add(Fate::Translated, format!("networking.{key}={text}"), place);
        match key.as_str() {
            "serviceSubnet" => node.cluster.service_cidrs = networks(),
            "podSubnet" => node.cluster.pod_cidrs = networks(),
            "dnsDomain" => node.cluster.dns_domain = Some(text.to_owned()),
            _ => {
                entry.fate = Fate::Dropped;
                entry.why("kubeadm has no such field, and ignores it");
                continue;
            }
        }
        entry.to("the cluster's file");
    }
}

/// Reads the prefix lengths with which kube-controller-manager divides the pods' networks.
fn masks(manager: &Value, version: &str, node: &mut Node) {
    let args = manager.get("extraArgs").and_then(|args| extra_args(args, version)).unwrap_or_default();
    for (name, value) in args {
        let family = match name.as_str() {
            "node-cidr-mask-size" | "node-cidr-mask-size-ipv4" => 0,
            "node-cidr-mask-size-ipv6" => 1,
            _ => continue,
        };
        node.cluster.masks[family] = value.parse().ok();
    }
}

/// Sets the fields that kubeadm of Kubernetes 1.`minor` adds to a `KubeletConfiguration`.
pub(super) fn complete(config: &mut Map<String, Value>, cluster: &Cluster, minor: Minor) {
    let dns = cluster.service_cidrs.first().map_or(kubelet::KUBEADM_SERVICES, String::as_str);
    let dns = dns.parse::<IpNet>().ok().map(|network| match network {
        IpNet::V4(network) => Ipv4Addr::from_bits(network.network().to_bits().saturating_add(10)).to_string(),
        IpNet::V6(network) => Ipv6Addr::from_bits(network.network().to_bits().saturating_add(10)).to_string(),
    });
    let domain = cluster.dns_domain.as_deref().unwrap_or(kubelet::KUBEADM_DOMAIN);
    let dns = dns.map_or(Value::Null, |dns| json!([dns]));
    let driver = minor.kubeadm_sets_systemd_driver().then(|| ("cgroupDriver", json!("systemd")));
    let defaults = kubelet::of_kubeadm(dns, domain).into_iter().chain(driver);
    for (path, default) in defaults.filter(|(_, default)| !default.is_null()) {
        let slot = slot(config, path);
        if slot.is_null() {
            *slot = default;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn import(text: &str) -> (Node, Vec<Given>) {
        let document = Located::parse(text, "kubeadm.yaml").expect("YAML");
        let object = document.object();
        let text = |name: &str| object[name].as_str().expect("a text").to_owned();
        let version = text("apiVersion").rsplit('/').next().unwrap_or_default().to_owned();
        let mut node = Node::default();
        let given = read(&document, &version, &text("kind"), &mut node).expect("a document");
        (node, given)
    }

    #[test]
    fn args_are_a_map_and_later_a_list() {
        let old = "apiVersion: kubeadm.k8s.io/v1beta3\nkind: JoinConfiguration\nnodeRegistration:\n  name: n1\n  kubeletExtraArgs: {max-pods: \"50\"}\n";
        let new = "apiVersion: kubeadm.k8s.io/v1beta4\nkind: JoinConfiguration\nnodeRegistration:\n  name: n1\n  kubeletExtraArgs: [{name: max-pods, value: \"50\"}]\n";
        for text in [old, new] {
            let (_, given) = import(text);
            let mut given: Vec<_> = given.iter().map(|it| (it.name.as_str(), it.value.as_str())).collect();
            given.sort_unstable();
            assert_eq!(given, [("hostname-override", "n1"), ("max-pods", "50")]);
        }
    }

    #[test]
    fn each_argument_has_its_own_place_and_quotes() {
        let head =
            "apiVersion: kubeadm.k8s.io/v1beta3\nkind: JoinConfiguration\nnodeRegistration:\n  kubeletExtraArgs:\n";
        let (_, given) = import(&format!("{head}    max-pods: \"50\"\n    v: \"4\"\n"));
        let lines: Vec<_> = given.iter().map(|it| it.place.rsplit(':').nth(1).unwrap_or_default()).collect();
        assert_eq!(lines, ["5", "6"]);
        let document = Located::parse(&format!("{head}    v: 4\n"), "kubeadm.yaml").expect("YAML");
        let error = read(&document, "v1beta3", "JoinConfiguration", &mut Node::default()).expect_err("a number");
        assert!(error.to_string().contains("v is 4, and must be a string: write \"4\", in quotes"), "{error}");
    }

    #[test]
    fn the_local_endpoint_is_used_when_no_other_is_named() {
        let text = "apiVersion: kubeadm.k8s.io/v1beta3\nkind: InitConfiguration\nlocalAPIEndpoint: {advertiseAddress: fd00::1, bindPort: 7443}\npatches: {directory: /p}\nnodeRegistration: {taints: []}\n";
        let (mut node, _) = import(text);
        local_endpoint(&mut node);
        assert_eq!(node.cluster.api_servers, ["https://[fd00::1]:7443"]);
        let report = node.report.to_string();
        assert!(report.contains("to do      patches") && !report.contains("whose taint"), "{report}");
        let (mut node, _) = import(text);
        node.cluster.api_servers.push("https://api:6443".into());
        local_endpoint(&mut node);
        assert_eq!(node.cluster.api_servers.len(), 1);
    }

    #[test]
    fn clusters_are_imported_without_tokens() {
        let (node, _) = import(
            "apiVersion: kubeadm.k8s.io/v1beta2\nkind: JoinConfiguration\ndiscovery:\n  bootstrapToken:\n    apiServerEndpoint: api.example:6443\n    token: abcdef.0123456789abcdef\n    caCertHashes: [sha256:00]\n",
        );
        assert_eq!(node.cluster.api_servers, ["https://api.example:6443"]);
        assert_eq!(node.seed.ca_cert_hashes, ["sha256:00"]);
        assert!(!format!("{node:?}").contains("0123456789abcdef"));
        let (node, _) = import(
            "apiVersion: kubeadm.k8s.io/v1beta3\nkind: ClusterConfiguration\nkubernetesVersion: v1.20.2\ncontrolPlaneEndpoint: \"[fd00::1]\"\nnetworking: {serviceSubnet: 10.1.0.0/16, dnsDomain: x.example}\ncontrollerManager: {extraArgs: {node-cidr-mask-size: \"25\"}}\n",
        );
        assert_eq!(node.cluster.api_servers, ["https://[fd00::1]:6443"]);
        assert_eq!(node.cluster.masks, [Some(25), None]);
        let mut config = Map::new();
        complete(&mut config, &node.cluster, Minor::new(20));
        assert_eq!((&config["clusterDNS"], &config["clusterDomain"]), (&json!(["10.1.0.10"]), &json!("x.example")));
        assert!(!config.contains_key("cgroupDriver"));
    }
}
