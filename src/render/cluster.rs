//! What the cluster file says, for those on the node who need it: the authority's certificate where kubeadm puts it, and the API's
//! addresses for kiln-agent.

use super::{RenderError, Rendered, yaml};
use crate::profile::Profile;
use serde_json::json;

const BY: &str = "cluster";
const CA: &str = "etc/kubernetes/pki/ca.crt";
/// A part of a seed, over which the node's own is laid.
const SEED: &str = "usr/lib/kiln/cluster.yaml";

pub(super) fn render(profile: &Profile, rendered: &mut Rendered) -> Result<(), RenderError> {
    let Some(cluster) = &profile.cluster else { return Ok(()) };
    rendered.file(BY, CA, cluster.ca_certificates.as_str())?;
    let seed = yaml::document(&json!({ "apiServers": cluster.api_servers }));
    rendered.file(BY, SEED, format!("# Cluster {}: what a node's seed need not say.\n{seed}", cluster.name))
}
