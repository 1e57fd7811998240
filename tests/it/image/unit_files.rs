//! Checks kiln's units with systemd's own tools.

use crate::image::extracted::extracted;
use crate::image::manifest::Manifest;
use crate::image::tools::{text, tool};
use std::collections::BTreeSet;
use std::path::Path;

/// Suffixes of units that systemd-analyze can verify.
const UNITS: [&str; 6] = [".service", ".socket", ".mount", ".target", ".timer", ".path"];

#[test]
fn systemd_accepts_our_units() {
    let (built, root) = extracted();
    let units = check_units(&built.manifest, root);
    for unit in ["kubelet.service", "kiln-agent.service"] {
        assert!(units.contains(unit), "{units:?}");
    }
}

/// Checks the units and drop-ins of the image in `root` that no package contains with
/// systemd-analyze, and returns the units' names.
pub(super) fn check_units(manifest: &Manifest, root: &Path) -> BTreeSet<String> {
    let ours: Vec<&str> = manifest
        .files
        .iter()
        .filter(|record| record.kind == "file" && record.path.contains("systemd/system/") && record.package().is_none())
        .map(|record| record.path.as_str())
        .collect();
    // A unit, or the unit of a drop-in (kubelet.service.d/10-kubeadm.conf).
    let units: BTreeSet<String> = ours
        .iter()
        .flat_map(|path| path.split('/'))
        .map(|part| part.strip_suffix(".d").unwrap_or(part))
        .filter(|part| UNITS.iter().any(|suffix| part.ends_with(suffix)))
        .map(str::to_owned)
        .collect();
    let mut analyze = tool("systemd-analyze", "systemd");
    analyze.arg("verify").arg(format!("--root={}", root.display())).args(["--man=no", "--generators=no"]).args(&units);
    // Its exit code also covers other units, for which this systemd may be too old.
    let said = String::from_utf8_lossy(&analyze.output().expect("it starts").stderr).into_owned();
    let about_ours: Vec<&str> = said
        .lines()
        .filter(|line| ours.iter().any(|path| line.contains(path)) || units.iter().any(|unit| line.contains(unit)))
        .collect();
    assert!(about_ours.is_empty(), "{}", about_ours.join("\n"));
    units
}

/// The agent reads data from untrusted servers, and has a token: the exposure level of its units is
/// at most 3.0 of 10.
#[test]
fn the_agent_is_confined() {
    let (_, root) = extracted();
    for unit in ["kiln-agent.service", "kiln-pod-cidr.service"] {
        let mut analyze = tool("systemd-analyze", "systemd");
        analyze.args(["security", "--offline=true", "--threshold=30", "--no-pager"]);
        let output = analyze.arg(root.join("usr/lib/systemd/system").join(unit)).output().expect("it starts");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(said.contains(&format!("Overall exposure level for {unit}")), "{said}");
        assert!(output.status.success(), "{said}");
    }
}

/// The target that a node boots into, and the units that it pulls in, according to systemctl.
#[test]
fn systemctl_finds_our_services_enabled() {
    let (_, root) = extracted();
    for unit in ["kubelet.service", "containerd.service", "systemd-networkd.service", "systemd-resolved.service"] {
        let state =
            text(tool("systemctl", "systemd").arg(format!("--root={}", root.display())).args(["is-enabled", unit]));
        assert_eq!(state.trim(), "enabled", "{unit}");
    }
}
