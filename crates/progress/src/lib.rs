//! What the user sees while kiln works: bars on a terminal, timestamped lines elsewhere, or
//! nothing.
//!
//! Everything goes to standard error, so standard output stays free for results. A closed standard
//! error never fails a build.

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use kiln_tree::Printable;
use std::fmt;
use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// The interval at which a running phase writes a line when standard error is not a terminal.
const PLAIN_INTERVAL: Duration = Duration::from_secs(5);

/// How much is shown and in which form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Progress bars, for a person at a terminal.
    Terminal,
    /// One line per event, each starting with the seconds since kiln started; for logs.
    Plain,
    /// Only warnings.
    Quiet,
}

/// A cheap handle through which every room reports. Clones report to the same output.
#[derive(Clone)]
pub struct Progress {
    inner: Arc<Inner>,
}

struct Inner {
    sink: Sink,
    verbose: bool,
    start: Instant,
}

enum Sink {
    Terminal(MultiProgress),
    Lines { out: Mutex<Box<dyn Write + Send>>, warnings_only: bool },
    Nothing,
}

/// What a phase counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Bytes, shown as KiB, MiB, …
    Bytes,
    /// Items: packages, files.
    Items,
}

impl Progress {
    /// Reports to standard error; `verbose` also shows [`Progress::detail`].
    pub fn new(mode: Mode, verbose: bool) -> Self {
        let lines = |warnings_only| Sink::Lines { out: Mutex::new(Box::new(std::io::stderr())), warnings_only };
        Self::with_sink(
            match mode {
                Mode::Terminal => {
                    Sink::Terminal(MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(12)))
                }
                Mode::Plain => lines(false),
                Mode::Quiet => lines(true),
            },
            verbose,
        )
    }

    /// Reports nothing at all, not even warnings: for library users and tests.
    pub fn quiet() -> Self {
        Self::with_sink(Sink::Nothing, false)
    }

    /// Writes plain lines to `out`.
    pub fn to_writer(out: impl Write + Send + 'static, verbose: bool) -> Self {
        Self::with_sink(Sink::Lines { out: Mutex::new(Box::new(out)), warnings_only: false }, verbose)
    }

    fn with_sink(sink: Sink, verbose: bool) -> Self {
        Self { inner: Arc::new(Inner { sink, verbose, start: Instant::now() }) }
    }

    /// Writes a message that users want to see.
    pub fn info(&self, text: impl fmt::Display) {
        self.inner.line(&text, false);
    }

    /// Writes a message that only `-v` shows.
    pub fn detail(&self, text: impl fmt::Display) {
        if self.inner.verbose {
            self.inner.line(&text, false);
        }
    }

    /// Writes a message that may need the user's action; quiet mode shows it too.
    pub fn warn(&self, text: impl fmt::Display) {
        self.inner.line(&format_args!("warning: {text}"), true);
    }

    /// Starts a phase such as `fetch` with its amount of work (0: not known yet).
    ///
    /// Its bar vanishes when the last clone of the [`Phase`] is dropped, also on early return and
    /// on panic.
    pub fn phase(&self, name: &str, unit: Unit, total: u64) -> Phase {
        let bar = match &self.inner.sink {
            Sink::Terminal(multi) => {
                let bar = multi.add(ProgressBar::new(total));
                bar.set_style(style(unit, total > 0));
                bar.set_prefix(name.to_owned());
                bar.enable_steady_tick(Duration::from_millis(200));
                Some(bar)
            }
            _ => None,
        };
        let state = PhaseState {
            progress: self.clone(),
            name: name.to_owned(),
            unit,
            total: AtomicU64::new(total),
            done: AtomicU64::new(0),
            start: Instant::now(),
            next_line_ms: AtomicU64::new(millis(PLAIN_INTERVAL)),
            bar,
        };
        Phase { state: Arc::new(state) }
    }
}

