//! Where pods' name servers come from: kubelet's `resolvConf`, and systemd-resolved, which writes the file.
//!
//! Sources: systemd-resolved.service(8), /etc/resolv.conf; kubernetes.io: Debugging DNS Resolution, Known issues.

use super::super::model::Profile;
use super::super::place::Fault;
use super::super::raw::UnitState;
use super::agree::Places;
use super::names;
use crate::kubelet::RESOLV_CONF as SERVERS;

/// Files that name resolved's stub. In an image `/etc/resolv.conf` is a link to the first.
const STUBS: [&str; 3] =
    ["/run/systemd/resolve/stub-resolv.conf", "/usr/lib/systemd/resolv.conf", "/lib/systemd/resolv.conf"];
const LINK: &str = "/etc/resolv.conf";

pub(super) fn agree(profile: &Profile, places: &Places<'_>) -> Result<(), Fault> {
    let Some(field) = places.field("resolvConf") else { return Ok(()) };
    let value = field.value.value();
    // kubelet passes nothing on then.
    let Some(path) = value.as_str().filter(|path| !path.is_empty()) else { return Ok(()) };
    if !path.starts_with('/') {
        return Err(field.fault(format!(
            "kubelet.config: resolvConf is {:?}, and must be an absolute path such as {SERVERS}, or \"\" for none",
            names::short(path)
        )));
    }
    let real = path.strip_prefix("/var").filter(|rest| rest.starts_with("/run/")).unwrap_or(path);
    if STUBS.contains(&real) || (real == LINK && !brings_link(profile)) {
        return Err(field.fault(format!(
            "kubelet.config: resolvConf is {path}, which names systemd-resolved's stub, 127.0.0.53: no pod reaches it, and CoreDNS asks itself; \
             take {SERVERS}"
        )));
    }
    if real.starts_with("/run/systemd/resolve/") { resolved(path, places) } else { Ok(()) }
}

/// Whether the profile has a file of its own in the link's place.
fn brings_link(profile: &Profile) -> bool {
    let below = LINK.trim_start_matches('/');
    profile.files.keys().any(|path| path.as_str() == below)
        || profile.overlays.iter().any(|overlay| overlay.join(below).symlink_metadata().is_ok())
}

/// Nobody would write the file, and kubelet starts no pod without it.
fn resolved(path: &str, places: &Places<'_>) -> Result<(), Fault> {
    let unit =
        places.units.states.iter().find(|(name, _)| name.value.trim_end_matches('?') == "systemd-resolved.service");
    let word = match unit.map(|(_, state)| state.value) {
        Some(UnitState::Masked) => "masked",
        Some(UnitState::Disabled) => "disabled",
        _ => return Ok(()),
    };
    let pos = unit.map_or(places.release.pos, |(name, _)| name.pos);
    Err(pos.fault(format!(
        "units.states: systemd-resolved.service is {word}, and it writes {path}, resolvConf in kubelet.config; leave it enabled, or bring a file \
         with the servers and name that"
    )))
}
