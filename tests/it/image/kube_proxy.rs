//! A worker with kube-proxy as a service: the image contains the programs that kube-proxy runs,
//! kube-proxy accepts its configuration, and systemd accepts its unit.

use crate::image::extracted::extract;
use crate::image::manifest::Manifest;
use crate::image::shared::{DISK, kiln, scratch};
use crate::image::tools::{run, text, tool};
use crate::image::unit_files::check_units;
use std::fs;
use std::path::Path;
use std::process::Command;

#[test]
fn a_baked_kube_proxy_of_iptables() {
    bake("mode: iptables", &["usr/sbin/iptables", "usr/sbin/iptables-restore"], &["nf_conntrack"]);
}

#[test]
fn a_baked_kube_proxy_of_ipvs() {
    let config = "mode: ipvs, ipvs: {scheduler: wlc}, clientConnection: {kubeconfig: /srv/proxy.conf}";
    let programs = ["usr/sbin/iptables", "usr/sbin/iptables-restore", "usr/sbin/ipset"];
    bake(config, &programs, &["nf_conntrack", "ip_set", "ip_vs", "ip_vs_rr", "ip_vs_wrr", "ip_vs_sh", "ip_vs_wlc"]);
}

/// Bakes a worker with this `config` of kube-proxy, and checks for the programs and modules that it
/// needs.
fn bake(config: &str, programs: &[&str], modules: &[&str]) {
    let directory = scratch(Path::new(DISK));
    let mut command = kiln(directory.path());
    let role = format!("extends: worker\ncomponents: {{kube-proxy: required}}\nkubeProxy: {{config: {{{config}}}}}\n");
    fs::write(directory.path().join("profiles/proxied.yaml"), role).expect("written");
    run(command
        .args(["build", "proxied", "--release", "debian-1.20.2", "--suite", "trixie"])
        .args(["--output", "pxe", "--out", "out"]));
    let (out, root) = (directory.path().join("out"), directory.path().join("root"));
    fs::create_dir(&root).expect("a directory");
    extract(&out.join("pxe/initramfs.cpio.zst"), &root);
    let manifest = Manifest::read(&out);

    let units = check_units(&manifest, &root);
    assert!(units.contains("kube-proxy.service"), "{units:?}");
    let enabled = text(
        tool("systemctl", "systemd")
            .arg(format!("--root={}", root.display()))
            .args(["is-enabled", "kube-proxy.service"]),
    );
    assert_eq!(enabled.trim(), "enabled");
    let unit = fs::read_to_string(root.join("usr/lib/systemd/system/kube-proxy.service")).expect("a unit");
    let kubeconfig = if config.contains("/srv") { "/srv/proxy.conf" } else { "/etc/kubernetes/kube-proxy.conf" };
    assert!(unit.contains(&format!("\nConditionPathExists={kubeconfig}\n")), "{unit}");

    for program in programs {
        check_program(&root, program);
    }
    let loaded = fs::read_to_string(root.join("usr/lib/modules-load.d/kiln.conf")).expect("modules");
    for module in modules {
        let file = format!("/{module}.ko");
        assert!(loaded.lines().any(|line| line == *module), "{module} is not loaded:\n{loaded}");
        assert!(manifest.files.iter().any(|record| record.path.contains(&file)), "{module} is not in the image");
    }

    // Runs the image's program. It validates its configuration before it reads its kubeconfig,
    // which is missing.
    let mut proxy = Command::new(root.join("usr/bin/kube-proxy"));
    let said = proxy.arg("--config").arg(root.join("etc/kube-proxy/config.yaml")).output().expect("it starts").stderr;
    let said = String::from_utf8_lossy(&said);
    let last = said.lines().find(|line| line.starts_with('F')).unwrap_or_default();
    assert!(last.contains(kubeconfig) && last.contains("no such file"), "{said}");
    assert!(!said.contains("unknown field"), "{said}");
}

/// Checks that `program`, with links followed within the image, is an executable file.
fn check_program(root: &Path, program: &str) {
    let mut path = root.join(program);
    for _ in 0..8 {
        let Ok(target) = fs::read_link(&path) else { break };
        path = match target.strip_prefix("/") {
            Ok(absolute) => root.join(absolute),
            Err(_) => path.parent().expect("a parent").join(target),
        };
    }
    assert!(path.is_file() && path.starts_with(root), "/{program} leads to {}", path.display());
}
