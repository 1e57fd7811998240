//! Workers booted, with kubelet and without.

use crate::boot::guest::{Report, boot, boot_and_ask, check_node};
use crate::boot::worker;
use kiln::boot::{Handout, PxeSet};
use kiln_init::xattrs::{self, Xattr};
use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;

/// Checks a worker of `suite` whose kubelet is standalone.
fn check_healthy(suite: &str, report: &Report) {
    if std::env::var_os("KILN_BOOT_SHOW").is_some() {
        println!("{}", report.lines.join("\n"));
    }
    check_node(report);
    report.check("unit kubelet", "active");
    let (containerd, healthz) = (report.number("containerd-active"), report.number("healthz"));
    println!("{suite}: containerd active after {containerd} s, kubelet healthy after {healthz} s");
}

/// What the image brought is there and pinned, and pods made of it live as pods do.
fn check_pods(report: &Report) {
    let fail = |what: &str| panic!("{what}\n{}\nconsole:\n{}", report.lines.join("\n"), report.console);
    report.check("unit-images", "active success");
    let images = report.all("image");
    let listed = report.all("listed");
    assert_eq!(listed.len(), 2, "{listed:?}");
    for wanted in listed {
        let found = images.iter().find(|image| image.starts_with(&format!("{wanted} ")));
        let pinned = found.is_some_and(|image| image.contains("io.cri-containerd.pinned=pinned"));
        assert!(pinned, "{wanted} is not there or not pinned: {images:?}");
    }
    report.check("again", "");
    let [pod, client] = ["address", "client-address"].map(|key| report.all(key).last().copied().unwrap_or_default());
    if !pod.starts_with("10.88.") || !client.starts_with("10.88.") || pod == client {
        fail("addresses of pods");
    }
    for key in ["client", "client-after"] {
        if !report.all(key).iter().any(|seen| seen.starts_with("pod web-") && seen.contains(", node web-")) {
            fail("the client reaches neither pod nor node");
        }
    }
    report.check("restarts", "0");
    report.check("restarted", "1");
    report.check("address-kept", "yes");
    if !report.all("rotated").iter().any(|path| path.contains("/main/0.log.")) {
        fail("the client's log does not rotate");
    }
    report.check("restored", "registry.test/busybox:1");
}

/// The shipped worker of `suite`, built into `directory`.
fn built(directory: &Path, suite: &str) -> PxeSet {
    PxeSet::open(&worker::build_worker(directory, suite)).expect("a PXE set")
}

/// With an image for pods besides. On trixie only: bookworm's static busybox crashes in wget where the C library's modules are missing.
#[test]
fn a_trixie_worker_is_healthy_and_runs_pods() {
    let dir = tempfile::tempdir().expect("a directory");
    // Brings the shipped profiles, beside which this one is put.
    worker::kiln(dir.path());
    fs::write(dir.path().join("profiles/pods.yaml"), include_str!("pods.yaml")).expect("written");
    let set = PxeSet::open(&worker::build(dir.path(), "pods", "trixie", "pxe")).expect("a PXE set");
    let report = boot_and_ask(&set, Handout::none().standalone(), include_str!("pods.sh"));
    check_healthy("trixie", &report);
    check_pods(&report);
}

#[test]
fn a_bookworm_worker_is_healthy() {
    let dir = tempfile::tempdir().expect("a directory");
    check_healthy("bookworm", &boot(&built(dir.path(), "bookworm"), Handout::none().standalone()));
}

/// Without credentials kubelet waits, and nothing has failed. The initramfs' list of extended attributes is obeyed.
#[test]
fn a_worker_without_a_cluster_waits() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut set = built(dir.path(), "trixie");
    let initramfs = dir.path().join("initramfs.cpio.zst");
    std::fs::copy(&set.initramfs, &initramfs).expect("copied");
    let mut file = File::options().append(true).open(&initramfs).expect("opened");
    file.write_all(&archive_with_capability("usr/bin/cat")).expect("appended");
    set.initramfs = initramfs;
    let report = boot(&set, Handout::none());
    check_node(&report);
    report.check("unit kubelet", "inactive");
    report.check("capabilities", "0000000000002000");
}

/// A compressed archive to follow an initramfs: a list that gives `program` CAP_NET_RAW.
fn archive_with_capability(program: &str) -> Vec<u8> {
    // struct vfs_ns_cap_data of capability.h, revision 2: flags, then permitted and inheritable, low and high words.
    let value = [0x0200_0001_u32, 1 << 13, 0, 0, 0].iter().flat_map(|word| word.to_le_bytes()).collect();
    let xattr = Xattr { path: program.into(), name: "security.capability".into(), value };
    let list = xattrs::encode(&[xattr]).expect("a list");
    let directory = cpio::newc::Builder::new("usr/lib/kiln").mode(0o040_755).nlink(2).write(Vec::new(), 0);
    let mut file = cpio::newc::Builder::new(xattrs::FILE)
        .mode(0o100_644)
        .nlink(1)
        .write(directory.finish().expect("written"), u32::try_from(list.len()).expect("it is short"));
    file.write_all(list.as_bytes()).expect("written");
    let archive = cpio::newc::trailer(file.finish().expect("written")).expect("written");
    zstd::encode_all(&archive[..], 3).expect("compressed")
}
