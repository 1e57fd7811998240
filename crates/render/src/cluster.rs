//! The settings of the cluster file, for kiln-agent: a seed with what all nodes of the cluster
//! share, below every node's own seed.

use super::{RenderError, Rendered, yaml};
use kiln_profile::Profile;
use serde_json::json;

const BY: &str = "cluster";
/// The agent lays the node's own seed over this one.
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
