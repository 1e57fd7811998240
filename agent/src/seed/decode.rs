//! Reading a seed.

use super::fields::{self, Fields};
use super::files::files;
use super::token::mask;
use super::{Discovery, Kubelet, Pin, ProxySettings, Seed, Taint, Token};
use crate::names;
use crate::url::Url;
use crate::yaml::{self, YamlError};
use crate::{addresses, flags};
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// The largest seed, in bytes; EC2 accepts up to 16 KiB of user data, other clouds up to 256 KiB.
pub const MAX_SIZE: usize = 256 << 10;

const KIND: &str = "NodeSeed";
const API_VERSION: &str = "kiln/v1";

/// Why a document is not a seed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SeedError {
    /// Neither YAML nor JSON.
    #[error("{}", mask(&.0.to_string()))]
    Yaml(#[from] YamlError),
    /// Not UTF-8.
    #[error("it is not UTF-8")]
    NotText,
    /// Its kind is missing.
    #[error("it is not a seed: it does not say \"kind: NodeSeed\"")]
    NoSeed,
    /// A field is wrong.
    #[error("{}: {}", mask(path), mask(why))]
    Field {
        /// The path of the field, such as `kubelet.taints[0].effect`.
        path: String,
        /// The defect, as a phrase.
        why: String,
    },
}

impl SeedError {
    pub(super) fn field(path: &str, why: &str) -> Self {
        Self::Field { path: path.into(), why: why.into() }
    }
}

impl Seed {
    /// Reads a seed in YAML or JSON.
    ///
    /// # Errors
    /// [`SeedError`], also for unknown fields.
    pub fn parse(bytes: &[u8]) -> Result<Self, SeedError> {
        if bytes.len() > MAX_SIZE {
            return Err(YamlError::TooLarge { size: bytes.len(), limit: MAX_SIZE }.into());
        }
        let text = std::str::from_utf8(bytes).map_err(|_| SeedError::NotText)?;
        Self::decode(yaml::parse(text, MAX_SIZE)?)
    }

    /// Reads a seed from a JSON value.
    ///
    /// # Errors
    /// [`SeedError`].
    pub fn decode(value: Value) -> Result<Self, SeedError> {
        if value.get("kind").and_then(Value::as_str) != Some(KIND) {
            return Err(SeedError::NoSeed);
        }
        let mut all = Fields::new("", value)?;
        all.text("kind", |_| Ok(()))?;
        all.text("apiVersion", |version| match version {
            API_VERSION => Ok(()),
            _ => Err(format!("{:?} is not {API_VERSION:?}, the only one this agent reads", names::short(version))),
        })?;
        let seed = Self {
            hostname: all.text("hostname", node_name)?,
            node_name: all.text("nodeName", node_name)?,
            api_servers: all.texts("apiServers", endpoint)?,
            token: all.text("token", |text| Token::parse(text).map_err(|error| error.to_string()))?,
            discovery: discovery(all.fields("discovery")?)?,
            kubelet: kubelet(all.fields("kubelet")?)?,
            files: files(all.fields("files")?)?,
            ntp_servers: all.texts("ntpServers", host)?,
            proxy: proxy(all.fields("proxy")?)?,
        };
        all.end()?;
        Ok(seed)
    }
}

fn discovery(mut fields: Fields) -> Result<Discovery, SeedError> {
    let discovery = Discovery {
        ca_cert_hashes: fields.texts("caCertHashes", |text| Pin::parse(text).map_err(|error| error.to_string()))?,
        ca_certificates: fields.text("caCertificates", |text| match text.contains("-----BEGIN CERTIFICATE-----") {
            true => Ok(text.to_owned()),
            false => Err("it contains no certificate in PEM".into()),
        })?,
        kubeconfig: fields.text("kubeconfig", |text| Ok(text.to_owned()))?,
        kubeconfig_url: fields.text("kubeconfigURL", |text| match url(text)? {
            url if url.scheme == crate::url::Scheme::Https => Ok(url),
            _ => Err("it must be an https:// URL".into()),
        })?,
    };
    fields.end()?;
    Ok(discovery)
}

