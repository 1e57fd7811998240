//! Imported nodes, built, booted and queried.

use super::guest::{boot_and_ask, check_node};
use super::imported::{RELEASE, import, samples, written_by_kubeadm};
use super::judge::{configz, is_compared};
use super::worker;
use kiln::boot::{Handout, PxeSet};
use serde_json::Value;
use std::fs;

/// A node to import and boot.
struct Machine {
    sample: &'static str,
    files: &'static [&'static str],
    /// The arguments and the file that its kubelet is started with, and its cgroup driver.
    before: fn() -> (Vec<String>, Option<String>, &'static str),
}

const MACHINES: [Machine; 3] = [
    Machine {
        sample: "aks",
        files: &["kubelet.service", "10-containerd.conf", "10-bootstrap.conf", "kubelet"],
        before: || (argv("aks"), None, "cgroupfs"),
    },
    Machine {
        sample: "eks",
        files: &["kubelet.service", "10-kubelet-args.conf", "30-kubelet-extra-args.conf", "kubelet-config.json"],
        before: || (argv("eks"), Some(read("eks", "kubelet-config.json")), "cgroupfs"),
    },
    Machine {
        sample: "kubeadm",
        files: &["init-v1beta2.yaml"],
        before: || {
            let (argv, config) = written_by_kubeadm();
            (argv, Some(config), "systemd")
        },
    },
];

/// Fields that differ from the node's although the report does not list them.
const ELSEWHERE: [&str; 3] = [
    // kubelet stores its self-signed certificate in its own directory.
    "tlsCertFile",
    "tlsPrivateKeyFile",
    // Turned off by the flags of `questions.sh`, since nothing would sign the certificate.
    "serverTLSBootstrap",
];

fn read(sample: &str, name: &str) -> String {
    fs::read_to_string(samples().join(sample).join(name)).expect("a sample")
}

fn argv(sample: &str) -> Vec<String> {
    read(sample, "argv").lines().map(str::to_owned).collect()
}

/// Boots the node with forty flags, a cloud's node and kubeadm's.
#[test]
#[ignore = "make roles boots it"]
fn a_node_boots_with_the_configuration_it_had() {
    MACHINES.iter().for_each(boot);
}

fn boot(machine: &Machine) {
    let imported = import(machine.sample, machine.files, RELEASE);
    let (argv, config, cgroup_driver) = (machine.before)();
    let before = configz(&argv, config.as_deref(), cgroup_driver);

    let profiles = imported.directory.path().join("profiles");
    // With programs that query kubelet and containerd.
    let asking = "components: {kubectl: required}\ndebian: {packages: [curl]}\n";
    fs::write(profiles.join("imported.yaml"), &imported.text).expect("written");
    fs::write(profiles.join("asked.yaml"), format!("extends: imported\n{asking}")).expect("written");
    let out = imported.directory.path().join("out");
    let output = worker::kiln(imported.directory.path()).args(["build", "asked", "--out"]).arg(&out).output();
    let output = output.expect("kiln starts");
    assert!(output.status.success(), "{}: {}", machine.sample, String::from_utf8_lossy(&output.stderr));
    let set = PxeSet::open(&out).expect("a PXE set");
    let report = boot_and_ask(&set, Handout::none().standalone(), include_str!("../boot/questions.sh"));
    check_node(&report);
    report.check("unit kubelet", "active");
    let [running] = report.all("configz")[..] else { panic!("no /configz\n{}", report.console) };
    let running: Value = serde_json::from_str(running).expect("JSON");
    let running = running["kubeletconfig"].as_object().expect("an object");
    let told = imported.differing();
    for (field, value) in before.as_object().expect("an object") {
        if is_compared(field) && !told.contains(field) && !ELSEWHERE.contains(&field.as_str()) {
            assert_eq!(running.get(field), Some(value), "{}: {field}", machine.sample);
        }
    }
    assert_eq!(running["cgroupDriver"], "systemd", "{}", machine.sample);
}
