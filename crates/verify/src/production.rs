//! Whether an image is meant for production: overlays such as `debug` say of themselves that they are not.

use super::Allowed;
use super::report::{Check, Report};
use kiln_manifest::Manifest;

pub(super) fn check(manifest: &Manifest, allowed: &Allowed, report: &mut Report) {
    let overlays = &manifest.not_for_production;
    if allowed.debug && !overlays.is_empty() {
        let names: Vec<&str> = overlays.keys().map(String::as_str).collect();
        report.add(Check::new(
            "production",
            format!("allowed, though not for production: {}", names.join(", ")),
            vec![],
        ));
        return;
    }
    let finding =
        |(name, reason)| format!("overlay {name} is not for production: {reason}; \"--allow-debug\" accepts it");
    let findings = overlays.iter().map(finding).collect();
    report.add(Check::new("production", "no overlay says that it is not for production", findings));
}
