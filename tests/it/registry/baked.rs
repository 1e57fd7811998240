//! Images of every kind in one node: baked by kiln, read by skopeo.

use super::distribution::image;
use super::pulling::with_password;
use super::run;
use crate::registry::worker;
use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

#[test]
fn an_image_contains_the_profiles_images_and_each_blob_once() {
    worker::kubelet();
    let directory = tempfile::tempdir().expect("a directory");
    let root = directory.path();
    let (registry, config) = with_password(root);
    let source = image(root);
    registry.push(&source, "team/app:1", "oci", &config);
    let archive = root.join("app.tar");
    let target = format!("oci-archive:{}:2", archive.display());
    run("skopeo", "skopeo", &["copy", &source, &target]);

    let mut command = worker::kiln(root);
    let reference = registry.reference("team/app:1");
    let profile = format!(
        "extends: worker\nimages:\n  {reference}:\n    registry: {reference}\n  registry.test/app:2:\n    archive: {{file: {}}}\n",
        archive.display()
    );
    fs::write(root.join("profiles/site.yaml"), profile).expect("written");
    let out = root.join("out");
    command.env("DOCKER_CONFIG", root).args([
        "build",
        "site",
        "--release",
        "debian-1.20.2",
        "--output",
        "tar",
        "--out",
    ]);
    let output = command.arg(&out).output().expect("kiln starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let files = root.join("root");
    fs::create_dir(&files).expect("a directory");
    let (tar, to) = (out.join("root.tar.zst"), files.to_str().expect("a path"));
    let tar = tar.to_str().expect("a path");
    run("tar", "tar", &["--zstd", "-xf", tar, "-C", to, "usr/lib/kiln/images"]);
    let images = files.join("usr/lib/kiln/images");
    let list = fs::read_to_string(images.join("list")).expect("a list");
    let tar = images.join("images.tar");
    let tar = tar.to_str().expect("a path");
    // skopeo would give the files of an archive to root, which only root may.
    let layout = root.join("unpacked");
    fs::create_dir(&layout).expect("a directory");
    let layout = layout.to_str().expect("a path");
    run("tar", "tar", &["-xf", tar, "--no-same-owner", "-C", layout]);
    let mut digests = BTreeSet::new();
    for line in list.lines() {
        let (name, digest) = line.split_once(' ').expect("name and digest");
        let copy = format!("dir:{}", tempfile::tempdir_in(root).expect("a directory").path().display());
        // Reads every blob and compares it with its digest.
        run("skopeo", "skopeo", &["copy", "--preserve-digests", &format!("oci:{layout}:{name}"), &copy]);
        let inspected = run("skopeo", "skopeo", &["inspect", "--format", "{{.Digest}}", &copy]).stdout;
        assert_eq!(String::from_utf8_lossy(&inspected).trim(), digest, "{name}");
        digests.insert(digest);
    }
    let names: Vec<&str> = list.lines().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(names, [reference.as_str(), "registry.k8s.io/pause:3.2", "registry.test/app:2"]);
    // The same image from registry and archive, and pause: three blobs each.
    assert_eq!(digests.len(), 2, "{list}");
    let members = run("tar", "tar", &["-tf", tar]).stdout;
    let blobs = String::from_utf8_lossy(&members).lines().filter(|member| member.starts_with("blobs/sha256/")).count();
    assert_eq!(blobs, 6);

    // Passwords are not in files that others can read, and without a password no request is
    // repeated.
    let lock = root.join("profiles/site@debian-1.20.2.lock");
    let told =
        [fs::read_to_string(&lock).expect("a lock"), fs::read_to_string(out.join("manifest.json")).expect("read")];
    assert!(told.iter().all(|text| !text.contains("correct horse") && !text.contains("Y29ycmVjdCBob3JzZQ")));
    drop(registry);
    fs::remove_dir_all(&out).expect("removed");
    let mut offline: Command = worker::kiln(root);
    offline.args(["build", "site", "--release", "debian-1.20.2", "--output", "tar", "--locked", "--offline", "--out"]);
    let output = offline.arg(&out).output().expect("kiln starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
