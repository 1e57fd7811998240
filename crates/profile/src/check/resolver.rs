//! The source of pods' name servers: kubelet's `resolvConf`, and systemd-resolved, which writes the
//! file.
//!
//! Sources: systemd-resolved.service(8), /etc/resolv.conf; kubernetes.io: Debugging DNS Resolution,
//! Known issues.

use super::super::authority;
use super::super::key::fields;
use super::super::model::Profile;
use super::super::place::Fault;
use super::agree::kubelet_field;
use super::names;
use crate::kubelet::RESOLV_CONF as SERVERS;
use serde_json::Value;

/// Files that name systemd-resolved's stub. In an image, `/etc/resolv.conf` is a link to the first.
const STUBS: [&str; 3] =
    ["/run/systemd/resolve/stub-resolv.conf", "/usr/lib/systemd/resolv.conf", "/lib/systemd/resolv.conf"];
const LINK: &str = "/etc/resolv.conf";

pub(super) fn agree(profile: &Profile) -> Result<(), Fault> {
    let value = profile.kubelet.config.get("resolvConf").and_then(Value::as_str);
    // With an empty path, kubelet passes no name servers on.
    let Some(path) = value.filter(|path| !path.is_empty()) else { return Ok(()) };
    let fault = |why: String| {
        profile.places.fault(kubelet_field("resolvConf"), fields::KUBELET_CONFIG, why).by(authority::RESOLVER)
    };
    if !path.starts_with('/') {
        return Err(fault(format!(
            "resolvConf is {:?}, and must be an absolute path such as {SERVERS}, or \"\" for none",
            names::short(path)
        )));
    }
    let real = path.strip_prefix("/var").filter(|rest| rest.starts_with("/run/")).unwrap_or(path);
    if STUBS.contains(&real) || (real == LINK && !brings_link(profile)) {
        return Err(fault(format!(
            "resolvConf is {path}, which names systemd-resolved's stub, 127.0.0.53: no pod can reach it, and CoreDNS would query itself; \
             use {SERVERS}"
        )));
    }
    if real.starts_with("/run/systemd/resolve/") { resolved(path, profile) } else { Ok(()) }
}

/// Whether the profile replaces the link `/etc/resolv.conf`.
fn brings_link(profile: &Profile) -> bool {
    let below = LINK.trim_start_matches('/');
    profile.files.keys().any(|path| path.as_str() == below)
        || profile.overlays.iter().any(|overlay| overlay.join("rootfs").join(below).symlink_metadata().is_ok())
}

/// Checks that systemd-resolved is enabled: kubelet starts no pod without the file that it writes.
fn resolved(path: &str, profile: &Profile) -> Result<(), Fault> {
    const UNIT: &str = "systemd-resolved.service";
    let units = &profile.units;
    let word = match (units.mask.contains(UNIT), units.disable.contains(UNIT)) {
        (true, _) => "masked",
        (_, true) => "disabled",
        _ => return Ok(()),
    };
    let why = format!(
        "{UNIT} is {word}, and it writes {path}, resolvConf in kubelet.config; leave it enabled, or add a file \
         with the servers and name it"
    );
    Err(profile.places.fault(fields::UNIT_STATE.of(UNIT).at_name(), fields::UNITS_STATES, why).by(authority::RESOLVER))
}
