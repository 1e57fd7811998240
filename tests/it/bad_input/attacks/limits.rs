//! Machines with too little of something: kiln reports what, and leaves nothing.

use super::Attacks;
use crate::bad_input::site::{Keys, Site};
use std::fs;
use std::process::Command;

#[test]
fn files_descriptors_and_processes() {
    let keys = Keys::new();
    let site = Site::new(&keys, &[]);
    let sums = site.builds(&[]);
    let mut attacks = Attacks::of("limits");
    let mut limits: Vec<String> = Vec::new();
    limits.extend([0, 1, 100, 4096, 10_000, 20_000, 50_000].map(|bytes| format!("--fsize={bytes}")));
    limits.extend([4, 5, 6, 8, 10, 12, 16, 20, 24, 32].map(|files| format!("--nofile={files}")));
    limits.extend([0, 1, 8].map(|bytes| format!("--core={bytes}")));
    for limit in &limits {
        for warm in [true, false] {
            if !attacks.next() {
                continue;
            }
            if !warm {
                fs::remove_dir_all(site.path("cache")).expect("removed");
            }
            let _ = fs::remove_dir_all(site.path("out/worker"));
            let build = site.build(&[]);
            let mut command = Command::new("prlimit");
            command.arg(limit).arg(build.get_program()).args(build.get_args());
            command.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", site.path("home")).current_dir(site.path(""));
            // SIGXFSZ is ignored, so that a write fails instead.
            let mut shell = Command::new("sh");
            shell.args(["-c", "trap '' XFSZ; exec \"$@\"", "sh"]).arg(command.get_program()).args(command.get_args());
            shell.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", site.path("home")).current_dir(site.path(""));
            attacks.run(limit, &mut shell);
            let left: Vec<String> = fs::read_dir(site.path("out"))
                .expect("listed")
                .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
                .filter(|name| name != "worker")
                .collect();
            assert!(left.is_empty(), "{limit} left {left:?}");
            if !site.path("cache/CACHEDIR.TAG").exists() {
                let _ = fs::remove_dir_all(site.path("cache"));
            }
            assert_eq!(site.builds(&[]), sums, "after {limit}");
        }
    }
    attacks.end(40);
}
