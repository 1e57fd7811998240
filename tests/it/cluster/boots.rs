//! The shipped worker, booted in QEMU with a seed, becomes a Ready Node, also after a reboot.

use crate::cluster::channels::Channel;
use crate::cluster::control_plane::{ControlPlane, openssl};
use crate::cluster::guests::{Kind, Node};
use serde_json::json;

/// Joins a node, reboots it, and checks its state in the cluster and in the guest.
fn joins(kind: Kind, channel: Channel) {
    let plane = ControlPlane::shared();
    let node = Node::new(plane, kind, channel);
    let first = node.boot();
    let found = first.wait_until_ready(plane);
    assert_eq!(found["metadata"]["labels"]["example.org/pool"], "blue");
    let taint = json!({"key": "example.org/new", "value": "yes", "effect": "NoSchedule"});
    assert!(found["spec"]["taints"].as_array().is_some_and(|taints| taints.contains(&taint)), "{}", found["spec"]);
    assert_eq!(found["spec"]["providerID"], format!("test://{}", node.name));
    assert_eq!(found["status"]["nodeInfo"]["kubeletVersion"], "v1.20.2");
    assert_eq!(first.all("hostname "), [node.name.as_str()]);
    assert_eq!(first.all("failed"), [""]);
    assert_eq!(first.all("ntp "), ["10.0.2.77"], "systemd-timesyncd was there before the agent");
    assert!(first.agent_said(&format!("seed for {} from {}", node.name, channel.source())), "the source is not logged");
    let certificate = first.all("certificate ").join("\n");
    let subject = openssl(&["x509", "-noout", "-subject", "-nameopt", "RFC2253"], certificate.as_bytes());
    assert_eq!(subject, format!("subject=CN=system:node:{},O=system:nodes", node.name));
    let requests = plane.requests(&node.name);
    assert_eq!(requests.len(), 1, "{requests:?}");
    let is_kept = kind != Kind::Diskless;
    assert_eq!(first.agent_said("the token on /dev/vd"), is_kept && channel == Channel::Vfat);
    assert_eq!(first.agent_said("the token is still on /dev/sr0"), is_kept && channel == Channel::Iso);
    if !is_kept {
        // The script planted this token, which proves that the search works.
        assert_eq!(first.all("secret "), ["/run/kiln/planted"]);
        return;
    }

    first.power_off();
    let second = node.boot();
    second.wait_until_ready(plane);
    assert!(second.agent_said("the client certificate is valid"));
    if kind == Kind::Disk {
        // The range comes from the cluster only; without it, the first boot would not have been
        // Ready.
        assert_eq!(second.all("conflist "), [format!("\"subnet\": {}", found["spec"]["podCIDR"])]);
    }
    assert_eq!(second.all("certificate ").join("\n"), certificate);
    assert_eq!(second.all("hostname "), [node.name.as_str()]);
    assert_eq!(second.all("failed"), [""]);
    assert_eq!(plane.requests(&node.name), requests, "it requested another certificate");
    second.power_off();
    let with_token = node.disks_with_the_token();
    match channel {
        // A CD cannot be written to.
        Channel::Iso => assert_eq!(with_token, [node.volume.as_deref().expect("a volume")]),
        _ => assert!(with_token.is_empty(), "{with_token:?}"),
    }
}

/// Defines a test for each kind of machine and channel; `make test` runs one of them, `make joins`
/// all.
macro_rules! nodes {
    ($($(#[$attribute:meta])* $name:ident: $kind:ident, $channel:ident;)*) => {
        $(
            #[test]
            $(#[$attribute])*
            fn $name() {
                joins(Kind::$kind, Channel::$channel);
            }
        )*
    };
}

nodes! {
    #[ignore = "make joins boots it"]
    diskless_by_smbios: Diskless, Smbios;
    disk_by_vfat: Disk, Vfat;
    #[ignore = "make joins boots it"]
    disk_by_smbios: Disk, Smbios;
    #[ignore = "make joins boots it"]
    disk_by_fw_cfg: Disk, FwCfg;
    #[ignore = "make joins boots it"]
    disk_by_iso: Disk, Iso;
    #[ignore = "make joins boots it"]
    disk_by_url: Disk, Url;
    #[ignore = "make joins boots it"]
    state_disk_by_smbios: StateDisk, Smbios;
    #[ignore = "make joins boots it"]
    state_disk_by_fw_cfg: StateDisk, FwCfg;
    #[ignore = "make joins boots it"]
    state_disk_by_iso: StateDisk, Iso;
    #[ignore = "make joins boots it"]
    state_disk_by_vfat: StateDisk, Vfat;
    #[ignore = "make joins boots it"]
    state_disk_by_url: StateDisk, Url;
}
