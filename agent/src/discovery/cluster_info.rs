//! Discovery by token, as in kubeadm: cluster-info is fetched without verification, verified by the
//! token's signature, its authority verified by the pins, and then fetched again from a server of
//! that authority.

use super::{Cluster, KubeconfigError, Trusted, jws};
use crate::api::{Api, ApiError};
use crate::net::{Network, Url, Verify};
use crate::seed::{Pin, Token};
use crate::status::say;
use serde_json::Value;

const PATH: &str = "/api/v1/namespaces/kube-public/configmaps/cluster-info";
const WHAT: &str = "getting cluster-info";

/// Why a cluster's identity could not be verified.
#[derive(Debug, thiserror::Error)]
pub enum DiscoveryError {
    /// cluster-info cannot be fetched.
    #[error("{0}")]
    Api(#[from] ApiError),
    /// The API server does not answer anonymous requests.
    #[error(
        "{0}; if anonymous requests are disabled there, put the cluster's authority into the seed (discovery.caCertificates)"
    )]
    NotAnonymous(ApiError),
    /// There is no signature yet, or no longer.
    #[error(
        "cluster-info is not signed by the token {id}: it is unknown, expired or not for signing, or the controller \
         \"bootstrapsigner\" has not signed yet"
    )]
    NotSigned {
        /// The token's public half.
        id: String,
    },
    /// The signature is not by this token.
    #[error(
        "cluster-info's signature is not by the token {id} of the seed: the secret is wrong, or somebody forged it"
    )]
    Forged {
        /// The token's public half.
        id: String,
    },
    /// The signed contents are not a kubeconfig.
    #[error("cluster-info: {0}")]
    Kubeconfig(#[from] KubeconfigError),
    /// The authority is not pinned.
    #[error(
        "the cluster's authority is {found}, and none of it is pinned: it is another cluster, or its authority has changed"
    )]
    NotPinned {
        /// The authorities' pins.
        found: String,
    },
    /// Its server cannot be verified by what is pinned.
    #[error(
        "{error}; cluster-info has authorities that are not pinned, and so not trusted: {unpinned}; if the server's is one of \
         them, pin it, too (discovery.caCertHashes)"
    )]
    Unverified {
        /// The failure.
        error: ApiError,
        /// The other authorities' pins.
        unpinned: String,
    },
    /// The answers before and after verification differ.
    #[error("cluster-info over a verified connection is not the one that was signed")]
    Changed,
}

/// Finds the cluster at `servers`: `token` and `pins` verify its authorities; others are left out.
///
/// # Errors
/// [`DiscoveryError`].
pub fn discover(network: &Network, servers: &[Url], token: &Token, pins: &[Pin]) -> Result<Trusted, DiscoveryError> {
    let mut failed: Option<DiscoveryError> = None;
    for server in servers {
        match discover_at(network, server, token, pins) {
            // The seed's servers are used, because this node can reach them. Cluster-info may name
            // a server on another network.
            Ok(trusted) => {
                let others = servers.iter().filter(|other| *other != server);
                return Ok(Trusted { servers: std::iter::once(server).chain(others).cloned().collect(), ..trusted });
            }
            // A server that answers for another cluster is more important to report than a server
            // that does not answer.
            Err(error) if matches!(failed, None | Some(DiscoveryError::Api(_) | DiscoveryError::Unverified { .. })) => {
                failed = Some(error)
            }
            Err(_) => {}
        }
    }
    Err(failed.unwrap_or(DiscoveryError::Changed))
}

fn discover_at(network: &Network, server: &Url, token: &Token, pins: &[Pin]) -> Result<Trusted, DiscoveryError> {
    let servers = std::slice::from_ref(server);
    let info = fetch(network, servers, Verify::Nothing)?;
    let signed = signed(&info, token)?;
    let cluster = Cluster::parse(signed)?;
    let (trusted, unpinned) = cluster.trusted.only(pins).map_err(|found| DiscoveryError::NotPinned { found })?;
    let again = match fetch(network, servers, trusted.verify()) {
        Err(DiscoveryError::Api(error)) if !unpinned.is_empty() => {
            return Err(DiscoveryError::Unverified { error, unpinned });
        }
        again => again?,
    };
    if again["data"]["kubeconfig"].as_str() != Some(signed) {
        return Err(DiscoveryError::Changed);
    }
    if !unpinned.is_empty() {
        say(&format!("cluster-info has authorities that are not pinned; they are not trusted: {unpinned}"));
    }
    Ok(trusted)
}

fn fetch(network: &Network, servers: &[Url], verify: Verify) -> Result<Value, DiscoveryError> {
    Api::new(network, servers, verify, None).get(WHAT, PATH).map_err(|error| match error.status() {
        Some(401 | 403) => DiscoveryError::NotAnonymous(error),
        _ => error.into(),
    })
}

/// The kubeconfig in `info`, if it is signed by `token`.
fn signed<'a>(info: &'a Value, token: &Token) -> Result<&'a str, DiscoveryError> {
    let data = &info["data"];
    let missing = || KubeconfigError::Field("it contains no kubeconfig".into());
    let kubeconfig = data["kubeconfig"].as_str().ok_or_else(missing)?;
    let id = || token.id().to_owned();
    match data[format!("jws-kubeconfig-{}", token.id())].as_str() {
        None => Err(DiscoveryError::NotSigned { id: id() }),
        Some(signature) if jws::verify(kubeconfig, signature, token) => Ok(kubeconfig),
        Some(_) => Err(DiscoveryError::Forged { id: id() }),
    }
}
