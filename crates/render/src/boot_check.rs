//! When a boot was a good one: systemd-boot counts how often a version is tried, and somebody has to say that it may stop
//! (systemd's "Automatic Boot Assessment"); see docs/disk.md.
//!
//! systemd-bless-boot.service does so once `boot-complete.target` is reached, which the units here hold up. Its generator starts it only
//! where the boot loader counted: neither under PXE nor in a version that is already known as good does anything of this run.

use super::{RenderError, Rendered, origin};
use kiln_tree::{Entry, FileTree};

const BY: &str = "boot-check";

const UNITS: &str = "usr/lib/systemd/system";

/// Who renames the kernel image on the EFI system partition.
const BLESSING: &str = "systemd-bless-boot.service";

/// systemd-gpt-auto-generator(8) has the partition mounted when somebody looks, and for two minutes more. Power cuts are best met
/// without: a partition that is not mounted cannot be left half written, nor marked as such.
const UNMOUNT: &str = "\
[Service]
ExecStartPost=-/usr/bin/umount --quiet /boot
";

const PROGRAM: &str = "usr/lib/kiln/boot-check";
const UNIT: &str = "kiln-boot-check.service";

/// In five minutes a kubelet is healthy on any machine, or it is not going to be.
const TEXT: &str = "\
[Unit]
Description=Check that kubelet works in this version
After=kubelet.service
Before=boot-complete.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/lib/kiln/boot-check
TimeoutStartSec=5min

[Install]
RequiredBy=boot-complete.target
";

pub(super) fn render(tree: &FileTree, rendered: &mut Rendered) -> Result<(), RenderError> {
    if !tree.contains(&format!("{UNITS}/{BLESSING}")) {
        return Ok(());
    }
    rendered.file(BY, &format!("{UNITS}/{BLESSING}.d/10-kiln.conf"), UNMOUNT)?;
    rendered.put(PROGRAM, Entry::file(include_str!("boot-check.sh"), 0o755, origin(BY)))?;
    rendered.file(BY, &format!("{UNITS}/{UNIT}"), TEXT)
}
