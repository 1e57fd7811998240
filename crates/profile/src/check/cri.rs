//! The program that serves the CRI, and what the image needs for it.

use super::super::key::fields;
use super::super::model::{Cri, Profile, Release};
use super::super::place::{At, Fault};
use super::super::raw::RawContainerd;
use super::debian;

/// Units, in the order in which they start.
const UNITS: [&str; 3] = ["docker.service", "cri-docker.socket", "cri-docker.service"];

pub(super) fn cri(
    raw: Option<&At<Cri>>,
    release: &Release,
    containerd: &RawContainerd,
    image: Option<&At<String>>,
) -> Result<Cri, Fault> {
    let Some(cri) = raw.filter(|cri| cri.value == Cri::CriDockerd) else { return Ok(Cri::Containerd) };
    let minor = release.kubernetes.minor;
    if !minor.supports_cri_dockerd() {
        return Err(cri.fault_of(fields::CRI, format!(
            "cri-dockerd speaks v1 of the CRI and needs Kubernetes 1.24 or later, and this is 1.{minor}; leave it out"
        )));
    }
    if !release.components.contains_key("cri-dockerd") {
        return Err(cri.fault_of(
            fields::CRI,
            "the image has no cri-dockerd; add \"cri-dockerd: required\" to components; if the \
             release has no component cri-dockerd, add it there (v1.36.4 shows how)",
        ));
    }
    if let Some(name) = ["containerd", "runc"].into_iter().find(|name| release.components.contains_key(*name)) {
        return Err(cri.fault_of(fields::CRI, format!(
            "Debian's docker.io comes with its own containerd and runc, and the release has {name} as well; add to components \
             \"containerd: omitted\" and \"runc: omitted\""
        )));
    }
    let RawContainerd { snapshotter: _, mirrors, runtimes, metrics } = containerd;
    let set = [
        (fields::CONTAINERD_MIRRORS, mirrors.keys().next().map(|key| key.pos)),
        (fields::CONTAINERD_RUNTIMES, runtimes.keys().next().map(|key| key.pos)),
        (fields::CONTAINERD_METRICS, metrics.as_ref().map(|metrics| metrics.pos)),
    ];
    if let Some((key, pos)) = set.into_iter().find_map(|(key, pos)| Some((key, pos?))) {
        return Err(pos.fault_of(
            key,
            "cri-dockerd uses dockerd, which does not read it; set it in /etc/docker/daemon.json with an overlay, or leave cri out",
        ));
    }
    if let Some(image) = image {
        return Err(image.fault_of(
            fields::CONTAINER_IMAGES,
            "images are imported into containerd, where dockerd does not look for them; leave out one of images and cri",
        ));
    }
    Ok(cri.value)
}

/// Adds Docker Engine, and enables the units that kiln renders for it, which Debian's package does
/// not enable.
pub(super) fn provide(profile: &mut Profile) {
    if profile.cri != Cri::CriDockerd {
        return;
    }
    debian::provide(&mut profile.debian, "docker.io");
    for unit in UNITS {
        if !profile.units.disable.contains(unit) && !profile.units.mask.contains(unit) {
            profile.units.enable.insert(unit.to_owned());
        }
    }
}
