//! cri-dockerd: Docker Engine behind the CRI, in place of containerd's own plugin.
//!
//! Sources: `packaging/systemd` and `config/options.go` of cri-dockerd 0.3; "Docker Engine" on
//! Kubernetes' page about container runtimes; dockerd(8). The packages are Debian's docker.io and
//! its dependencies, which include containerd and runc.

use super::{RenderError, Rendered, program};
use kiln_kubernetes::kubelet_config;
use kiln_profile::Profile;
use kiln_tree::FileTree;
use serde_json::{Value, json};

const BY: &str = "cri-dockerd";
const SERVICE: &str = "usr/lib/systemd/system/cri-docker.service";
const SOCKET: &str = "usr/lib/systemd/system/cri-docker.socket";

pub(super) fn render(profile: &Profile, tree: &FileTree, rendered: &mut Rendered) -> Result<(), RenderError> {
    program(tree, "docker.io", "dockerd")?;
    rendered.file(BY, SERVICE, service(&program(tree, "cri-dockerd", "cri-dockerd")?, &profile.release.pause_image))?;
    rendered.file(BY, SOCKET, socket())?;
    rendered.file(BY, "etc/docker/daemon.json", format!("{:#}\n", daemon(profile)))?;
    // Both sockets belong to this group; docker.io's maintainer script would create it.
    rendered.file(BY, "usr/lib/sysusers.d/kiln-docker.conf", "g docker -\n")?;
    for (path, mode) in [("var/lib/docker", 0o710), ("var/lib/cri-dockerd", 0o700)] {
        rendered.directory(BY, path, mode)?;
    }
    rendered.file(
        BY,
        "usr/lib/tmpfiles.d/kiln-docker.conf",
        "d /var/lib/docker 0710 root root -\nd /var/lib/cri-dockerd 0700 root root -\n",
    )
}

/// Upstream's cri-docker.service, with the flags for the network and the pause image.
fn service(cri_dockerd: &str, pause: &str) -> String {
    format!(
        "\
[Unit]
Description=CRI Interface for Docker Application Container Engine
Documentation=https://docs.mirantis.com
After=network-online.target firewalld.service docker.service
Wants=network-online.target docker.service
Requires=cri-docker.socket
StartLimitBurst=3
StartLimitIntervalSec=60s

[Service]
Type=notify
ExecStart={cri_dockerd} --container-runtime-endpoint fd:// --network-plugin=cni --cni-conf-dir=/etc/cni/net.d \
         --cni-bin-dir=/opt/cni/bin --cni-cache-dir=/var/lib/cni/cache --pod-infra-container-image={pause}
ExecReload=/bin/kill -s HUP $MAINPID
TimeoutSec=0
RestartSec=2
Restart=always
LimitNOFILE=infinity
LimitNPROC=infinity
LimitCORE=infinity
TasksMax=infinity
Delegate=yes
KillMode=process

[Install]
WantedBy=multi-user.target
"
    )
}

/// Upstream's cri-docker.socket.
fn socket() -> &'static str {
    "\
[Unit]
Description=CRI Docker Socket for the API
PartOf=cri-docker.service

[Socket]
ListenStream=%t/cri-dockerd.sock
SocketMode=0660
SocketUser=root
SocketGroup=docker

[Install]
WantedBy=sockets.target
"
}

/// dockerd as kubelet needs it: one owner of the control groups, and pods' networks left to CNI.
fn daemon(profile: &Profile) -> Value {
    json!({
        // Must match cgroupDriver in /var/lib/kubelet/config.yaml.
        "exec-opts": ["native.cgroupdriver=systemd"],
        "storage-driver": "overlay2",
        // No docker0, no policy that drops forwarded pod traffic, no proxy to pods' ports: all
        // containers belong to pods, and CNI's plugins write the rules.
        "bridge": "none",
        "iptables": false,
        "ip6tables": false,
        "userland-proxy": false,
        // Containers survive a restart of dockerd, as they survive one of containerd.
        "live-restore": true,
        // kubelet reads no other driver's logs and cannot rotate these, so dockerd rotates them by
        // kubelet's own limits.
        "log-driver": "json-file",
        "log-opts": { "max-size": log_size(profile), "max-file": log_files(profile) },
    })
}

/// `10Mi` is `10m` to Docker.
fn log_size(profile: &Profile) -> String {
    let size = limit(profile, "containerLogMaxSize");
    size.as_str().unwrap_or_default().trim_end_matches('i').to_lowercase()
}

fn log_files(profile: &Profile) -> String {
    limit(profile, "containerLogMaxFiles").to_string()
}

/// The limit that kubelet would use.
fn limit(profile: &Profile, field: &str) -> Value {
    kubelet_config::effective(&profile.kubelet.config, field, profile.release.kubernetes.minor)
}
