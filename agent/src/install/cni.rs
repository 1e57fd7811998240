//! Installs the image's pod network with the range of this node.

use super::Node;
use crate::paths::{CONFLIST, CONFLIST_TEMPLATE, POD_CIDR_WANTED};
use crate::root::{Access, FileError, RootDir};
use serde_json::{Value, json};

/// Gives the node's pods addresses from its range: the seed's, otherwise the range that the cluster
/// has assigned. Until that is known, there is no pod network: with the range in the image, every
/// node would have the same addresses.
pub(super) fn install(root: &RootDir, node: &Node) -> Result<(), FileError> {
    if let Some(cidr) = &node.seed.kubelet.pod_cidr {
        return write(root, std::slice::from_ref(cidr));
    }
    if !root.at(CONFLIST_TEMPLATE).exists() {
        return Ok(());
    }
    // Written before the network is removed, so that the removal can be undone later.
    root.write(POD_CIDR_WANTED, b"", Access::mode(0o644))?;
    match node.pod_cidrs.as_slice() {
        [] => root.remove(CONFLIST).map(|_| ()),
        known => write(root, known),
    }
}

/// Installs the networks that the cluster has assigned to `node`, and stores them for later boots.
///
/// # Errors
/// [`FileError`].
pub fn assign(root: &RootDir, node: &mut Node, cidrs: Vec<String>) -> Result<(), FileError> {
    write(root, &cidrs)?;
    node.pod_cidrs = cidrs;
    node.save(root)
}

/// An image without that file has another network with its own ranges.
fn write(root: &RootDir, cidrs: &[String]) -> Result<(), FileError> {
    let text = match root.read(CONFLIST)? {
        None => root.read(CONFLIST_TEMPLATE)?,
        text => text,
    };
    match text.and_then(|text| with_ranges(&text, cidrs)) {
        Some(text) => root.write(CONFLIST, text.as_bytes(), Access::mode(0o644)),
        None => Ok(()),
    }
}

fn with_ranges(text: &str, cidrs: &[String]) -> Option<String> {
    let mut conflist: Value = serde_json::from_str(text).ok()?;
    let bridge = conflist["plugins"].as_array_mut()?.iter_mut().find(|plugin| plugin["type"] == "bridge")?;
    let everywhere = |cidr: &String| if cidr.contains(':') { "::/0" } else { "0.0.0.0/0" };
    // One set of ranges for each family: a pod gets an address of each.
    bridge["ipam"]["ranges"] = cidrs.iter().map(|cidr| json!([{ "subnet": cidr }])).collect();
    bridge["ipam"]["routes"] = cidrs.iter().map(|cidr| json!({ "dst": everywhere(cidr) })).collect();
    Some(format!("{conflist:#}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_range_is_replaced() {
        let baked = r#"{"name":"bridge","plugins":[{"type":"bridge","ipam":{"type":"host-local","ranges":[[{"subnet":"10.88.0.0/16"}]]}},{"type":"portmap"}]}"#;
        let cidrs = |all: &[&str]| all.iter().map(ToString::to_string).collect::<Vec<_>>();
        let text = with_ranges(baked, &cidrs(&["fd00:1::/64"])).expect("a conflist");
        let ipam = |text: &str| serde_json::from_str::<Value>(text).expect("JSON")["plugins"][0]["ipam"].clone();
        assert_eq!(
            ipam(&text),
            json!({"type": "host-local", "ranges": [[{"subnet": "fd00:1::/64"}]], "routes": [{"dst": "::/0"}]})
        );
        assert_eq!(with_ranges(&text, &cidrs(&["fd00:1::/64"])), Some(text.clone()), "again");
        assert_eq!(
            ipam(&with_ranges(&text, &cidrs(&["10.0.1.0/24", "fd00:1::/64"])).expect("a conflist")),
            json!({
                "type": "host-local",
                "ranges": [[{"subnet": "10.0.1.0/24"}], [{"subnet": "fd00:1::/64"}]],
                "routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}],
            })
        );
        assert_eq!(with_ranges("{}", &cidrs(&["10.0.0.0/24"])), None);
    }
}
