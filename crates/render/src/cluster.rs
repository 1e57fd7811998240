//! What the cluster file says, for kiln-agent: a seed under every node's own, with what all nodes of the cluster share.

use super::{RenderError, Rendered, yaml};
use kiln_profile::Profile;
use serde_json::json;

const BY: &str = "cluster";
/// The agent lays a node's seed over it.
const SEED: &str = "usr/lib/kiln/cluster.yaml";

pub(super) fn render(profile: &Profile, rendered: &mut Rendered) -> Result<(), RenderError> {
    let Some(cluster) = &profile.cluster else { return Ok(()) };
    let seed = yaml::document(&json!({
        "kind": "NodeSeed",
        "apiServers": cluster.api_servers,
        "discovery": { "caCertificates": cluster.ca_certificates },
    }));
    rendered.file(BY, SEED, format!("# Cluster {}: what a node's seed need not say.\n{seed}", cluster.name))
}
