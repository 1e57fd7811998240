//! Why there is nothing to import.

use crate::{NotLocated, authority};
use kiln_kubernetes::Misfit;

/// Why documents cannot be imported; every text is one line and names the place and the way out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// No file was given.
    #[error("there is nothing to import: give kubelet's unit or command line, its configuration, or kubeadm's")]
    Nothing,
    /// kube-proxy is wanted, and there is no configuration of it.
    #[error(
        "--kube-proxy: no file has a KubeProxyConfiguration (kubectl -n kube-system get configmap kube-proxy -o jsonpath='{{.data.config\\.conf}}')"
    )]
    NoKubeProxy,
    /// A file larger than any configuration.
    #[error("{name}: is larger than 1 MiB, the limit for a configuration")]
    TooLarge {
        /// The file.
        name: String,
    },
    /// More files than belong to a node.
    #[error("{0} files are too many for one node: give only those that one kubelet reads")]
    TooMany(usize),
    /// A file that is not text.
    #[error("{name}: is not UTF-8 (byte {offset})")]
    NotUtf8 {
        /// The file.
        name: String,
        /// The first bad byte, from 0.
        offset: usize,
    },
    /// No YAML.
    #[error(transparent)]
    Yaml(#[from] NotLocated),
    /// Something that is written there.
    #[error("{place}: {what}")]
    At {
        /// File, and line where there is one.
        place: String,
        /// What is wrong with it.
        what: String,
        /// The page or source that has the rule it breaks, where that is somebody else's.
        rule: Option<&'static str>,
    },
    /// A file that another one names.
    #[error("{place}: kubelet reads {path}: give that file, too")]
    Missing {
        /// Who names it.
        place: String,
        /// The path on the node.
        path: String,
    },
}

impl ImportError {
    pub(super) fn at(place: impl ToString, what: impl Into<String>) -> Self {
        Self::At { place: place.to_string(), what: what.into().replace(char::is_control, " "), rule: None }
    }

    /// What does not fit where `usual` has the rules for most fields, in a profile and here alike.
    pub(super) fn misfit(place: impl ToString, usual: &'static str, misfit: &Misfit) -> Self {
        let mut error = Self::at(place, misfit.to_string());
        if let Self::At { rule, .. } = &mut error {
            *rule = Some(authority::of_field(misfit, usual));
        }
        error
    }

    /// The page or source that has the broken rule, when it is not one of kiln's own.
    pub fn rule(&self) -> Option<&'static str> {
        match self {
            Self::At { rule, .. } => *rule,
            _ => None,
        }
    }
}
