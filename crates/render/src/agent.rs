//! The agent, which makes a machine a node at its first boot, and its units.

use super::{RenderError, Rendered, embedded, origin};
use kiln_agent::paths;
use kiln_profile::Profile;
use kiln_tree::Entry;

const BY: &str = "agent";
const PROGRAM: &str = "usr/bin/kiln-agent";
const UNIT: &str = "usr/lib/systemd/system/kiln-agent.service";

/// The unit runs before kubelet at every boot; at most boots it has nothing to do.
///
/// The agent exits with status 3 when a person must change something. A seed may bring files for
/// places below the writable directories; apart from that, the agent is confined to what its work
/// needs. It needs block devices for volumes with seeds, if the image accepts these: it reads them
/// itself and removes the token from them. (The host name is set by a separate process, which is allowed to.)
const TEXT: &str = "\
[Unit]
Description=kiln agent: joins this machine to its cluster
Wants=kubelet.path
Before=kubelet.service
After=kubelet.path systemd-networkd.service systemd-resolved.service

[Service]
Type=notify
RemainAfterExit=yes
ExecStart=/usr/bin/kiln-agent
ExecStartPost=+/bin/sh -c 'test ! -s /etc/hostname || cat /etc/hostname >/proc/sys/kernel/hostname'
LoadCredential=kiln.seed
TimeoutStartSec=infinity
Restart=on-failure
RestartSec=10
RestartPreventExitStatus=3
CapabilityBoundingSet=CAP_CHOWN CAP_DAC_OVERRIDE CAP_FOWNER
";

/// For volumes with seeds, which the agent reads without mounting them.
const VOLUMES: &str = "DeviceAllow=block-* rw\n";

/// Confinement and output settings that both of the agent's units share.
const CONFINED: &str = "\
StandardOutput=journal+console
StandardError=journal+console
UMask=0077
LimitCORE=0
OOMScoreAdjust=-500
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
DevicePolicy=closed
PrivateIPC=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@resources
SystemCallErrorNumber=EPERM
KeyringMode=private
";

/// Asks the cluster for the node's pod network where neither the profile nor the seed gives one;
/// the agent signals this case with the file of the condition. By then kubelet has registered the
/// node, or will.
const POD_CIDR: &str = "kiln-pod-cidr.service";
const POD_CIDR_TEXT: &str = "\
[Unit]
Description=kiln agent: gets the pod network that the cluster assigns to this node
After=kubelet.service
ConditionPathExists=/run/kiln/pod-cidr-wanted

[Service]
Type=exec
RemainAfterExit=yes
ExecStart=/usr/bin/kiln-agent pod-cidr
Restart=on-failure
RestartSec=10
CapabilityBoundingSet=
ReadWritePaths=-/etc/cni/net.d -/var/lib/kiln
";

/// kubelet is skipped at boot when it has no credentials. This unit starts it when they arrive
/// later; it does not start a kubelet again that was stopped afterwards.
const PATH_UNIT: &str = "usr/lib/systemd/system/kubelet.path";
const PATH_TEXT: &str = "\
[Unit]
Description=kubelet's credentials

[Path]
PathChanged=/etc/kubernetes/kubelet.conf
";

pub(super) fn render(profile: &Profile, rendered: &mut Rendered) -> Result<(), RenderError> {
    rendered.put(PROGRAM, Entry::file(embedded::AGENT.for_arch(profile.arch)?, 0o755, origin(BY)))?;
    let sources = &profile.seed.sources;
    let writable = paths::WRITABLE.map(|directory| format!("-{directory}")).join(" ");
    let volumes = match sources.is_empty() || sources.iter().any(|source| source.is_volume()) {
        true => VOLUMES,
        false => "",
    };
    rendered.file(BY, UNIT, format!("{TEXT}ReadWritePaths={writable}\n{volumes}{CONFINED}"))?;
    if !sources.is_empty() {
        let names: String = sources.iter().map(|source| format!("{}\n", source.as_str())).collect();
        rendered.file(BY, paths::in_tree(paths::SEED_SOURCES), names)?;
    }
    rendered.file(BY, PATH_UNIT, PATH_TEXT)
}

/// Adds the unit that gets the pod network from the cluster; it starts whenever kubelet does.
pub(super) fn pod_cidr(rendered: &mut Rendered) -> Result<(), RenderError> {
    let units = "usr/lib/systemd/system";
    rendered.file(BY, &format!("{units}/{POD_CIDR}"), format!("{POD_CIDR_TEXT}{CONFINED}"))?;
    rendered.link(BY, &format!("{units}/kubelet.service.wants/{POD_CIDR}"), format!("../{POD_CIDR}"))
}
