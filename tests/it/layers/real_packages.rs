//! The packages of the shipped worker.

use crate::layers::opened::{self, Named};
use crate::layers::tools::{run, text, tool};
use crate::layers::{dpkg, listing, synthetic, worker};
use kiln_tree::Digest;
use serde::Deserialize;
use std::fs;
use std::path::Path;

/// The fields of `manifest.json` that the tests use.
#[derive(Deserialize)]
struct Manifest {
    inputs: Vec<Input>,
}

#[derive(Deserialize)]
struct Input {
    kind: String,
    name: String,
    version: String,
    sha256: Digest,
}

/// The paths in kiln's cache of the packages of `suite`'s worker, in the order of their names.
fn worker_packages(suite: &str) -> Vec<Named> {
    let place = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a temporary directory");
    let manifest = fs::read_to_string(worker::build_worker(place.path(), suite).join("manifest.json")).expect("read");
    let Manifest { inputs } = serde_json::from_str(&manifest).expect("a manifest");
    let packages = inputs.into_iter().filter(|input| input.kind == "package");
    packages
        .map(|Input { name, version, sha256: digest, .. }| {
            let hex = digest.to_string();
            let path = worker::test_cache().join("kiln/blobs").join(&hex[..2]).join(&hex);
            Named { name, version, digest, path }
        })
        .collect()
}

/// Copies the package at `deb` to `to` without its maintainer scripts and triggers; returns whether
/// it is essential.
fn without_scripts(deb: &Path, to: &Path) -> bool {
    let control = text(tool("dpkg-deb", "dpkg").arg("--field").arg(deb));
    let members = text(tool("ar", "binutils").arg("t").arg(deb));
    let name = members.lines().last().expect("data.tar");
    let data = run(tool("ar", "binutils").arg("p").arg(deb).arg(name)).stdout;
    let control_tar = synthetic::tar(&[synthetic::directory("./"), synthetic::file("./control", control.as_str())]);
    let parts: [(&str, &[u8]); 3] = [("debian-binary", b"2.0\n"), ("control.tar", &control_tar), (name, &data)];
    fs::write(to, synthetic::ar(&parts)).expect("written");
    control.contains("\nEssential: yes\n")
}

fn compare(suite: &str) {
    let packages = worker_packages(suite);
    let place = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a temporary directory");
    let mut debs = Vec::new();
    for package in &packages {
        let deb = place.path().join(format!("{}.deb", package.name));
        let is_essential = without_scripts(&package.path, &deb);
        debs.push((!is_essential, package.name.clone(), deb));
    }
    debs.sort();
    let debs: Vec<_> = debs.into_iter().map(|(.., deb)| deb).collect();
    let theirs = dpkg::unpack(&debs, &[]).expect("dpkg unpacks them");
    let store = opened::open(&worker::test_cache().join("kiln"), &packages);
    let tree = opened::tree(&store, &packages, &[]).expect("kiln unpacks them");
    let wrong = listing::differences(&listing::of(&tree), &theirs);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(theirs.len() > 5000, "{} paths", theirs.len());
}

#[test]
fn bookworms_are_unpacked_as_dpkg_does() {
    compare("bookworm");
}

#[test]
fn trixies_are_unpacked_as_dpkg_does() {
    compare("trixie");
}
