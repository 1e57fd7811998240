//! The node's own network: systemd-networkd and systemd-resolved.
//!
//! Packages' scripts set up name look-up (`/etc/nsswitch.conf`, `hosts`, `resolv.conf`), so the
//! finalizers write these files (`docs/maintainer-scripts.md`).

use super::{RenderError, Rendered};

const BY: &str = "network";

/// Matches every wired hardware interface. Interfaces made by software (veth, bridge, vxlan, cali*,
/// cni*, flannel*) have a kind and belong to their creator.
///
/// The DHCP client identifies itself by its MAC address, because the machine id of a network-booted
/// node is new at every boot.
const WIRED: &str = "\
[Match]
Type=ether
Kind=!*

[Network]
DHCP=yes

[DHCPv4]
ClientIdentifier=mac
UseDomains=yes

[DHCPv6]
DUIDType=link-layer
UseDomains=yes
";

/// networkd must not remove routes and rules of pod networks.
const NETWORKD: &str = "\
[Network]
ManageForeignRoutes=no
ManageForeignRoutingPolicyRules=no
";

/// One configured interface is enough; others may have no cable.
const WAIT_ONLINE: &str = "\
[Service]
ExecStart=
ExecStart=/usr/lib/systemd/systemd-networkd-wait-online --any
";

const RESOLVED: &str = "\
[Resolve]
LLMNR=no
MulticastDNS=no
";

pub(super) fn render(rendered: &mut Rendered) -> Result<(), RenderError> {
    rendered.file(BY, "usr/lib/systemd/network/80-kiln-wired.network", WIRED)?;
    rendered.file(BY, "usr/lib/systemd/networkd.conf.d/10-kiln.conf", NETWORKD)?;
    rendered.file(BY, "usr/lib/systemd/system/systemd-networkd-wait-online.service.d/10-kiln.conf", WAIT_ONLINE)?;
    rendered.file(BY, "usr/lib/systemd/resolved.conf.d/10-kiln.conf", RESOLVED)
}
