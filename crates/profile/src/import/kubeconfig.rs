//! A kubeconfig: the URL of the API server and its certificate authority. Credentials are not
//! imported.

use super::ImportError;
use super::node::Node;
use super::report::Fate;
use crate::Located;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kiln_kubernetes::Step;
use serde_json::{Map, Value};

/// Reads the cluster of the current context of `document`, or the first cluster if there is none.
pub(super) fn read(document: &Located, node: &mut Node) -> Result<(), ImportError> {
    let object = document.object();
    let step = |name: &str| Step::Key(name.to_owned());
    let place = document.place(&[step("clusters")]).to_string();
    let cluster = current(&object).or_else(|| object.get("clusters")?.pointer("/0/cluster"));
    let text = |name: &str| cluster.and_then(|it| it.get(name)).and_then(Value::as_str);
    if let Some(server) = text("server") {
        let url = server.trim_end_matches('/').to_owned();
        kiln_agent::url::Url::parse_endpoint(&url).map_err(|error| ImportError::at(&place, error.to_string()))?;
        let to = "apiServers of the cluster and of the seed";
        node.report.add(Fate::Translated, format!("server: {server}"), &place).to(to);
        if !node.cluster.api_servers.contains(&url) {
            node.cluster.api_servers.push(url);
        }
    }
    if let Some(data) = text("certificate-authority-data") {
        let pem = STANDARD.decode(data.trim()).ok().and_then(|pem| String::from_utf8(pem).ok());
        let pem = pem.filter(|pem| pem.contains("-----BEGIN CERTIFICATE-----") && !pem.contains("PRIVATE KEY"));
        let pem = pem.ok_or_else(|| {
            ImportError::at(&place, "certificate-authority-data is not a base64-encoded certificate in PEM")
        })?;
        node.report.add(Fate::Translated, "certificate-authority-data", &place).to("caCertificate of the cluster");
        node.cluster.ca_certificate = Some(pem);
    }
    if let Some(path) = text("certificate-authority") {
        let why = "the certificate is in that file: set caFile in the cluster's file to a copy of it";
        node.report.add(Fate::Impossible, format!("certificate-authority: {path}"), &place).why(why);
    }
    if object.contains_key("users") {
        let why = "credentials are never written; the agent obtains the node's own";
        node.report.add(Fate::Dropped, "users", document.place(&[step("users")])).why(why);
    }
    Ok(())
}

/// The cluster of `current-context`.
fn current(object: &Map<String, Value>) -> Option<&Value> {
    let named = |list: &str, name: &str| {
        let mut entries = object.get(list)?.as_array()?.iter();
        entries.find(|entry| entry.get("name").and_then(Value::as_str) == Some(name))
    };
    let context = named("contexts", object.get("current-context")?.as_str()?)?;
    named("clusters", context.pointer("/context/cluster")?.as_str()?)?.get("cluster")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_current_context_chooses_the_cluster() {
        let text = "apiVersion: v1\nkind: Config\ncurrent-context: two\ncontexts: [{name: two, context: {cluster: b}}]\n\
                    clusters: [{name: a, cluster: {server: 'https://a:6443'}}, {name: b, cluster: {server: 'https://b:6443', certificate-authority: /ca.crt}}]\n";
        let mut node = Node::default();
        read(&Located::parse(text, "kubelet.conf").expect("YAML"), &mut node).expect("a kubeconfig");
        assert_eq!(node.cluster.api_servers, ["https://b:6443"]);
        assert!(node.report.to_string().contains("to do      certificate-authority: /ca.crt"), "{}", node.report);
    }
}
