//! `kiln verify` finds nothing in the shipped worker, and `kiln diff` shows the changes between
//! suites.

use crate::image::shared::{SUITES, built};
use crate::image::tools::run;
use serde_json::Value;
use std::process::Command;

fn kiln(verb: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kiln"));
    command.arg(verb);
    command
}

/// In 376 MB, nothing is mistaken for a secret, and no privileged program is unexpected.
#[test]
fn the_shipped_worker_passes_every_check() {
    for suite in SUITES {
        let built = built(suite);
        let output = run(kiln("verify").arg(built.out()).arg("--json"));
        let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let checks = report["checks"].as_array().expect("checks");
        let names: Vec<&str> = checks.iter().filter_map(|check| check["name"].as_str()).collect();
        for name in ["manifest", "sums", "outputs", "kernel", "cmdline", "initramfs", "secrets", "privileges"] {
            assert!(names.contains(&name), "{suite} has no check {name}: {names:?}");
        }
        let privileges = checks.iter().find(|check| check["name"] == "privileges").expect("privileges");
        // mount, su, passwd and others; finding some proves that the search works.
        let count = privileges["what"].as_str().and_then(|what| what.split(' ').next()).expect("a number");
        assert!(count.parse::<u32>().expect("a number") >= 8, "{privileges}");
    }
}

#[test]
fn suites_differ_as_their_manifests_say() {
    let [trixie, bookworm] = SUITES.map(built);
    let mut command = kiln("diff");
    let output = command.arg(trixie.out()).arg(bookworm.out()).arg("--json").output().expect("kiln runs");
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let sections = report["changes"]["sections"].as_array().expect("sections");
    let section = |name: &str| {
        let found = sections.iter().find(|section| section["name"] == name);
        found.and_then(|section| section["changes"].as_array()).unwrap_or_else(|| panic!("no {name}"))
    };
    let version = |built: &crate::image::shared::Built, name: &str| {
        let input = built.manifest.inputs.iter().find(|input| input.name == name);
        input.map(|input| input.version.clone()).unwrap_or_else(|| panic!("no {name}"))
    };
    let systemd = section("packages").iter().find(|change| change["name"] == "systemd").expect("systemd");
    assert_eq!(systemd["old"].as_str(), Some(version(trixie, "systemd").as_str()));
    assert_eq!(systemd["new"].as_str(), Some(version(bookworm, "systemd").as_str()));
    assert!(section("kernel")[0]["old"].as_str().is_some_and(|version| version.starts_with("6.12.")));
    // containerd 1.6 and 1.7 have the same configuration; every path that only one of them has is
    // listed.
    let files = report["changes"]["files"].as_array().expect("files");
    let told = |change: &str| files.iter().filter(|file| file["change"] == change).count();
    let paths = |built: &crate::image::shared::Built| {
        let paths = built.manifest.files.iter().map(|record| record.path.clone());
        paths.collect::<std::collections::BTreeSet<_>>()
    };
    let (old, new) = (paths(trixie), paths(bookworm));
    assert_eq!((told("added"), told("removed")), (new.difference(&old).count(), old.difference(&new).count()));
    let units = files.iter().find(|file| file["path"] == "usr/lib/os-release").expect("os-release");
    assert!(units["text"].as_str().is_some_and(|text| text.contains("\n-VERSION_CODENAME=trixie\n")), "{units}");
    // The same image, read through its initramfs.
    let same = kiln("diff").arg(trixie.out()).arg(trixie.initramfs()).output().expect("kiln runs");
    assert_eq!(same.status.code(), Some(0), "{}", String::from_utf8_lossy(&same.stdout));
}
