//! Ctrl-C in the middle of a build: what is half-written goes away, the exit code says so.

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

/// Set once a signal ends the process: what fails from then on fails because its files are being removed.
static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Files and directories that vanish when a signal ends the process.
#[derive(Debug, Clone, Default)]
pub(super) struct CleanUp(Arc<Mutex<Vec<PathBuf>>>);

impl CleanUp {
    /// Starts to watch for SIGINT, SIGTERM and SIGHUP; each removes the registered files and directories and exits with 128 + its number.
    ///
    /// # Errors
    /// When the handlers cannot be installed.
    pub(super) fn install() -> std::io::Result<Self> {
        let clean_up = Self::default();
        let watched = clean_up.clone();
        let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
        std::thread::spawn(move || {
            if let Some(signal) = signals.forever().next() {
                INTERRUPTED.store(true, SeqCst);
                let paths = watched.0.lock().map(|mut list| std::mem::take(&mut *list)).unwrap_or_default();
                paths.iter().for_each(|path| remove(path));
                eprintln!("kiln: interrupted; the output is as it was before");
                std::process::exit(128 + signal);
            }
        });
        Ok(clean_up)
    }

    /// Registers `paths`.
    pub(super) fn add(&self, paths: impl IntoIterator<Item = PathBuf>) {
        if let Ok(mut list) = self.0.lock() {
            list.extend(paths);
        }
    }
}

fn remove(path: &Path) {
    // Threads still write into a directory; what they add meanwhile takes another round.
    for _ in 0..20 {
        let removed = if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
        if removed.is_ok() || !path.exists() {
            return;
        }
    }
}

/// Waits for the end if a signal is ending the process: its exit code and its message are the ones that count.
pub(super) fn yield_to_signal() {
    while INTERRUPTED.load(SeqCst) {
        std::thread::park();
    }
}
