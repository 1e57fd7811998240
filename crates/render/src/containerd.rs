//! containerd.
//!
//! Format: `version = 2` for 1.x, `version = 3` for 2.x (docs/cri/config.md of containerd), where
//! the CRI plugin is split into a runtime and an images half.

use super::{RenderError, Rendered, program};
use kiln_profile::{ContainerdSeries, Key, Profile, Runtime, fields};
use kiln_tree::FileTree;
use kiln_url::Url;
use std::fmt::Write as _;

const BY: &str = "containerd";
const UNIT: &str = "usr/lib/systemd/system/containerd.service";

pub(super) fn render(profile: &Profile, tree: &FileTree, rendered: &mut Rendered) -> Result<(), RenderError> {
    let containerd = program(tree, "containerd", "containerd")?;
    program(tree, "runc", "runc")?;
    rendered.file(BY, "etc/containerd/config.toml", config(profile)?)?;
    for (host, endpoints) in &profile.containerd.mirrors {
        hosts(host, endpoints, rendered)?;
    }
    if !tree.contains(UNIT) {
        rendered.file(BY, UNIT, unit(&containerd))?;
    }
    Ok(())
}

/// Upstream's containerd.service.
fn unit(containerd: &str) -> String {
    format!(
        "\
[Unit]
Description=containerd container runtime
Documentation=https://containerd.io
After=network.target dbus.service local-fs.target

[Service]
ExecStartPre=-/usr/sbin/modprobe overlay
ExecStart={containerd}
Type=notify
Delegate=yes
KillMode=process
Restart=always
RestartSec=5
LimitNPROC=infinity
LimitCORE=infinity
LimitNOFILE=infinity
TasksMax=infinity
OOMScoreAdjust=-999

[Install]
WantedBy=multi-user.target
"
    )
}

fn config(profile: &Profile) -> Result<String, RenderError> {
    let pause = string(fields::RELEASE_PAUSE_IMAGE, &profile.release.pause_image)?;
    let snapshotter = string(fields::CONTAINERD_SNAPSHOTTER, &profile.containerd.snapshotter)?;
    // bin_dir is deprecated since 2.1 and will be removed in 2.3 (RELEASES.md of containerd). 2.0
    // ignores bin_dirs, and its default is the same.
    let (version, runtime, plugins) = match profile.release.containerd {
        ContainerdSeries::V1 => (2, "io.containerd.grpc.v1.cri", "bin_dir = \"/opt/cni/bin\""),
        ContainerdSeries::V2 => (3, "io.containerd.cri.v1.runtime", "bin_dirs = [\"/opt/cni/bin\"]"),
    };
    let registry = "config_path = \"/etc/containerd/certs.d\"";
    let images = match profile.release.containerd {
        ContainerdSeries::V1 => format!(
            "[plugins.\"{runtime}\"]\nsandbox_image = {pause}\n\n[plugins.\"{runtime}\".registry]\n{registry}\n\n\
             [plugins.\"{runtime}\".containerd]\nsnapshotter = {snapshotter}\n"
        ),
        ContainerdSeries::V2 => {
            let images = "io.containerd.cri.v1.images";
            format!(
                "[plugins.\"{images}\"]\nsnapshotter = {snapshotter}\n\n[plugins.\"{images}\".pinned_images]\n\
                 sandbox = {pause}\n\n[plugins.\"{images}\".registry]\n{registry}\n"
            )
        }
    };
    let mut text = format!(
        "\
# containerd, its CRI plugin as kubelet wants it; everything else is containerd's default.
version = {version}

{images}
[plugins.\"{runtime}\".cni]
{plugins}
conf_dir = \"/etc/cni/net.d\"

[plugins.\"{runtime}\".containerd.runtimes.runc]
runtime_type = \"io.containerd.runc.v2\"

# As cgroupDriver in /var/lib/kubelet/config.yaml.
[plugins.\"{runtime}\".containerd.runtimes.runc.options]
SystemdCgroup = true

# The default, /opt/containerd, may be read-only.
[plugins.\"io.containerd.internal.v1.opt\"]
path = \"/var/lib/containerd/opt\"
"
    );
    for (handler, Runtime { shim, binary }) in &profile.containerd.runtimes {
        let key = &fields::CONTAINERD_RUNTIME.of(handler);
        // A handler is a DNS label, which needs no quotes.
        let table = format!("plugins.\"{runtime}\".containerd.runtimes.{handler}");
        write!(text, "\n[{table}]\nruntime_type = {}\n", string(key, shim)?).ok();
        if let Some(binary) = binary {
            let binary = string(key, binary)?;
            write!(text, "\n[{table}.options]\nBinaryName = {binary}\nSystemdCgroup = true\n").ok();
        }
    }
    if let Some(address) = profile.containerd.metrics {
        write!(text, "\n[metrics]\naddress = \"{address}\"\n").ok();
    }
    Ok(text)
}

/// `certs.d/<host>/hosts.toml` (docs/hosts.md of containerd): mirrors in order, then the registry
/// itself.
fn hosts(host: &str, endpoints: &[Url], rendered: &mut Rendered) -> Result<(), RenderError> {
    let mirror = &fields::CONTAINERD_MIRROR.of(host);
    if host.is_empty()
        || host.contains(|c: char| !(c.is_ascii_alphanumeric() || ".-_:[]".contains(c)))
        || host.starts_with('.')
    {
        let why = "is not a registry's host name (or _default)";
        return Err(RenderError::BadValue { key: mirror.clone().at_name(), value: host.into(), why });
    }
    let mut text = String::new();
    match host {
        "_default" => {}
        "docker.io" => text.push_str("server = \"https://registry-1.docker.io\"\n"),
        _ => {
            writeln!(text, "server = \"https://{host}\"").ok();
        }
    }
    for endpoint in endpoints {
        let endpoint = endpoint.expose();
        let key = string(mirror, endpoint)?;
        write!(text, "\n[host.{key}]\ncapabilities = [\"pull\", \"resolve\"]\n").ok();
        if has_api_path(endpoint) {
            text.push_str("override_path = true\n");
        }
    }
    rendered.file(BY, &format!("etc/containerd/certs.d/{host}/hosts.toml"), text)
}

/// Whether the API's `/v2` is inside the URL's path, as for a Harbor project: containerd would
/// append a second one.
fn has_api_path(endpoint: &str) -> bool {
    let path = endpoint.split_once("://").and_then(|(_, rest)| rest.split_once('/')).map_or("", |(_, path)| path);
    let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    segments.split_last().is_some_and(|(_, before)| before.contains(&"v2"))
}

/// Formats a TOML basic string.
fn string(key: impl Into<Key>, text: &str) -> Result<String, RenderError> {
    if text.is_empty() || text.contains(|c: char| c.is_control() || c.is_whitespace()) {
        let why = "is not one word";
        return Err(RenderError::BadValue { key: key.into(), value: text.into(), why });
    }
    Ok(format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")))
}
