//! Machines whose clock is wrong.

use super::{Answer, Attacks};
use crate::bad_input::site::{Keys, Site};
use std::fs;
use std::process::Command;

/// Dates for faketime(1).
const DATES: [&str; 14] = [
    "1970-01-01 00:00:00",
    "1970-01-01 00:00:01",
    "1999-12-31 23:59:59",
    "2000-02-29 12:00:00",
    "2001-09-09 01:46:40",
    "2020-01-01 00:00:00",
    "2038-01-19 03:14:07",
    "2038-01-19 03:14:08",
    "2049-12-31 23:59:59",
    "2050-01-01 00:00:00",
    "2106-02-07 06:28:15",
    "2106-02-07 06:28:16",
    "2200-01-01 00:00:00",
    "2262-04-11 23:47:16",
];

#[test]
fn absurd_dates() {
    let keys = Keys::new();
    let site = Site::new(&keys, &[]);
    let mirror = site.mirror();
    let mut attacks = Attacks::of("clocks");
    let faked = |date: &str, args: &[&str]| {
        let kiln = site.kiln(args);
        let mut command = Command::new("faketime");
        command.arg(date).arg(kiln.get_program()).args(kiln.get_args());
        command.env_clear().env("PATH", "/usr/bin:/bin").env("TZ", "UTC").env("HOME", site.path("home"));
        command.current_dir(site.path(""));
        command
    };
    for date in DATES {
        let verbs: [&[&str]; 4] = [
            &["plan", "worker"],
            &["lock", "worker", "--mirror", &mirror],
            &["build", "worker", "-o", "out/worker", "--mirror", &mirror],
            &["cache", "trim", "--unused-days", "4294967295"],
        ];
        for verb in verbs {
            if !attacks.next() {
                continue;
            }
            let _ = fs::remove_file(site.path("profiles/worker.lock"));
            let (answer, output) = attacks.run(date, &mut faked(date, verb));
            let stderr = String::from_utf8_lossy(&output.stderr);
            if answer == Answer::Rejected && verb[0] != "plan" {
                // Never as a key or a keyring that is missing.
                assert!(
                    stderr.contains("clock") || stderr.contains("now it is") || stderr.contains("valid until"),
                    "{date}: {stderr}"
                );
            }
        }
    }
    attacks.end(50);
}
