//! Removes unfinished files when a signal ends kiln, and exits with the corresponding code.

use crate::build::Interrupts;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

/// Set once a signal ends the process: later failures are caused by the removal of files.
static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Files and directories to remove when a signal ends the process.
#[derive(Debug, Clone, Default)]
pub(super) struct CleanUp(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    unfinished: Vec<PathBuf>,
    /// Whether the new output is in its place.
    committed: bool,
}

impl CleanUp {
    /// Installs handlers of SIGINT, SIGTERM and SIGHUP, which remove the registered files and
    /// directories and exit with 128 + the signal's number.
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
                // Waits while an output is being put in its place.
                let state = watched.0.lock().map(|mut state| std::mem::take(&mut *state)).unwrap_or_default();
                state.unfinished.iter().for_each(|path| remove(path));
                let output = if state.committed { "new output is complete" } else { "output is as it was before" };
                eprintln!("kiln: interrupted; the {output}");
                std::process::exit(128 + signal);
            }
        });
        Ok(clean_up)
    }
}

impl Interrupts for CleanUp {
    fn begun(&self, unfinished: [PathBuf; 2]) {
        if let Ok(mut state) = self.0.lock() {
            state.unfinished.extend(unfinished);
        }
    }

    fn commit<T, E>(&self, commit: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        let mut state = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let result = commit();
        if result.is_ok() {
            *state = State { unfinished: Vec::new(), committed: true };
        }
        result
    }
}

fn remove(path: &Path) {
    // Other threads may still write into the directory, so that removing it takes several attempts.
    for _ in 0..20 {
        let removed = if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
        if removed.is_ok() || !path.exists() {
            return;
        }
    }
}

/// Blocks if a signal is ending the process, so that the signal handler's message and exit code are
/// used.
pub(super) fn yield_to_signal() {
    while INTERRUPTED.load(SeqCst) {
        std::thread::park();
    }
}