fn kubelet(mut fields: Fields) -> Result<Kubelet, SeedError> {
    let mut labels = BTreeMap::new();
    for (path, key, value) in fields.fields("labels")?.rest() {
        names::qualified_name(&key)
            .and_then(|()| names::self_settable(&key))
            .map_err(|why| SeedError::field(&path, &why))?;
        labels.insert(key, fields::text(&path, &value, |text| names::label_value(text).map(|()| text.to_owned()))?);
    }
    let mut args = BTreeMap::new();
    for (path, name, value) in fields.fields("args")?.rest() {
        flag(&name).map_err(|why| SeedError::field(&path, &why))?;
        args.insert(name, fields::text(&path, &value, flag_value)?);
    }
    let path = fields.path("taints");
    let taints = fields.list("taints")?.into_iter().enumerate();
    let taints: Vec<Taint> =
        taints.map(|(at, value)| taint(&format!("{path}[{at}]"), value)).collect::<Result<_, _>>()?;
    if let Some(at) = names::repeated_taint(taints.iter().map(|taint| (&*taint.key, &*taint.effect))) {
        return Err(SeedError::field(
            &format!("{path}[{at}]"),
            "has the key and the effect of another one; leave one out",
        ));
    }
    let kubelet = Kubelet {
        node_ip: fields.text("nodeIP", node_ip)?,
        labels,
        taints,
        provider_id: fields.text("providerID", flag_value)?,
        pod_cidr: fields.text("podCIDR", pod_cidr)?,
        args,
    };
    fields.end()?;
    Ok(kubelet)
}

fn taint(path: &str, value: Value) -> Result<Taint, SeedError> {
    let mut fields = Fields::new(path, value)?;
    let word = |check: fn(&str) -> Result<(), String>| move |text: &str| check(text).map(|()| text.to_owned());
    let required = |name: &str| SeedError::field(&format!("{path}.{name}"), "is required");
    let taint = Taint {
        key: fields.text("key", word(names::qualified_name))?.ok_or_else(|| required("key"))?,
        value: fields.text("value", word(names::label_value))?.unwrap_or_default(),
        effect: fields.text("effect", word(names::taint_effect))?.ok_or_else(|| required("effect"))?,
    };
    fields.end()?;
    Ok(taint)
}

fn proxy(mut fields: Fields) -> Result<ProxySettings, SeedError> {
    let settings = ProxySettings {
        http: fields.text("http", proxy_url)?,
        https: fields.text("https", proxy_url)?,
        no_proxy: fields.texts("noProxy", |text| Ok(text.to_owned()))?,
    };
    fields.end()?;
    Ok(settings)
}

fn proxy_url(text: &str) -> Result<Url, String> {
    match url(text)? {
        url if url.scheme == crate::url::Scheme::Http => Ok(url),
        _ => Err("a proxy's URL must start with http://".into()),
    }
}

fn url(text: &str) -> Result<Url, String> {
    Url::parse(text).map_err(|error| error.to_string())
}

fn endpoint(text: &str) -> Result<Url, String> {
    Url::parse_endpoint(text).map_err(|error| error.to_string())
}

/// In lower case, because the host, the Node and the certificate share the name.
fn node_name(text: &str) -> Result<String, String> {
    let name = text.to_ascii_lowercase();
    if names::is_subdomain(&name) {
        return Ok(name);
    }
    Err(format!("{:?} is not a node's name (letters, digits, \"-\" and \".\", RFC 1123)", names::short(text)))
}

fn host(text: &str) -> Result<String, String> {
    if text.parse::<IpAddr>().is_ok() { Ok(text.to_owned()) } else { node_name(text) }
}

fn node_ip(text: &str) -> Result<String, String> {
    addresses::node_ip(text).map(|()| text.to_owned())
}

fn pod_cidr(text: &str) -> Result<String, String> {
    addresses::pod_network(text).map(|_| text.to_owned())
}

fn flag(name: &str) -> Result<(), String> {
    match flags::managed_in_seed(name) {
        Some(instead) => Err(format!("cannot be set here, {instead}")),
        None if flags::is_name(name) => Ok(()),
        None => Err("is not a flag, such as \"v\" (without dashes before it)".into()),
    }
}