impl fmt::Debug for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sink = match &self.inner.sink {
            Sink::Terminal(_) => "terminal",
            Sink::Lines { .. } => "lines",
            Sink::Nothing => "nothing",
        };
        f.debug_struct("Progress").field("sink", &sink).field("verbose", &self.inner.verbose).finish()
    }
}

impl Inner {
    fn line(&self, text: &dyn fmt::Display, warning: bool) {
        // Messages quote names from packages and servers.
        let text = text.to_string();
        let lines: Vec<String> = text.lines().map(|line| Printable::sentence(line).to_string()).collect();
        let text = lines.join("\n");
        match &self.sink {
            Sink::Nothing => {}
            Sink::Terminal(multi) => multi.suspend(|| {
                // A closed stderr must not stop a build.
                let _ = writeln!(std::io::stderr(), "{text}");
            }),
            Sink::Lines { warnings_only: true, .. } if !warning => {}
            Sink::Lines { out, warnings_only } => {
                let seconds = self.start.elapsed().as_secs_f64();
                let stamp = if *warnings_only { String::new() } else { format!("[{seconds:8.2}s] ") };
                if let Ok(mut out) = out.lock() {
                    let _ = writeln!(out, "{stamp}{text}");
                }
            }
        }
    }
}

/// A running phase; clones update the same bar, from any thread.
#[derive(Clone)]
pub struct Phase {
    state: Arc<PhaseState>,
}

struct PhaseState {
    progress: Progress,
    name: String,
    unit: Unit,
    total: AtomicU64,
    done: AtomicU64,
    start: Instant,
    /// When plain mode writes its next line, in milliseconds after `start`.
    next_line_ms: AtomicU64,
    bar: Option<ProgressBar>,
}

impl Phase {
    /// Adds `amount` to the work done.
    pub fn inc(&self, amount: u64) {
        let state = &self.state;
        state.done.fetch_add(amount, Relaxed);
        match &state.bar {
            Some(bar) => bar.inc(amount),
            None => state.plain_line_if_due(),
        }
    }

    /// Subtracts `amount` that was counted but must be done again.
    pub fn undo(&self, amount: u64) {
        let state = &self.state;
        let lessen = |done: u64| Some(done.saturating_sub(amount));
        // The closure always returns Some, so neither call can fail.
        let _ = state.done.fetch_update(Relaxed, Relaxed, lessen);
        if let Some(bar) = &state.bar {
            bar.set_position(state.done.load(Relaxed));
        }
    }

    /// Shows `text` beside the bar (terminal only).
    pub fn message(&self, text: impl fmt::Display) {
        if let Some(bar) = &self.state.bar {
            bar.set_message(text.to_string());
        }
    }

    /// Ends the phase successfully: removes its bar and writes how much was done in how many
    /// seconds.
    pub fn finish(self) {
        let state = &self.state;
        if let Some(bar) = &state.bar {
            bar.finish_and_clear();
        }
        let seconds = state.start.elapsed().as_secs_f64();
        match state.done.load(Relaxed) {
            // Nothing was counted or there was no work.
            0 => state.progress.info(format_args!("{}: {seconds:.1}s", state.name)),
            done => state.progress.info(format_args!("{}: {} in {seconds:.1}s", state.name, state.amount(done))),
        }
    }
}

impl PhaseState {
    fn amount(&self, count: u64) -> String {
        match self.unit {
            Unit::Bytes => indicatif::BinaryBytes(count).to_string(),
            Unit::Items => count.to_string(),
        }
    }

    fn plain_line_if_due(&self) {
        let now = millis(self.start.elapsed());
        let due = self.next_line_ms.load(Relaxed);
        let next = now + millis(PLAIN_INTERVAL);
        // Only the thread that advances the deadline writes the line.
        if now < due || self.next_line_ms.compare_exchange(due, next, Relaxed, Relaxed).is_err() {
            return;
        }
        let done = self.amount(self.done.load(Relaxed));
        match self.total.load(Relaxed) {
            0 => self.progress.info(format_args!("{}: {done}", self.name)),
            total => self.progress.info(format_args!("{}: {done} of {}", self.name, self.amount(total))),
        }
    }
}

