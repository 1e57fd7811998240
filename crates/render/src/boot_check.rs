//! Decides whether a boot was good: systemd-boot counts how often it tries a version, and something
//! has to tell it to stop counting (systemd's "Automatic Boot Assessment"); see docs/disk.md.
//!
//! systemd-bless-boot.service does so once `boot-complete.target` is reached, and the units here
//! delay that target. Its generator starts it only where the boot loader counted: nothing here runs
//! under PXE or in a version that is already known to be good.

use super::{RenderError, Rendered, origin};
use kiln_tree::{Entry, FileTree};

const BY: &str = "boot-check";

const UNITS: &str = "usr/lib/systemd/system";

/// The unit that renames the kernel image on the EFI system partition.
const BLESSING: &str = "systemd-bless-boot.service";

/// systemd-gpt-auto-generator(8) mounts the partition on access and keeps it mounted for two more
/// minutes. It is unmounted early because of power cuts: a partition that is not mounted cannot be
/// left half written or marked as dirty.
const UNMOUNT: &str = "\
[Service]
ExecStartPost=-/usr/bin/umount --quiet /boot
";

const PROGRAM: &str = "usr/lib/kiln/boot-check";
const UNIT: &str = "kiln-boot-check.service";

/// A kubelet that is not healthy after five minutes will not become healthy on any machine.
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
