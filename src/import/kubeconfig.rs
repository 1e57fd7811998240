//! A kubeconfig: where the cluster is and who signs for it. Whatever it has to log in with stays where it is.

use super::ImportError;
use super::node::Node;
use super::report::Fate;
use crate::kubernetes::Step;
use crate::profile::Located;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

/// Reads the first cluster of `document`.
pub(super) fn read(document: &Located, node: &mut Node) -> Result<(), ImportError> {
    let object = document.object();
    let step = |name: &str| Step::Key(name.to_owned());
    let place = document.place(&[step("clusters")]).to_string();
    let cluster = object.get("clusters").and_then(|it| it.pointer("/0/cluster"));
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
            ImportError::at(&place, "certificate-authority-data is no certificate in PEM, encoded in base64")
        })?;
        node.report.add(Fate::Translated, "certificate-authority-data", &place).to("caCertificate of the cluster");
        node.cluster.ca_certificate = Some(pem);
    }
    if object.contains_key("users") {
        let why = "credentials are never written; the agent obtains the node's own";
        node.report.add(Fate::Dropped, "users", document.place(&[step("users")])).why(why);
    }
    Ok(())
}
