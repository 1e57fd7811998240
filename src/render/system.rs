//! The rest of the operating system: the journal's size, and units that the profile spells out.

use super::{RenderError, Rendered};
use crate::profile::Profile;

const BY: &str = "system";

/// A node's logs are shipped elsewhere; what is kept must fit beside pods, in memory on a network-booted node.
const JOURNALD: &str = "\
[Journal]
RuntimeMaxUse=64M
SystemMaxUse=256M
";

pub(super) fn render(profile: &Profile, rendered: &mut Rendered) -> Result<(), RenderError> {
    rendered.file(BY, "usr/lib/systemd/journald.conf.d/10-kiln.conf", JOURNALD)?;
    for (unit, text) in &profile.units.add {
        rendered.file("units", &format!("usr/lib/systemd/system/{unit}"), text.as_str())?;
    }
    Ok(())
}
