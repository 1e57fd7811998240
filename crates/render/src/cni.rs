//! The pod network that a node has before an add-on brings its own.
//!
//! There is no loopback configuration: containerd brings up lo by itself, and a node with such a
//! file alone in the directory would become Ready without having a pod network.

use super::{RenderError, Rendered, agent};
use kiln_agent::paths::{CONFLIST, CONFLIST_TEMPLATE, in_tree};
use kiln_profile::{Cni, Profile};
use kiln_tree::FileTree;
use serde_json::{Value, json};

const BY: &str = "cni";

pub(super) fn render(profile: &Profile, tree: &FileTree, rendered: &mut Rendered) -> Result<(), RenderError> {
    // Debian's package installs its plugins elsewhere. The directory itself stays writable for
    // add-ons.
    for (path, _) in tree.children("usr/lib/cni") {
        let link = format!("opt/cni/bin/{}", path.name());
        if !tree.contains(&link) {
            rendered.link(BY, &link, format!("../../../{path}"))?;
        }
    }
    let Cni::Bridge { name, subnet, assigned, mtu } = &profile.cni else { return Ok(()) };
    let has = |plugin: &str| {
        let path = format!("opt/cni/bin/{plugin}");
        tree.contains(&path) || rendered.entries.keys().any(|rendered| rendered.as_str() == path)
    };
    if let Some(name) = ["bridge", "host-local", "loopback", "portmap"].into_iter().find(|name| !has(name)) {
        return Err(RenderError::NoPlugin { name });
    }
    let chained = CHAINED.into_iter().filter(|(name, _)| has(name)).map(|(name, capability)| chained(name, capability));
    let text = format!("{:#}\n", conflist(name, subnet, *mtu, chained));
    if *assigned {
        rendered.file(BY, in_tree(CONFLIST_TEMPLATE), text.as_str())?;
        agent::pod_cidr(rendered)?;
    }
    rendered.file(BY, in_tree(CONFLIST), text)
}

/// Optional plugins chained after the bridge: pods' host ports, their traffic through a firewall
/// that drops forwarded packets, and their bandwidth limits (`kubernetes.io/ingress-bandwidth`).
/// Each comes with the runtime capability that it needs, if any.
const CHAINED: [(&str, Option<&str>); 3] =
    [("portmap", Some("portMappings")), ("firewall", None), ("bandwidth", Some("bandwidth"))];

fn chained(name: &str, capability: Option<&str>) -> Value {
    match capability {
        Some(capability) => json!({ "type": name, "capabilities": { capability: true } }),
        None => json!({ "type": name }),
    }
}

fn conflist(bridge: &str, subnet: &str, mtu: Option<u32>, chained: impl Iterator<Item = Value>) -> Value {
    let everywhere = if subnet.contains(':') { "::/0" } else { "0.0.0.0/0" };
    let mut plugin = json!({
        "type": "bridge",
        "bridge": bridge,
        "isGateway": true,
        "ipMasq": true,
        "hairpinMode": true,
        "ipam": {
            "type": "host-local",
            "ranges": [[{ "subnet": subnet }]],
            "routes": [{ "dst": everywhere }],
        },
    });
    if let Some(mtu) = mtu {
        plugin["mtu"] = mtu.into();
    }
    json!({
        "cniVersion": "1.0.0",
        "name": "bridge",
        "plugins": std::iter::once(plugin).chain(chained).collect::<Vec<_>>(),
    })
}
