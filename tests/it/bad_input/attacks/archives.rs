//! Archives with the right digest and hostile contents.

use super::{Answer, Attacks, damaged};
use crate::bad_input::site::{self, Keys, Site};
use crate::bad_input::synthetic::{Member, directory, file, gzip, hardlink, symlink, tar};
use kiln_tree::Digest;
use std::fs;

/// Names that leave the tree, deceive who reads them, or are not names.
const NAMES: [&str; 26] = [
    "../evil",
    "/../evil",
    "a/../../evil",
    "./../evil",
    "..",
    ".",
    "/",
    "",
    "a//b",
    "a/./b",
    "a/",
    "/etc/shadow",
    "//etc/shadow",
    "etc/passwd/x",
    "a\u{1b}[2J",
    "a\nb",
    "a\rb",
    "a\u{202e}b",
    "a\u{7f}",
    "\u{feff}a",
    " a ",
    "-rf",
    "~/.ssh/authorized_keys",
    "proc/self/mem",
    "dev/sda",
    "usr/bin/kubelet",
];

/// The archive as the artifact `tool`, extracted as a whole to `/opt/tool`.
fn offer(site: &Site, profile: &str, bytes: &[u8]) {
    let digest = Digest::of(bytes);
    site.answer("/tool.tar.gz", site::Answer::Good(bytes.to_vec()));
    let url = format!("{}/tool.tar.gz", site.mirror());
    site.write(
        "profiles/worker.yaml",
        format!("{profile}artifacts: {{tool: {{version: \"1\", url: \"{url}\", sha256: {{all: {digest}}}, extract: {{.: /opt/tool}}}}}}\n"),
    );
    let _ = fs::remove_dir_all(site.path("out/worker"));
}

#[test]
fn members_with_hostile_names_links_and_types() {
    let keys = Keys::new();
    let site = Site::new(&keys, &[]);
    let profile = site.read("profiles/worker.yaml");
    let mut attacks = Attacks::of("archives");
    let mut archives: Vec<(String, Vec<Member>)> = Vec::new();
    for name in NAMES {
        archives.push((format!("file {name:?}"), vec![file(name, "evil")]));
        archives.push((format!("directory {name:?}"), vec![directory(name), file("good", "x")]));
        archives.push((format!("link to {name:?}"), vec![symlink("link", name), file("link/evil", "x")]));
        archives.push((format!("hard link to {name:?}"), vec![file("good", "x"), hardlink("link", name)]));
        archives
            .push((format!("{name:?} twice"), vec![file(name, "first"), symlink(name, "/etc"), file(name, "last")]));
    }
    for (what, members) in archives {
        if !attacks.next() {
            continue;
        }
        offer(&site, &profile, &gzip(&tar(&members)));
        let (answer, _) = attacks.run(&what, &mut site.build(&[]));
        if answer == Answer::Succeeded {
            // Whatever was accepted is below its directory, and is told without control characters.
            let listed = site::succeeds(&mut site.kiln(&["inspect", "out/worker"]));
            assert!(
                !listed.contains("evil\n") || !listed.lines().any(|line| line.ends_with(" evil")),
                "{what}: {listed}"
            );
            assert!(!listed.chars().any(|char| char.is_control() && char != '\n'), "{what}: {listed:?}");
        }
        assert!(!site.path("evil").exists() && !site.path("out/evil").exists(), "{what}");
    }
    let good = tar(&[directory("d/"), file("d/a", vec![7; 2000]), symlink("d/l", "a"), hardlink("d/h", "d/a")]);
    for (what, bytes) in damaged(&good, 60) {
        if attacks.next() {
            offer(&site, &profile, &gzip(&bytes));
            attacks.run(&what, &mut site.build(&[]));
        }
    }
    for (what, bytes) in damaged(&gzip(&good), 30) {
        if attacks.next() {
            offer(&site, &profile, &bytes);
            attacks.run(&what, &mut site.build(&[]));
        }
    }
    attacks.end(220);
}
