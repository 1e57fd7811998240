//! Attacks by the hundred: every kind of input that is mutated, forged or absurd, one kiln each. kiln
//! must reject it with one line or make the same bytes as without it; it must not panic, hang, or
//! leave anything.
//!
//! `make test` tries a sample, `make hostile` all of them (`KILN_ATTACKS=all`) and prints how many.

mod archives;
mod caches;
mod clocks;
mod limits;
mod locks;
mod mirrors;
mod outputs;
mod seeds;

use crate::bad_input::site::Site;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// The longest time that kiln may take for one attack. Real ones take a tenth of a second; other
/// tests run at the same time.
const PATIENCE: Duration = Duration::from_secs(90);
/// `make test` tries one in so many.
const SAMPLE: usize = 12;

/// How kiln answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    /// With an error.
    Rejected,
    /// As if nothing had happened.
    Succeeded,
}

/// The attacks of one kind, counted.
struct Attacks {
    kind: &'static str,
    every: usize,
    seen: usize,
    tried: usize,
    rejected: usize,
}

impl Attacks {
    fn of(kind: &'static str) -> Self {
        let all = std::env::var("KILN_ATTACKS").is_ok_and(|value| value == "all");
        Self { kind, every: if all { 1 } else { SAMPLE }, seen: 0, tried: 0, rejected: 0 }
    }

    /// Whether the next attack is tried.
    fn next(&mut self) -> bool {
        self.seen += 1;
        let is_tried = (self.seen - 1).is_multiple_of(self.every);
        self.tried += usize::from(is_tried);
        is_tried
    }

    /// Runs `command` and checks how it ends, whatever it answers.
    fn run(&mut self, what: &str, command: &mut Command) -> (Answer, Output) {
        let output = patiently(what, command);
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        for word in ["panicked", "RUST_BACKTRACE", "overflow", "a bug in kiln", "\u{1b}"] {
            assert!(!stderr.contains(word), "{} {what}: {stderr}", self.kind);
        }
        if output.status.success() {
            return (Answer::Succeeded, output);
        }
        assert!(matches!(output.status.code(), Some(1 | 2)), "{} {what}: {}\n{stderr}", self.kind, output.status);
        let last = stderr.lines().last().unwrap_or_default();
        // `verify` prints its findings as its result.
        assert!(last.starts_with("kiln: ") || !output.stdout.is_empty(), "{} {what}: {stderr}", self.kind);
        self.rejected += 1;
        (Answer::Rejected, output)
    }

    /// Prints the counts.
    fn end(self, at_least: usize) {
        let Self { kind, every, seen, tried, rejected } = self;
        println!("{kind:<10} {tried:>4} of {seen} attacks tried, {rejected} runs rejected, 0 wrong, 0 panics, 0 hangs");
        assert!(seen >= at_least, "{kind}: only {seen} attacks");
        assert_eq!(tried, seen.div_ceil(every));
    }
}

/// Runs `command` to its end.
///
/// # Panics
/// When it takes too long.
fn patiently(what: &str, command: &mut Command) -> Output {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts");
    let start = Instant::now();
    // Read while it runs, so that it never waits for a full pipe.
    let read = |pipe: Option<Box<dyn std::io::Read + Send>>| {
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            std::io::copy(&mut pipe.expect("a pipe"), &mut bytes).map(|_| bytes).unwrap_or_default()
        })
    };
    let stdout = read(child.stdout.take().map(|pipe| Box::new(pipe) as _));
    let stderr = read(child.stderr.take().map(|pipe| Box::new(pipe) as _));
    let status = loop {
        if let Some(status) = child.try_wait().expect("waited") {
            break status;
        }
        if start.elapsed() > PATIENCE {
            child.kill().expect("killed");
            panic!("{what} hangs: {command:?}");
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    Output { status, stdout: stdout.join().expect("read"), stderr: stderr.join().expect("read") }
}

/// Numbers that look random and are the same in every run (a linear congruential generator).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).expect("31 bits") % below.max(1)
    }
}

/// `bytes`, damaged in `count` ways: bits flipped, cut off, doubled, overwritten.
fn damaged(bytes: &[u8], count: usize) -> Vec<(String, Vec<u8>)> {
    let mut numbers = Numbers(bytes.len() as u64);
    let mut found = Vec::new();
    for number in 0..count {
        let (mut bytes, at) = (bytes.to_vec(), numbers.next(bytes.len()));
        let what = match number % 5 {
            0 | 1 => {
                bytes[at] ^= 1 << numbers.next(8);
                format!("a bit of byte {at} flipped")
            }
            2 => {
                bytes.truncate(at);
                format!("cut off at byte {at}")
            }
            3 => {
                let length = numbers.next(512).min(bytes.len() - at);
                bytes[at..at + length].fill([0, 0xff, b'A', b'\n'][numbers.next(4)]);
                format!("{length} bytes overwritten at {at}")
            }
            _ => {
                let part = bytes[at..(at + 300).min(bytes.len())].to_vec();
                bytes.splice(at..at, part);
                format!("bytes doubled at {at}")
            }
        };
        found.push((what, bytes));
    }
    found
}

/// Checks that a build is rejected, or makes the same bytes as without the attack.
fn builds_the_same_or_nothing(attacks: &mut Attacks, what: &str, site: &Site, more: &[&str], sums: &str) {
    let _ = std::fs::remove_dir_all(site.path("out/worker"));
    let (answer, output) = attacks.run(what, &mut site.build(more));
    match answer {
        Answer::Succeeded => {
            assert_eq!(site.sums(), sums, "{what}: another image: {}", String::from_utf8_lossy(&output.stderr));
        }
        Answer::Rejected => {
            let left: Vec<_> = std::fs::read_dir(site.path("out")).expect("listed").collect();
            assert!(left.is_empty(), "{what} left {left:?}");
        }
    }
}
