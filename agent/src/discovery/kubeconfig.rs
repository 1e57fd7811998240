//! kubeconfig files: reading the cluster that one names, and writing the one for kubelet.

use super::Trusted;
use crate::net::Url;
use crate::yaml::{self, YamlError};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

/// The largest kubeconfig, in bytes.
const MAX_SIZE: usize = 256 << 10;

/// Why a kubeconfig cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KubeconfigError {
    /// Not YAML.
    #[error(transparent)]
    Yaml(#[from] YamlError),
    /// A field is missing or wrong.
    #[error("{0}")]
    Field(String),
}

/// The cluster in a kubeconfig.
#[derive(Debug, Clone)]
pub struct Cluster {
    /// Address and authority.
    pub trusted: Trusted,
    /// The current user's bearer token, if that is how it authenticates.
    pub token: Option<String>,
}

impl Cluster {
    /// Reads the current context's cluster, or the only one (cluster-info has no contexts).
    /// Certificates must be embedded.
    ///
    /// # Errors
    /// [`KubeconfigError`].
    pub fn parse(text: &str) -> Result<Self, KubeconfigError> {
        let field = |what: &str| KubeconfigError::Field(what.into());
        let all = yaml::parse(text, MAX_SIZE)?;
        if all["kind"].as_str() != Some("Config") {
            return Err(field("it does not say \"kind: Config\""));
        }
        let current = all["current-context"].as_str().filter(|name| !name.is_empty());
        let context = current.and_then(|name| named(&all["contexts"], name)).map(|context| &context["context"]);
        let cluster = match (context, all["clusters"].as_array().map(Vec::as_slice)) {
            (Some(context), _) => named(&all["clusters"], context["cluster"].as_str().unwrap_or_default()),
            (None, Some([only])) => Some(only),
            _ => None,
        };
        let cluster = &cluster
            .ok_or_else(|| field("it has no current context and does not have exactly one cluster"))?["cluster"];
        if cluster["insecure-skip-tls-verify"] == Value::Bool(true) {
            return Err(field("insecure-skip-tls-verify is not accepted: a cluster's identity must be verifiable"));
        }
        let server = cluster["server"].as_str().ok_or_else(|| field("its cluster has no server"))?;
        let server = Url::parse_endpoint(server).map_err(|error| KubeconfigError::Field(error.to_string()))?;
        let authority = cluster["certificate-authority-data"].as_str();
        let authority = authority.ok_or_else(|| field("its cluster has no certificate-authority-data"))?;
        let pem = STANDARD.decode(authority.trim()).ok().and_then(|pem| String::from_utf8(pem).ok());
        let trusted = pem.and_then(|pem| Trusted::new(vec![server], pem));
        let user = context.and_then(|context| named(&all["users"], context["user"].as_str()?));
        Ok(Self {
            trusted: trusted.ok_or_else(|| field("certificate-authority-data contains no certificate"))?,
            token: user.and_then(|user| user["user"]["token"].as_str()).map(str::to_owned),
        })
    }
}

/// The item called `name` in a list of named items.
fn named<'a>(list: &'a Value, name: &str) -> Option<&'a Value> {
    list.as_array()?.iter().find(|item| item["name"].as_str() == Some(name))
}

/// `kubelet.conf` in the form that kubelet writes: only paths, no secrets.
pub fn node_kubeconfig(server: &Url, ca_file: &str, certificate_file: &str) -> String {
    format!(
        "\
apiVersion: v1
clusters:
- cluster:
    certificate-authority: {ca_file}
    server: {}
  name: default-cluster
contexts:
- context:
    cluster: default-cluster
    namespace: default
    user: default-auth
  name: default-context
current-context: default-context
kind: Config
preferences: {{}}
users:
- name: default-auth
  user:
    client-certificate: {certificate_file}
    client-key: {certificate_file}
",
        server.server()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cluster(extra: &str) -> String {
        let key = rcgen::KeyPair::generate().expect("a key");
        let certificate = rcgen::CertificateParams::default().self_signed(&key).expect("a certificate");
        let pem = crate::pki::pem::encode("CERTIFICATE", certificate.der());
        let data = STANDARD.encode(pem.as_bytes());
        format!("{{name: '', cluster: {{server: 'https://10.0.0.1:6443', certificate-authority-data: {data}{extra}}}}}")
    }

    fn error(text: &str) -> String {
        Cluster::parse(text).expect_err("refused").to_string()
    }

    #[test]
    fn clusters() {
        let info = format!("apiVersion: v1\nkind: Config\nclusters: [{}]\ncontexts: null\n", cluster(""));
        let found = Cluster::parse(&info).expect("a cluster");
        assert_eq!(found.trusted.servers[0].server(), "https://10.0.0.1:6443");
        assert_eq!(found.trusted.authorities.len(), 1);
        assert_eq!(found.token, None);
        let file = format!(
            "kind: Config\nclusters: [{{name: x}}, {}]\ncurrent-context: c\ncontexts: [{{name: c, context: {{cluster: '', \
             user: u}}}}]\nusers: [{{name: u, user: {{token: t}}}}]\n",
            cluster("")
        );
        assert_eq!(Cluster::parse(&file).expect("a cluster").token.as_deref(), Some("t"));
    }

    #[test]
    fn unusable_kubeconfigs_are_rejected() {
        assert_eq!(error("kind: Pod"), "it does not say \"kind: Config\"");
        assert_eq!(error("kind: Config"), "it has no current context and does not have exactly one cluster");
        let insecure = cluster(", insecure-skip-tls-verify: true");
        let insecure = format!("kind: Config\nclusters: [{insecure}]");
        assert_eq!(
            error(&insecure),
            "insecure-skip-tls-verify is not accepted: a cluster's identity must be verifiable"
        );
        let plain = format!("kind: Config\nclusters: [{}]", cluster("")).replace("https:", "http:");
        assert!(error(&plain).contains("needs https"), "{}", error(&plain));
        assert_eq!(
            error("kind: Config\nclusters: [{cluster: {server: 'https://a'}}]"),
            "its cluster has no certificate-authority-data"
        );
        assert_eq!(
            error("kind: Config\nclusters: [{cluster: {server: 'https://a', certificate-authority-data: YQ==}}]"),
            "certificate-authority-data contains no certificate"
        );
    }

    proptest! {
        #[test]
        fn arbitrary_texts_never_panic(text in "\\PC{0,100}", at in 0_usize..1000, byte in any::<u8>()) {
            let _ = Cluster::parse(&text);
            let mut near = format!("kind: Config\nclusters: [{}]", cluster("")).into_bytes();
            let at = at % near.len();
            near[at] = byte;
            let _ = Cluster::parse(&String::from_utf8_lossy(&near));
        }
    }
}
