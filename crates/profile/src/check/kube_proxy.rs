//! kube-proxy as a service of the node, and what follows from its mode.

use super::super::authority;
use super::super::json;
use super::super::key::fields;
use super::super::model::{KubeProxy, Profile, Release};
use super::super::place::{At, Fault};
use super::super::raw::RawKubeProxy;
use super::{debian, managed};
use kiln_kubernetes::kube_proxy_config::{self, Mode};

/// Fields that kiln writes itself, and what to use instead.
const MANAGED_FIELDS: [(&str, &str); 3] = [
    ("apiVersion", "kiln writes it"),
    ("kind", "kiln writes it"),
    ("hostnameOverride", "it differs per node, set it in /etc/default/kube-proxy"),
];

pub(super) fn kube_proxy(raw: &At<RawKubeProxy>, release: &Release) -> Result<KubeProxy, Fault> {
    let RawKubeProxy { config } = &raw.value;
    if !release.components.contains_key("kube-proxy") {
        return Err(raw.fault_of(
            fields::KUBE_PROXY,
            "there is no kube-proxy in the image; add \"kube-proxy: required\" to components",
        ));
    }
    for key in config.keys() {
        managed(key, fields::KUBE_PROXY_CONFIG, &MANAGED_FIELDS)?;
    }
    let fields = json::object(config);
    kube_proxy_config::check(&fields, release.kubernetes.minor).map_err(|misfit| {
        let pos = json::place(config, &misfit).unwrap_or(raw.pos);
        let rule = authority::of_field(&misfit, authority::KUBE_PROXY);
        pos.fault_of(fields::KUBE_PROXY_CONFIG, misfit.to_string()).by(rule)
    })?;
    Ok(KubeProxy { mode: Mode::of(&fields), config: fields })
}

/// Adds the packages, the modules and the unit that kube-proxy needs.
pub(super) fn provide(profile: &mut Profile) {
    let Some(KubeProxy { config, mode }) = &profile.kube_proxy else { return };
    mode.packages().iter().for_each(|name| debian::provide(&mut profile.debian, name));
    for module in mode.modules(config) {
        if !profile.kernel.modules_keep.is_empty() && !profile.kernel.modules_keep.contains(&module) {
            profile.kernel.modules_keep.push(module.clone());
        }
        profile.kernel.modules_load.insert(module);
    }
    let unit = "kube-proxy.service";
    if !profile.units.disable.contains(unit) && !profile.units.mask.contains(unit) {
        profile.units.enable.insert(unit.to_owned());
    }
}
