//! The image's pod network, given the range that is this node's.

use crate::root::{Access, FileError, Root};
use serde_json::{Value, json};

/// What the builder renders (CNI 1.0.0, plugins bridge and host-local).
const CONFLIST: &str = "/etc/cni/net.d/90-bridge.conflist";

/// Gives pods of this node addresses out of `cidr`. An image without that file has another network, which has its own ranges.
pub(super) fn write(root: &Root, cidr: &str) -> Result<(), FileError> {
    let Some(text) = root.read(CONFLIST)? else { return Ok(()) };
    match with_range(&text, cidr) {
        Some(text) => root.write(CONFLIST, text.as_bytes(), Access::mode(0o644)),
        None => Ok(()),
    }
}

fn with_range(text: &str, cidr: &str) -> Option<String> {
    let mut conflist: Value = serde_json::from_str(text).ok()?;
    let bridge = conflist["plugins"].as_array_mut()?.iter_mut().find(|plugin| plugin["type"] == "bridge")?;
    let everywhere = if cidr.contains(':') { "::/0" } else { "0.0.0.0/0" };
    bridge["ipam"]["ranges"] = json!([[{ "subnet": cidr }]]);
    bridge["ipam"]["routes"] = json!([{ "dst": everywhere }]);
    Some(format!("{conflist:#}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_range_is_replaced() {
        let baked = r#"{"name":"bridge","plugins":[{"type":"bridge","ipam":{"type":"host-local","ranges":[[{"subnet":"10.88.0.0/16"}]]}},{"type":"portmap"}]}"#;
        let text = with_range(baked, "fd00:1::/64").expect("a conflist");
        let value: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(
            value["plugins"][0]["ipam"],
            json!({"type": "host-local", "ranges": [[{"subnet": "fd00:1::/64"}]], "routes": [{"dst": "::/0"}]})
        );
        assert_eq!(with_range(&text, "fd00:1::/64"), Some(text), "again");
        assert_eq!(with_range("{}", "10.0.0.0/24"), None);
    }
}
