//! What a node keeps from one boot to the next: the partition for it, and the units that write
//! there.
//!
//! `/init` makes and mounts it before systemd starts; see docs/disk.md.

use super::{RenderError, Rendered};
use kiln_init::STATE_MIN_BYTES;
use kiln_tree::FileTree;

const BY: &str = "state";

/// systemd's own units and generators that would repeat or contradict what `/init` did.
const GENERATOR: &str = "systemd-veritysetup-generator";

/// The repart.d(5) file. The partition takes all the free space, at first boot and whenever the
/// disk has grown.
fn partition() -> String {
    format!(
        "\
[Partition]
Type=var
Label=kiln-state
Format=ext4
SizeMinBytes={STATE_MIN_BYTES}
"
    )
}

/// The keys are made as a whole: an existing directory has all keys in it, whenever the power was
/// cut. A profile may enable sshd as a service or by its socket: either finds the keys.
const HOST_KEYS: &str = "\
[Unit]
Description=SSH host keys, made once and kept
DefaultDependencies=no
ConditionPathExists=!/var/lib/kiln/ssh
After=local-fs.target
Before=ssh.service ssh.socket

[Service]
Type=oneshot
StateDirectory=kiln
WorkingDirectory=/var/lib/kiln
UMask=0077
ExecStart=/bin/sh -ec 'rm -rf ssh.new; mkdir ssh.new; \\
    for kind in ed25519 ecdsa rsa; do ssh-keygen -q -t $$kind -N \"\" -C \"\" -f ssh.new/ssh_host_$${kind}_key; done; \\
    sync -f ssh.new; mv ssh.new ssh; sync -f .'
";

/// systemd.preset(5): leaves ssh.socket as openssh-server's postinst does, and makes no keys that
/// would be lost with `/etc` at the end of a boot.
const SSH_PRESET: &str = "\
disable ssh.socket
disable sshd-keygen.service
";

const SSHD: &str = "\
HostKey /var/lib/kiln/ssh/ssh_host_ed25519_key
HostKey /var/lib/kiln/ssh/ssh_host_ecdsa_key
HostKey /var/lib/kiln/ssh/ssh_host_rsa_key
";

pub(super) fn render(tree: &FileTree, rendered: &mut Rendered) -> Result<(), RenderError> {
    rendered.file(BY, "usr/lib/repart.d/50-kiln-state.conf", partition())?;
    if tree.contains(&format!("usr/lib/systemd/system-generators/{GENERATOR}")) {
        rendered.link(BY, &format!("etc/systemd/system-generators/{GENERATOR}"), "/dev/null")?;
    }
    if tree.contains("usr/sbin/sshd") {
        let unit = "kiln-ssh-host-keys.service";
        rendered.file(BY, &format!("usr/lib/systemd/system/{unit}"), HOST_KEYS)?;
        for by in ["ssh.service", "ssh.socket"] {
            rendered.link(BY, &format!("usr/lib/systemd/system/{by}.wants/{unit}"), format!("../{unit}"))?;
        }
        rendered.file(BY, "etc/ssh/sshd_config.d/10-kiln.conf", SSHD)?;
        rendered.file(BY, "usr/lib/systemd/system-preset/80-kiln-ssh.preset", SSH_PRESET)?;
    }
    Ok(())
}
