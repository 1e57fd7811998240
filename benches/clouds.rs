//! Measures how long writing a worker's disk as qcow2 takes, compared with `qemu-img convert -c` of
//! the same disk on the same machine.
//!
//! `cargo bench --bench clouds` prints medians and ratios; it fails when the limit is exceeded.

#[path = "../tests/it/common/worker.rs"]
mod worker;

use kiln_artifact::cloud::{self, Naming};
use kiln_format::block::RawFile;
use kiln_profile::Output;
use rustix::fs::SeekFrom;
use std::fs::File;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Instant;

/// Runs of each measurement; their median counts.
const RUNS: usize = 3;
const SUITE: &str = "trixie";
/// The maximum ratio of qcow2's time to qemu-img's.
const BAR: f64 = 0.5;

fn main() -> ExitCode {
    let directory =
        tempfile::Builder::new().prefix("kiln-bench-").tempdir_in("/var/tmp").expect("a directory in /var/tmp");
    let directory = directory.path();
    let disk = disk(directory);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    println!("{} MB of data, {threads} processors, medians of {RUNS}:", data(&disk) / 1_000_000);

    let naming = Naming { name: "worker", uuid: [7; 16], epoch: 1_610_542_800 };
    let mut qcow2 = f64::INFINITY;
    for kind in Output::encodings() {
        let seconds = median(kind.as_str(), || {
            cloud::encode(kind, &disk, &naming, directory, threads, &|_| ()).expect("encoded");
        });
        if kind == Output::Qcow2 {
            qcow2 = seconds;
        }
    }
    let convert = |compression: &str| {
        median(&format!("qemu-img convert -c, {compression}"), || {
            let option = format!("compression_type={compression}");
            run(
                directory,
                "qemu-img",
                &["convert", "-c", "-O", "qcow2", "-o", &option, "-f", "raw", "disk.raw", "qemu.qcow2"],
            );
        })
    };
    let (zlib, zstd) = (convert("zlib"), convert("zstd"));
    let ratio = qcow2 / zlib;
    println!("{:8.3}    of qemu-img convert -c with zstd", qcow2 / zstd);
    println!(
        "{ratio:8.3}    of qemu-img convert -c as it is: {} at most {BAR}",
        if ratio <= BAR { "within the limit," } else { "EXCEEDED," }
    );
    if ratio <= BAR { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A disk with the files of a worker on it: a GPT, an empty ESP, an ext4 by mke2fs.
fn disk(directory: &Path) -> RawFile {
    worker::build_worker(directory, SUITE);
    // Devices can be made by root only, and have no size.
    let unpack = "mkdir root && zstd -dcq out/pxe/initramfs.cpio.zst | (cd root && cpio -idm --quiet --no-preserve-owner -f 'dev/*')";
    run(directory, "bash", &["-eo", "pipefail", "-c", unpack]);
    let path = directory.join("disk.raw");
    let file = File::options().read(true).write(true).create_new(true).open(&path).expect("created");
    let size = 1100 << 20;
    file.set_len(size).expect("sparse");
    run(directory, "sgdisk", &["-n", "1:1M:+256M", "-t", "1:ef00", "-n", "2:257M:+768M", "-t", "2:8304", "disk.raw"]);
    let offset = format!("offset={}", 257_u64 << 20);
    run(directory, "mke2fs", &["-q", "-t", "ext4", "-E", &offset, "-d", "root", "disk.raw", "768M"]);
    // The file system reports holes only once everything is on the disk.
    file.sync_all().expect("written");
    let (mut ranges, mut end) = (Vec::new(), 0);
    while let Ok(start) = rustix::fs::seek(&file, SeekFrom::Data(end)) {
        end = rustix::fs::seek(&file, SeekFrom::Hole(start)).expect("an end");
        ranges.push(start..end);
    }
    RawFile::new(file, size, ranges)
}

fn data(disk: &RawFile) -> u64 {
    kiln_format::block::BlockSource::data(disk).iter().map(|range| range.end - range.start).sum()
}

fn run(directory: &Path, program: &str, arguments: &[&str]) {
    let mut command = Command::new(program);
    // Only root's PATH contains the directories of sgdisk and mke2fs.
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    command.args(arguments).env("PATH", path).current_dir(directory);
    let output = command.output().unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Prints and returns the median of [`RUNS`] runs, in seconds.
fn median(name: &str, measure: impl Fn()) -> f64 {
    let run = |_| {
        let start = Instant::now();
        measure();
        start.elapsed().as_secs_f64()
    };
    let mut seconds: Vec<f64> = (0..RUNS).map(run).collect();
    seconds.sort_by(f64::total_cmp);
    let median = seconds[RUNS / 2];
    println!("{median:8.3} s  {name} ({:.3} to {:.3})", seconds[0], seconds[RUNS - 1]);
    median
}
