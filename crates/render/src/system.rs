//! The rest of the operating system: the journal's size, a `/tmp` in memory, a hook for whoever
//! starts the machine, and the profile's own units.

use super::{RenderError, Rendered};
use kiln_profile::Profile;
use kiln_tree::FileTree;

const BY: &str = "system";

/// A node's logs are shipped elsewhere. The local journal must leave room for pods; on a
/// network-booted node it is in memory.
const JOURNALD: &str = "\
[Journal]
RuntimeMaxUse=64M
SystemMaxUse=256M
";

/// Runs `/etc/rc.local` if it exists. No image has one; a credential can bring it for one boot
/// (systemd.system-credentials(7), `tmpfiles.extra`), but Debian's generator looks for it too
/// early.
const RC_LOCAL: &str = "rc-local.service";

pub(super) fn render(profile: &Profile, tree: &FileTree, rendered: &mut Rendered) -> Result<(), RenderError> {
    rendered.file(BY, "usr/lib/systemd/journald.conf.d/10-kiln.conf", JOURNALD)?;
    if tree.contains(&format!("usr/lib/systemd/system/{RC_LOCAL}")) {
        let link = format!("usr/lib/systemd/system/multi-user.target.wants/{RC_LOCAL}");
        rendered.link(BY, &link, format!("../{RC_LOCAL}"))?;
    }
    tmp(tree, rendered)?;
    for (unit, text) in &profile.units.add {
        rendered.file("units", &format!("usr/lib/systemd/system/{unit}"), text.as_str())?;
    }
    Ok(())
}

/// Mounts a tmpfs at `/tmp`, because the root of a disk is read-only. Before trixie, Debian did not
/// enable the unit and shipped it among the examples.
fn tmp(tree: &FileTree, rendered: &mut Rendered) -> Result<(), RenderError> {
    const UNITS: &str = "usr/lib/systemd/system";
    const EXAMPLE: &str = "usr/share/systemd/tmp.mount";
    if tree.contains(EXAMPLE) && !tree.contains(&format!("{UNITS}/tmp.mount")) {
        rendered.link(BY, &format!("{UNITS}/tmp.mount"), format!("/{EXAMPLE}"))?;
    }
    let wanted = format!("{UNITS}/local-fs.target.wants/tmp.mount");
    if tree.contains(&wanted) { Ok(()) } else { rendered.link(BY, &wanted, "../tmp.mount") }
}
