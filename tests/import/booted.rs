//! The forty flags as a machine: imported, built, booted, asked.

use super::guest::{boot_and_ask, check_node};
use super::imported::{RELEASE, import, samples};
use super::judge::{configz, is_compared};
use super::worker;
use kiln::boot::{Handout, PxeSet};
use serde_json::Value;
use std::fs;

#[test]
fn a_managed_service_s_node_boots_with_the_configuration_it_had() {
    let aks = import("aks", &["kubelet.service", "10-containerd.conf", "10-bootstrap.conf", "kubelet"], RELEASE);
    let argv = fs::read_to_string(samples().join("aks/argv")).expect("a sample");
    let argv: Vec<String> = argv.lines().map(str::to_owned).collect();
    let before = configz(&argv, None, "cgroupfs");

    let profiles = aks.directory.path().join("profiles");
    // With a program to ask kubelet with.
    let asking = format!("{}\ncomponents:\n  kubectl: required\n", aks.text);
    fs::write(profiles.join("asked.yaml"), asking).expect("written");
    let out = aks.directory.path().join("out");
    let output = worker::kiln(aks.directory.path()).args(["build", "asked", "--out"]).arg(&out).output();
    let output = output.expect("kiln starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let set = PxeSet::open(&out).expect("a PXE set");
    let report = boot_and_ask(&set, Handout::none().standalone(), include_str!("../boot/questions.sh"));
    check_node(&report);
    report.check("unit kubelet", "active");
    let [running] = report.all("configz")[..] else { panic!("no /configz\n{}", report.console) };
    let running: Value = serde_json::from_str(running).expect("JSON");
    let running = running["kubeletconfig"].as_object().expect("an object");
    let told = aks.differing();
    for (field, value) in before.as_object().expect("an object") {
        // The files in which kubelet keeps the certificate that it signs itself are where its directory is.
        if is_compared(field)
            && !told.contains(field)
            && !["tlsCertFile", "tlsPrivateKeyFile"].contains(&field.as_str())
        {
            assert_eq!(running.get(field), Some(value), "{field}");
        }
    }
    assert_eq!(running["cgroupDriver"], "systemd");
}