/// The value must survive an environment file's quoting and systemd's splitting into words.
fn flag_value(text: &str) -> Result<String, String> {
    match !text.is_empty() && flags::is_passable(text) {
        true => Ok(text.to_owned()),
        false => Err(flags::NOT_PASSABLE.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::File;
    use proptest::prelude::*;

    const FULL: &str = r#"
apiVersion: kiln/v1
kind: NodeSeed
nodeName: Worker-1
apiServers: ["10.0.2.2:6443", "https://api.example:8443"]
token: abcdef.0123456789abcdef
discovery:
  caCertHashes: ["sha256:5cd252fb0ce8932436faf8ccd1040981b89ee4ad6b9fe9e2a2b7e71aacb27cd3"]
kubelet:
  nodeIP: 10.0.0.5,fd00::5
  labels: {example.org/pool: blue, node.kubernetes.io/nodetype: batch}
  taints: [{key: example.org/batch, value: "true", effect: NoSchedule}]
  providerID: aws:///eu-1a/i-0123
  podCIDR: 10.244.1.0/24
  args: {v: "4"}
files:
  /etc/motd: {content: "hello\n", mode: "0600", uid: 1, gid: 2}
ntpServers: [ntp.example, 10.0.0.1]
proxy: {https: "http://proxy.example:3128", noProxy: [.example]}
"#;

    #[test]
    fn every_field_is_read() {
        let seed = Seed::parse(FULL.as_bytes()).expect("a seed");
        assert_eq!(seed.node_name.as_deref(), Some("worker-1"));
        let servers: Vec<_> = seed.api_servers.iter().map(Url::server).collect();
        assert_eq!(servers, ["https://10.0.2.2:6443", "https://api.example:8443"]);
        assert_eq!(seed.token.as_ref().map(Token::id), Some("abcdef"));
        assert_eq!(seed.discovery.ca_cert_hashes.len(), 1);
        assert_eq!(seed.kubelet.labels["example.org/pool"], "blue");
        assert_eq!(seed.kubelet.taints[0].to_string(), "example.org/batch=true:NoSchedule");
        let file = File { content: "hello\n".into(), mode: 0o600, uid: 1, gid: 2 };
        assert_eq!(seed.files["/etc/motd"], file);
        assert_eq!(seed.ntp_servers, ["ntp.example", "10.0.0.1"]);
        assert_eq!(seed.proxy.https.as_ref().map(|url| url.port), Some(3128));
        let json = yaml::parse(FULL, MAX_SIZE).expect("YAML").to_string();
        assert_eq!(Seed::parse(json.as_bytes()), Ok(seed), "as JSON");
    }

    #[test]
    fn errors_name_the_field_and_the_defect() {
        let cases = [
            ("kind: Node", "it is not a seed: it does not say \"kind: NodeSeed\""),
            ("kind: NodeSeed\ntokn: x", "tokn: is not a field of a seed"),
            (
                "kind: NodeSeed\napiVersion: kiln/v2",
                "apiVersion: \"kiln/v2\" is not \"kiln/v1\", the only one this agent reads",
            ),
            (
                "kind: NodeSeed\nnodeName: a_b",
                "nodeName: \"a_b\" is not a node's name (letters, digits, \"-\" and \".\", RFC 1123)",
            ),
            ("kind: NodeSeed\nnodeName: 12", "nodeName: must be a string: put it in quotes"),
            ("kind: NodeSeed\napiServers: a", "apiServers: must be a list"),
            ("kind: NodeSeed\nkubelet: {taints: [{key: a}]}", "kubelet.taints[0].effect: is required"),
            (
                "kind: NodeSeed\nkubelet: {taints: [{key: a, effect: No}]}",
                "kubelet.taints[0].effect: must be NoSchedule, PreferNoSchedule or NoExecute",
            ),
            (
                "kind: NodeSeed\nkubelet: {args: {node-ip: x}}",
                "kubelet.args[\"node-ip\"]: cannot be set here, use kubelet.nodeIP",
            ),
            (
                "kind: NodeSeed\nkubelet: {args: {v: \"1 2\"}}",
                "kubelet.args[\"v\"]: cannot be passed in kubeadm-flags.env: no blanks, quotes, backslashes or dollars",
            ),
            (
                "kind: NodeSeed\nkubelet: {labels: {node-role.kubernetes.io/x: \"\"}}",
                "kubelet.labels[\"node-role.kubernetes.io/x\"]: a node cannot give itself \"node-role.kubernetes.io/x\", set it through the API after the node has joined",
            ),
            (
                "kind: NodeSeed\nfiles: {/etc/../x: {content: a}}",
                "files[\"/etc/../x\"]: is not an absolute path of a file",
            ),
            (
                "kind: NodeSeed\nfiles: {/proc/x: {content: a}}",
                "files[\"/proc/x\"]: a seed can write only below /etc, /opt, /run, /srv, /var",
            ),
            (
                "kind: NodeSeed\nfiles: {/etc/x: {content: a, mode: 644}}",
                "files[\"/etc/x\"].mode: must be a string: put it in quotes",
            ),
            ("kind: NodeSeed\nkind: NodeSeed", "line 2, column 1: \"kind\" occurs twice"),
            ("kind: NodeSeed\nkubelet: [", "line 2, column 10: unclosed bracket '['"),
        ];
        for (text, expected) in cases {
            assert_eq!(
                Seed::parse(text.as_bytes()).map_err(|error| error.to_string()),
                Err(expected.to_owned()),
                "{text}"
            );
        }
        assert_eq!(Seed::parse(&[0xff]), Err(SeedError::NotText));
        assert!(Seed::parse(&vec![b' '; MAX_SIZE + 1]).is_err());
    }

    /// No error contains the token.
    #[test]
    fn a_wrong_token_is_not_printed() {
        let error = Seed::parse(b"kind: NodeSeed\ntoken: abcdef.SECRETSECRETSECR\n").expect_err("no token").to_string();
        assert!(error.starts_with("token: not a bootstrap token") && !error.contains("SECRET"), "{error}");
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), at in 0_usize..FULL.len(), byte in any::<u8>()) {
            let _ = Seed::parse(&bytes);
            let mut near = FULL.as_bytes().to_vec();
            near[at] = byte;
            let _ = Seed::parse(&near);
        }
    }
}
