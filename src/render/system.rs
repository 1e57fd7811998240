//! The rest of the operating system: the journal's size, a hook for whoever starts the machine, and units that the profile
//! spells out.

use super::{RenderError, Rendered};
use crate::profile::Profile;
use crate::tree::FileTree;

const BY: &str = "system";

/// A node's logs are shipped elsewhere; what is kept must fit beside pods, in memory on a network-booted node.
const JOURNALD: &str = "\
[Journal]
RuntimeMaxUse=64M
SystemMaxUse=256M
";

/// Runs `/etc/rc.local` if there is one. No image has; a credential can bring it for one boot (systemd.system-credentials(7),
/// `tmpfiles.extra`), and Debian's generator would have looked for it before that.
const RC_LOCAL: &str = "rc-local.service";

pub(super) fn render(profile: &Profile, tree: &FileTree, rendered: &mut Rendered) -> Result<(), RenderError> {
    rendered.file(BY, "usr/lib/systemd/journald.conf.d/10-kiln.conf", JOURNALD)?;
    if tree.contains(&format!("usr/lib/systemd/system/{RC_LOCAL}")) {
        let link = format!("usr/lib/systemd/system/multi-user.target.wants/{RC_LOCAL}");
        rendered.link(BY, &link, format!("../{RC_LOCAL}"))?;
    }
    for (unit, text) in &profile.units.add {
        rendered.file("units", &format!("usr/lib/systemd/system/{unit}"), text.as_str())?;
    }
    Ok(())
}
