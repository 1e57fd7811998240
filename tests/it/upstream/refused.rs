//! Releases with wrong files: the error is one line that names the file and the remedy, and there
//! is no output.

use crate::upstream::archives::{sha256, stand_in, tar};
use crate::upstream::bench::Bench;
use crate::upstream::hub;
use crate::upstream::release::{self, Published, shipped};

/// A release of this one component; all others come from Debian and from this host.
const REST: &str = "  kubelet:\n    version: 1.20.2\n    file: ~/.cache/kiln-test/kubernetes-{version}/{arch}/kubelet\n    \
    install: /usr/bin/kubelet\npackages:\n  runc: runc\n  cni-plugins: containernetworking-plugins\n";

/// containerd without its `ctr`, as upstream would publish it.
fn containerd() -> Published {
    let files = ["containerd", "containerd-shim-runc-v2"].map(|name| (format!("bin/{name}"), stand_in(name)));
    Published::new("containerd", "2.3.4", "amd64", tar(&files, "bin", "gzip"))
}

#[test]
fn an_archive_without_a_member_is_rejected() {
    let bench = Bench::new();
    let published = [containerd()];
    let server = hub::start(release::files(&published));
    bench.release("bad", &(release::text(&published, &server, &[]) + REST));
    let said = bench.refuses("build", "bad", &["-o", "out"]);
    let (place, what) = said.split_once(": artifact ").expect("a place and what is wrong there");
    assert!(place.starts_with("kiln: ") && place.contains("bad.yaml:"), "{place}");
    assert_eq!(
        what,
        "containerd: its archive has no member \"bin/ctr\" to extract (it has bin, bin/containerd, \
         bin/containerd-shim-runc-v2); correct \"extract\" in the profile or release"
    );
}

/// Files that do not match the release's digest are rejected before they are used.
#[test]
fn wrong_contents_are_rejected() {
    let bench = Bench::new();
    let published = [containerd()];
    let (announced, served) = (sha256(&published[0].bytes), stand_in("something else"));
    let server = hub::start([(published[0].url.clone(), served.clone())].into());
    bench.release("bad", &(release::text(&published, &server, &[]) + REST));
    let said = bench.refuses("build", "bad", &["-o", "out"]);
    for part in ["containerd 2.3.4: ", &announced, &sha256(&served), "/containerd-2.3.4-linux-amd64.tar.gz"] {
        assert!(said.contains(part), "{part} is not in: {said}");
    }
    // The next attempt does not use them, either.
    assert_eq!(bench.refuses("build", "bad", &["-o", "out"]), said);
}

/// The error about a missing digest for the architecture names the line of the URL, before anything
/// is fetched.
#[test]
fn an_architecture_that_a_component_lacks_is_rejected() {
    let bench = Bench::new();
    let (before, after) = shipped().split_once("  runc:\n").map(|(a, b)| (a.to_owned(), b.to_owned())).expect("runc");
    let arm64 = after.lines().find(|line| line.trim_start().starts_with("arm64: ")).expect("a digest for arm64");
    bench.release("v1.36.4", &format!("{before}  runc:\n{}", after.replacen(&format!("{arm64}\n"), "", 1)));
    // The URL is two lines after "runc:"; its value begins in column 10.
    let line = before.lines().count() + 3;
    assert_eq!(
        bench.refuses("build", "v1.36.4", &["--arch", "arm64", "-o", "out"]),
        format!(
            "kiln: {}:{line}:10: components.runc: a url needs a sha256 for arm64 (there is one for amd64)",
            bench.path("profiles/releases/v1.36.4.yaml").display()
        )
    );
}