impl Drop for PhaseState {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

impl fmt::Debug for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Phase").field("name", &self.state.name).finish_non_exhaustive()
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn template(unit: Unit, bounded: bool) -> &'static str {
    match (unit, bounded) {
        (Unit::Bytes, true) => {
            "{prefix:>10} [{bar:30}] {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec} {wide_msg}"
        }
        (Unit::Bytes, false) => "{prefix:>10} {spinner} {binary_bytes} {wide_msg}",
        (Unit::Items, true) => "{prefix:>10} [{bar:30}] {pos}/{len} {wide_msg}",
        (Unit::Items, false) => "{prefix:>10} {spinner} {pos} {wide_msg}",
    }
}

fn style(unit: Unit, bounded: bool) -> ProgressStyle {
    // The templates are constants of this file; a test parses all four.
    ProgressStyle::with_template(template(unit, bounded)).unwrap_or_else(|_| ProgressStyle::default_bar())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Default)]
    struct Captured(Arc<Mutex<Vec<u8>>>);

    impl Write for Captured {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().expect("lock").extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl Captured {
        /// The lines without their time stamps, whose form is checked.
        fn lines(&self) -> Vec<String> {
            let text = String::from_utf8(self.0.lock().expect("lock").clone()).expect("utf-8");
            text.lines()
                .map(|line| {
                    let (stamp, rest) =
                        line.strip_prefix('[').and_then(|line| line.split_once("s] ")).expect("a stamp");
                    stamp.trim().parse::<f64>().expect("seconds");
                    rest.to_owned()
                })
                .collect()
        }
    }

    #[test]
    fn plain_lines_have_a_time_and_details_need_verbose() {
        let out = Captured::default();
        let progress = Progress::to_writer(out.clone(), false);
        progress.info("one");
        progress.detail("hidden");
        progress.warn("two");
        Progress::to_writer(out.clone(), true).detail("three");
        assert_eq!(out.lines(), ["one", "warning: two", "three"]);
    }

    #[test]
    fn names_in_messages_do_not_control_the_terminal() {
        let out = Captured::default();
        Progress::to_writer(out.clone(), false).warn("the server said \u{1b}[2J\u{202e}; a\\b");
        assert_eq!(out.lines(), ["warning: the server said \\x1b[2J\\u{202e}; a\\b"]);
    }

    #[test]
    fn a_finished_phase_writes_a_summary_and_an_abandoned_one_does_not() {
        let out = Captured::default();
        let progress = Progress::to_writer(out.clone(), false);
        let phase = progress.phase("fetch", Unit::Bytes, 4096);
        let same = phase.clone();
        std::thread::scope(|scope| {
            scope.spawn(|| same.inc(2048));
            scope.spawn(|| phase.inc(3072));
        });
        phase.undo(1024);
        phase.finish();
        drop(progress.phase("resolve", Unit::Items, 0));
        let lines = out.lines();
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].starts_with("fetch: 4.00 KiB in "), "{lines:?}");
    }

    #[test]
    fn every_template_parses() {
        for unit in [Unit::Bytes, Unit::Items] {
            for bounded in [true, false] {
                ProgressStyle::with_template(template(unit, bounded)).expect("a template");
            }
        }
    }

    #[test]
    fn a_terminal_phase_survives_a_panic_of_its_thread() {
        let progress = Progress::new(Mode::Terminal, false);
        let inner = progress.clone();
        let panicked = std::thread::spawn(move || {
            let phase = inner.phase("fetch", Unit::Bytes, 10);
            phase.inc(1);
            std::panic::resume_unwind(Box::new("as a worker would"));
        });
        assert!(panicked.join().is_err());
        // A poisoned lock would panic here.
        progress.phase("next", Unit::Items, 1).inc(1);
    }
}
