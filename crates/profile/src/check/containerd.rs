//! containerd's settings.

use super::super::key::fields;
use super::super::model::{Containerd, ContainerdSeries, Runtime};
use super::super::place::{At, Fault};
use super::super::raw::{RawContainerd, RawRuntime};
use super::super::suggest;
use super::{absolute, names, text, texts};
use kiln_url::Url;
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// runc's shim, the only one that can call a program other than runc.
const RUNC: &str = "io.containerd.runc.v2";

pub(super) fn containerd(raw: &RawContainerd, series: ContainerdSeries) -> Result<Containerd, Fault> {
    let RawContainerd { snapshotter, mirrors, runtimes, metrics } = raw;
    let mut endpoints = BTreeMap::new();
    for (host, urls) in mirrors {
        let name = text(host, fields::CONTAINERD_MIRRORS, names::registry)?;
        if urls.is_empty() {
            return Err(host.fault_of(fields::CONTAINERD_MIRRORS, format!("{name} has no endpoint")));
        }
        let urls: Vec<String> = texts(urls, fields::CONTAINERD_MIRRORS, names::url)?;
        endpoints.insert(name, urls.into_iter().map(Url::from).collect());
    }
    Ok(Containerd {
        snapshotter: match snapshotter {
            Some(name) => text(name, fields::CONTAINERD_SNAPSHOTTER, |name| built_in(name, series))?,
            None => "overlayfs".to_owned(),
        },
        mirrors: endpoints,
        runtimes: runtimes.iter().map(runtime).collect::<Result<_, _>>()?,
        metrics: metrics
            .as_ref()
            .map(|address| address.check(fields::CONTAINERD_METRICS, |text| socket(text)))
            .transpose()?,
    })
}

/// Snapshotters built into containerd that need no configuration (docs/snapshotters of containerd).
const SNAPSHOTTERS: [&str; 4] = ["overlayfs", "native", "btrfs", "zfs"];

/// With any other snapshotter the CRI plugin does not start, and neither does any pod.
fn built_in(text: &str, series: ContainerdSeries) -> Result<(), String> {
    match text {
        _ if SNAPSHOTTERS.contains(&text) => Ok(()),
        "erofs" if series == ContainerdSeries::V2 => Ok(()),
        "erofs" => Err("\"erofs\" is a snapshotter since containerd 2.1; use \"overlayfs\"".to_owned()),
        "overlay" | "overlay2" => {
            Err(format!("{text:?} is not a snapshotter of containerd; did you mean \"overlayfs\"?"))
        }
        _ => {
            let hint = match suggest::nearest(text, SNAPSHOTTERS) {
                Some(near) => format!("did you mean {near:?}?"),
                None => "any other needs a proxy plugin or settings of its own: add them with an overlay's \
                         /etc/containerd/config.toml, and leave this out"
                    .to_owned(),
            };
            Err(format!("{:?} is not one of {}; {hint}", names::short(text), SNAPSHOTTERS.join(", ")))
        }
    }
}

fn runtime((name, raw): (&At<String>, &At<RawRuntime>)) -> Result<(String, Runtime), Fault> {
    let name = text(name, fields::CONTAINERD_RUNTIMES, handler)?;
    let key = &fields::CONTAINERD_RUNTIME.of(&name);
    let RawRuntime { r#type, binary } = &raw.value;
    let shim = match r#type {
        Some(kind) => text(kind, key, shim)?,
        None => RUNC.to_owned(),
    };
    let binary = match binary {
        Some(path) if shim != RUNC => {
            return Err(path.fault_of(key, format!("\"binary\" is valid only with type {RUNC}")));
        }
        Some(path) => Some(format!("/{}", absolute(path, key)?)),
        None if shim == RUNC => {
            return Err(raw.fault_of(key, "would start runc again; name its program with \"binary\""));
        }
        None => None,
    };
    Ok((name, Runtime { shim, binary }))
}

/// A RuntimeClass's handler: a DNS label.
fn handler(text: &str) -> Result<(), String> {
    if text == "runc" {
        return Err("runc is already defined".to_owned());
    }
    match names::is_dns_label(text) {
        true => Ok(()),
        false => {
            Err(format!("{:?} is not a handler (at most 63 lower-case letters, digits and \"-\")", names::short(text)))
        }
    }
}

fn shim(text: &str) -> Result<(), String> {
    if matches!(text, "io.containerd.runtime.v1.linux" | "io.containerd.runc.v1") {
        return Err(format!("containerd 2.0 removed {text}; use {RUNC}"));
    }
    let valid =
        text.strip_prefix("io.containerd.").and_then(|rest| rest.rsplit_once(".v")).is_some_and(|(name, version)| {
            names::is_dns_label(name) && !version.is_empty() && version.bytes().all(|b| b.is_ascii_digit())
        });
    match valid {
        true => Ok(()),
        false => Err(format!("{:?} is not a shim's name, such as {RUNC:?}", names::short(text))),
    }
}

fn socket(text: &str) -> Result<SocketAddr, String> {
    // Port 0 would be a different, unknown port at each start.
    text.parse()
        .ok()
        .filter(|address: &SocketAddr| address.port() != 0)
        .ok_or_else(|| format!("{:?} is not an address and a port, such as \"127.0.0.1:1338\"", names::short(text)))
}
