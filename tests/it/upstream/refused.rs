//! Releases whose files are not what they say: one line that names the file and the way out, and no
//! output.

use crate::upstream::archives::{sha256, stand_in, tar};
use crate::upstream::bench::Bench;
use crate::upstream::hub;
use crate::upstream::release::{self, Published, shipped};

/// A release of this one component; what else a node needs comes from Debian, and from this host.
const REST: &str = "  kubelet:\n    version: 1.20.2\n    file: ~/.cache/kiln-test/kubernetes-{version}/{arch}/kubelet\n    \
    install: /usr/bin/kubelet\npackages:\n  runc: runc\n  cni-plugins: containernetworking-plugins\n";

/// containerd without its `ctr`, as upstream would publish it.
fn containerd() -> Published {
    let files = ["containerd", "containerd-shim-runc-v2"].map(|name| (format!("bin/{name}"), stand_in(name)));
    Published::new("containerd", "2.3.4", "amd64", tar(&files, "bin", "gzip"))
}

#[test]
fn an_archive_without_a_member_is_refused() {
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

/// Other bytes than the release announces are refused before anything is made of them.
#[test]
fn wrong_bytes_are_refused() {
    let bench = Bench::new();
    let published = [containerd()];
    let (announced, served) = (sha256(&published[0].bytes), stand_in("something else"));
    let server = hub::start([(published[0].url.clone(), served.clone())].into());
    bench.release("bad", &(release::text(&published, &server, &[]) + REST));
    let said = bench.refuses("build", "bad", &["-o", "out"]);
    for part in ["containerd 2.3.4: ", &announced, &sha256(&served), "/containerd-2.3.4-linux-amd64.tar.gz"] {
        assert!(said.contains(part), "{part} is not in: {said}");
    }
    // The next attempt does not take them for the right ones, either.
    assert_eq!(bench.refuses("build", "bad", &["-o", "out"]), said);
}

/// A digest that a release lacks for the architecture wanted, at the URL it is for, before anything
/// is fetched.
#[test]
fn an_architecture_that_a_component_lacks_is_refused() {
    let bench = Bench::new();
    let (before, after) = shipped().split_once("  runc:\n").map(|(a, b)| (a.to_owned(), b.to_owned())).expect("runc");
    let arm64 = after.lines().find(|line| line.trim_start().starts_with("arm64: ")).expect("a digest for arm64");
    bench.release("v1.36.4", &format!("{before}  runc:\n{}", after.replacen(&format!("{arm64}\n"), "", 1)));
    // The line of the URL is two after that of "runc:"; its value begins in column 10.
    let line = before.lines().count() + 3;
    assert_eq!(
        bench.refuses("build", "v1.36.4", &["--arch", "arm64", "-o", "out"]),
        format!(
            "kiln: {}:{line}:10: components.runc: a url needs a sha256 for arm64 (there is one for amd64)",
            bench.path("profiles/releases/v1.36.4.yaml").display()
        )
    );
}
