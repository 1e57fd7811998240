//! Peak memory does not depend on the machine or on the image.

use crate::image::checkout::Checkout;
use crate::image::mtree;
use crate::image::shared::built;
use crate::image::tools::{run, text, tool};
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::process::Command;

/// Peak resident memory of a build, in KiB.
const BAR: u64 = 300_000_000 / 1024;

/// time(1), which writes the peak to a file.
fn time(report: &Path) -> Command {
    let mut time = tool("time", "time");
    time.args(["--quiet", "-f", "%M", "-o"]).arg(report);
    time
}

/// The peak written to `report`, checked.
fn peak(report: &Path, what: &str) -> u64 {
    let text = fs::read_to_string(report).expect("a report");
    let kib: u64 = text.trim().parse().unwrap_or_else(|_| panic!("time(1) says {text:?}"));
    println!("{what}: peak memory {kib} KiB");
    assert!(kib > 10_000, "{what}: {kib} KiB is less than the program");
    assert!(kib <= BAR, "{what}: {kib} KiB");
    kib
}

#[test]
fn a_cold_build_stays_small_on_any_number_of_processors() {
    let built = built("trixie");
    let checkout = Checkout::of(built);
    let report = checkout.path().join("peak");
    for jobs in ["4", "16", "64"] {
        checkout.forget();
        fs::remove_dir_all(checkout.out())
            .or_else(|error| if checkout.out().exists() { Err(error) } else { Ok(()) })
            .expect("removed");
        let mut build = checkout.build("trixie", time(&report));
        run(build.args(["-j", jobs]));
        peak(&report, &format!("-j {jobs}"));
        checkout.check_same(built, &format!("-j {jobs} with a cold cache"));
    }
}

/// A sparse file of 4 GB in the overlay, with some megabytes of incompressible data.
#[test]
fn a_large_file_is_streamed() {
    const SIZE: u64 = 4_000_000_000;
    const NOISE: usize = 8 << 20;
    let built = built("trixie");
    let checkout = Checkout::of(built);
    let path = checkout.overlay().join("rootfs/etc/proof/large");
    let mut file = File::create(&path).expect("created");
    file.set_len(SIZE).expect("sparse");
    let mut noise = vec![0; NOISE];
    File::open("/dev/urandom").and_then(|mut random| random.read_exact(&mut noise)).expect("noise");
    for at in [0, SIZE / 2, SIZE - NOISE as u64] {
        file.seek(SeekFrom::Start(at)).and_then(|_| file.write_all(&noise)).expect("written");
    }
    let report = checkout.path().join("peak");
    run(checkout.make("trixie", "pxe", time(&report)).args(["-j", "16"]));
    peak(&report, "with a file of 4 GB");
    let found = mtree::list(&checkout.out().join("pxe/initramfs.cpio.zst"));
    let large = &found["etc/proof/large"];
    assert_eq!(large["size"], SIZE.to_string());
    // OpenSSL uses the processor's SHA instructions; sha256sum takes ten seconds.
    let digest = text(tool("openssl", "openssl").args(["dgst", "-sha256", "-r"]).arg(&path));
    assert!(digest.starts_with(&large["sha256digest"]), "{digest} is {}", large["sha256digest"]);

    // One byte more than the maximum of newc's size field.
    file.set_len(1 << 32).expect("sparse");
    let sums = fs::read_to_string(checkout.out().join("SHA256SUMS")).expect("sums");
    let output = checkout.make("trixie", "pxe", tool("env", "coreutils")).output().expect("kiln starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    let message = "kiln: /etc/proof/large has 4294967296 bytes; an initramfs holds only files below 4 GiB: build a disk image, or prune the file";
    assert_eq!(said.lines().last(), Some(message));
    assert_eq!(
        sums,
        fs::read_to_string(checkout.out().join("SHA256SUMS")).expect("sums"),
        "the old output is unchanged"
    );
}
