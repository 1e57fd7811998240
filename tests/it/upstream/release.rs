//! The shipped release file, with URLs of a server on this host.

use crate::upstream::hub::Files;
use crate::upstream::{archives, server::Server};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// The URL at which each project publishes a component, according to its documentation.
const URLS: [(&str, &str); 5] = [
    ("kubelet", "dl.k8s.io/release/v{version}/bin/linux/{arch}/kubelet"),
    (
        "containerd",
        "github.com/containerd/containerd/releases/download/v{version}/containerd-{version}-linux-{arch}.tar.gz",
    ),
    ("runc", "github.com/opencontainers/runc/releases/download/v{version}/runc.{arch}"),
    (
        "cni-plugins",
        "github.com/containernetworking/plugins/releases/download/v{version}/cni-plugins-linux-{arch}-v{version}.tgz",
    ),
    (
        "crictl",
        "github.com/kubernetes-sigs/cri-tools/releases/download/v{version}/crictl-v{version}-linux-{arch}.tar.gz",
    ),
];

/// One file of a release as its project publishes it.
pub(super) struct Published {
    /// Component of the release.
    pub component: &'static str,
    /// Its version.
    pub version: String,
    /// Its upstream URL, without the scheme.
    pub url: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

impl Published {
    /// `bytes` as `component` for `arch`.
    pub(super) fn new(component: &'static str, version: &str, arch: &str, bytes: Vec<u8>) -> Self {
        let (_, url) = URLS.iter().find(|(name, _)| *name == component).expect("a component of the shipped release");
        let url = url.replace("{version}", version).replace("{arch}", arch);
        Self { component, version: version.to_owned(), url, bytes }
    }
}

/// The contents for the server.
pub(super) fn files(published: &[Published]) -> Files {
    published.iter().map(|file| (file.url.clone(), file.bytes.clone())).collect()
}

/// The text of the shipped v1.36.4.yaml.
pub(super) fn shipped() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("profiles/releases/v1.36.4.yaml");
    fs::read_to_string(path).expect("the shipped release")
}

/// The shipped release with versions, digests and hosts of `published`, and only those components;
/// then applies each of `changes`, a text and its replacement.
pub(super) fn text(published: &[Published], server: &Server, changes: &[(&str, &str)]) -> String {
    let shipped = shipped();
    let known: BTreeMap<&str, &Published> = published.iter().map(|file| (file.component, file)).collect();
    let mut component: Option<Option<&Published>> = None;
    let mut text = String::new();
    for line in shipped.lines().filter(|line| !line.trim_start().starts_with('#')) {
        let Some((key, value)) = line.trim().split_once(':') else { continue };
        let indent = line.len() - line.trim_start().len();
        if indent == 0 {
            text += &format!("{key}:{value}\n");
            continue;
        }
        if indent == 2 {
            component = Some(known.get(key).copied());
        }
        let Some(file) = component.expect("a component") else { continue };
        let value = match key {
            "version" if indent == 4 => format!(" {}", file.version),
            "url" => value.replace("https://", &server.url("/")),
            "amd64" | "arm64" => format!(" {}", archives::sha256(&file.bytes)),
            _ => value.to_owned(),
        };
        text += &format!("{:indent$}{key}:{value}\n", "");
    }
    for (old, new) in changes {
        assert!(text.contains(old), "{old:?} is not in the shipped release:\n{text}");
        text = text.replace(old, new);
    }
    text
}
