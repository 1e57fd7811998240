//! Time servers that a node's seed brings: systemd-timesyncd starts before the agent, and reads its
//! configuration only when it starts.

use super::{RenderError, Rendered};
use kiln_tree::FileTree;

const BY: &str = "ntp";
const UNITS: &str = "usr/lib/systemd/system";
const TIMESYNCD: &str = "systemd-timesyncd.service";
const PATH_UNIT: &str = "kiln-ntp.path";

/// The agent writes the file before it checks the clock, and waits while the clock is wrong. It may
/// not restart units itself: systemd does.
const PATH: &str = "\
[Unit]
Description=Time servers of the node's seed
Before=kiln-agent.service

[Path]
PathChanged=/run/systemd/timesyncd.conf.d/50-kiln-seed.conf
";

/// A timesyncd that is not running, because a profile masks it or in a container, is not started.
const SERVICE: &str = "\
[Unit]
Description=Have systemd-timesyncd ask the time servers of the node's seed

[Service]
Type=oneshot
ExecStart=/usr/bin/systemctl try-restart systemd-timesyncd.service
";

pub(super) fn render(tree: &FileTree, rendered: &mut Rendered) -> Result<(), RenderError> {
    if !tree.contains(&format!("{UNITS}/{TIMESYNCD}")) {
        return Ok(());
    }
    rendered.file(BY, &format!("{UNITS}/{PATH_UNIT}"), PATH)?;
    rendered.file(BY, &format!("{UNITS}/kiln-ntp.service"), SERVICE)?;
    // The path must be watched before the agent writes it, whatever starts the agent.
    rendered.link(BY, &format!("{UNITS}/kiln-agent.service.wants/{PATH_UNIT}"), format!("../{PATH_UNIT}"))
}
