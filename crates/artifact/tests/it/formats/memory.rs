//! Memory does not grow with the disk or the processors.

use crate::formats::disks::{Disk, noise};
use crate::formats::tools::{run, tool};
use kiln_profile::Output;
use std::env;
use std::fs;
use std::os::unix::fs::FileExt;

/// Peak resident memory, in KiB, test harness included.
const BAR: u64 = 200_000_000 / 1024;
const DATA: u64 = 512 << 20;
const CHILD: &str = "KILN_TEST_ENCODE";

/// In a process of its own, which time(1) watches, so that other tests do not count.
#[test]
fn a_large_disk_is_streamed() {
    if let Ok(name) = env::var(CHILD) {
        let kind = Output::encodings().find(|kind| kind.as_str() == name).expect("a format");
        let disk = Disk::new(4 << 30, |file, _| {
            // Data that does not compress, so that what waits to be written is as large as
            // possible.
            let mut bytes = vec![0; 4 << 20];
            noise(&mut bytes, 1);
            for at in (0..DATA).step_by(bytes.len()) {
                file.write_all_at(&bytes, at * 7).expect("written");
            }
        });
        let encoded = disk.encode(kind, "out", 64);
        println!("{} bytes", encoded.files.iter().map(|file| file.size).sum::<u64>());
        return;
    }
    for kind in Output::encodings() {
        let report = tempfile::NamedTempFile::new().expect("a file");
        let mut time = tool("time", "time");
        time.args(["--quiet", "-f", "%M", "-o"]).arg(report.path()).arg(env::current_exe().expect("this program"));
        run(time
            .args(["--exact", "formats::memory::a_large_disk_is_streamed", "--nocapture"])
            .env(CHILD, kind.as_str()));
        let text = fs::read_to_string(report.path()).expect("a report");
        let kib: u64 = text.trim().parse().unwrap_or_else(|_| panic!("time(1) says {text:?}"));
        println!("{kind:?}: peak memory {kib} KiB");
        assert!(kib > 5_000 && kib <= BAR, "{kind:?}: {kib} KiB");
    }
}
