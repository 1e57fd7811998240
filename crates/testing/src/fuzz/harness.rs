//! Runs a parser on mutated samples for a while, and saves the input that breaks it.
//!
//! `KILN_FUZZ_SECONDS` is the time for each parser whose input every build reads (default 3); other
//! parsers get a tenth of it. `KILN_FUZZ_SEED` is the seed (default: the clock; it is printed).

use super::mutator::{Random, mutate};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

/// Parsers whose input every build reads.
const OF_A_BUILD: [&str; 5] = ["deb", "tar", "packages", "release", "profile"];
/// The longest time for one input: generous, because a busy machine may take far more than the
/// usual milliseconds.
const MAX_TIME: Duration = Duration::from_secs(10);
/// The time after which parsing counts as endless.
const HANG: Duration = Duration::from_secs(60);
/// The most memory of the process with all parsers, in KiB.
const MAX_MEMORY: u64 = 1 << 20;
/// The limit of accepted inputs that are mutated further, as a number and in bytes.
const MAX_FOUND: usize = 512;
const MAX_FOUND_BYTES: usize = 16 << 20;

/// A parser and its sample inputs.
pub struct Fuzz<'a> {
    /// Name of the parser.
    pub name: &'static str,
    /// Inputs that it accepts.
    pub samples: Vec<Vec<u8>>,
    /// Tokens of the format.
    pub words: &'a [&'a [u8]],
    /// Repairs what almost every mutation breaks, such as checksums.
    pub repair: fn(&mut Vec<u8>),
}

/// The input a parser works on, for the watchdog.
type Current = Arc<Mutex<Option<(Instant, Vec<u8>)>>>;

impl Fuzz<'_> {
    /// Calls `parse` until the time is over; `parse` returns whether it accepted the input.
    pub fn run(&self, mut parse: impl FnMut(&[u8]) -> bool) {
        for sample in &self.samples {
            assert!(parse(sample), "{}: a sample is rejected: {:?}", self.name, String::from_utf8_lossy(sample));
        }
        let whole = variable("KILN_FUZZ_SECONDS").unwrap_or(3);
        let seconds = if OF_A_BUILD.contains(&self.name) { whole } else { whole.div_ceil(10) };
        let clock = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_nanos();
        let seed = variable("KILN_FUZZ_SEED").unwrap_or(u64::try_from(clock & u128::from(u64::MAX)).expect("masked"));
        println!("{}: KILN_FUZZ_SEED={seed} for {seconds} s", self.name);
        let mut random = Random::new(seed);
        let mut samples = self.samples.clone();
        let longest = samples.iter().map(Vec::len).max().expect("a sample");
        let max_samples = self.samples.len() + (MAX_FOUND_BYTES / longest.max(1)).clamp(1, MAX_FOUND);
        let current = Current::default();
        watch(self.name, seed, &current);
        let (start, mut inputs, mut accepted) = (Instant::now(), 0_u64, 0_u64);
        while start.elapsed() < Duration::from_secs(seconds) {
            let mut input = mutate(&mut random, &samples, self.words);
            if random.below(2) == 0 {
                (self.repair)(&mut input);
            }
            let begin = Instant::now();
            *current.lock().expect("current") = Some((begin, input.clone()));
            let result = catch_unwind(AssertUnwindSafe(|| parse(&input)));
            *current.lock().expect("current") = None;
            inputs += 1;
            let fail = |input: &[u8], what: &str| -> ! {
                panic!(
                    "{}: {what}; the input is {}, KILN_FUZZ_SEED={seed}, input {inputs}",
                    self.name,
                    save(self.name, input).display()
                )
            };
            if inputs % 64 == 0 && peak_memory() > MAX_MEMORY {
                fail(&input, "the process, of which it is a part, took too much memory");
            }
            match result {
                Err(_) => fail(&input, "it panicked"),
                Ok(_) if begin.elapsed() > MAX_TIME => fail(&input, "it took too long"),
                Ok(true) => {
                    accepted += 1;
                    if samples.len() < max_samples {
                        samples.push(input.clone());
                    } else {
                        let kept = self.samples.len();
                        let at = kept + random.below(max_samples - kept);
                        samples[at] = input;
                    }
                }
                Ok(false) => {}
            }
        }
        println!("{}: {inputs} inputs, {accepted} accepted, peak {} MiB", self.name, peak_memory() >> 10);
        assert!(
            accepted > 0 && accepted < inputs,
            "{}: {accepted} of {inputs} inputs were accepted: nothing was tried",
            self.name
        );
    }
}

fn variable(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|error| panic!("{name}={text}: {error}")))
}

/// Exits the process when parsing an input never ends, because a test cannot be stopped otherwise.
fn watch(name: &'static str, seed: u64, current: &Current) {
    let current = Arc::downgrade(current);
    std::thread::spawn(move || {
        while let Some(current) = current.upgrade() {
            let now = current.lock().expect("current").clone();
            if let Some((begin, input)) = now
                && begin.elapsed() > HANG
            {
                eprintln!(
                    "{name}: it never ends; the input is {}, KILN_FUZZ_SEED={seed}",
                    save(name, &input).display()
                );
                std::process::exit(101);
            }
            drop(current);
            std::thread::sleep(Duration::from_secs(1));
        }
    });
}

/// Saves an input to a file.
fn save(name: &str, input: &[u8]) -> PathBuf {
    let file = tempfile::Builder::new().prefix(&format!("kiln-fuzz-{name}-")).tempfile().expect("a temporary file");
    let (_, path) = file.keep().expect("kept");
    std::fs::write(&path, input).expect("written");
    path
}

/// The peak memory of the process so far, in KiB (proc(5), `VmHWM`).
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("/proc");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("VmHWM");
    line.trim().trim_end_matches(" kB").trim().parse().expect("a number")
}
