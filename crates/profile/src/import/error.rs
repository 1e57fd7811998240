//! Why an import failed.

use crate::{NotLocated, authority};
use kiln_kubernetes::Misfit;

/// Why documents cannot be imported. Every message is one line, names the place and says what to
/// do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// No file was given.
    #[error("there is nothing to import: give kubelet's unit or command line, its configuration, or kubeadm's")]
    Nothing,
    /// `--kube-proxy` without a configuration of kube-proxy.
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
    /// More files than one node has.
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
    /// Invalid YAML.
    #[error(transparent)]
    Yaml(#[from] NotLocated),
    /// An error in a file.
    #[error("{place}: {what}")]
    At {
        /// The file, with a line if there is one.
        place: String,
        /// The error.
        what: String,
        /// The source of the broken rule; `None` for one of kiln's own.
        rule: Option<&'static str>,
    },
    /// A file that another one names and that was not given.
    #[error("{place}: kubelet reads {path}: give that file as well")]
    Missing {
        /// The place that names it.
        place: String,
        /// The path on the node.
        path: String,
    },
}

impl ImportError {
    pub(super) fn at(place: impl ToString, what: impl Into<String>) -> Self {
        Self::At { place: place.to_string(), what: what.into().replace(char::is_control, " "), rule: None }
    }

    /// An error for a misfit, with the source of the broken rule; `usual` is the source for most
    /// fields.
    pub(super) fn misfit(place: impl ToString, usual: &'static str, misfit: &Misfit) -> Self {
        let mut error = Self::at(place, misfit.to_string());
        if let Self::At { rule, .. } = &mut error {
            *rule = Some(authority::of_field(misfit, usual));
        }
        error
    }

    /// The source of the broken rule (a page or a source file); `None` for one of kiln's own.
    pub fn rule(&self) -> Option<&'static str> {
        match self {
            Self::At { rule, .. } => *rule,
            _ => None,
        }
    }
}
