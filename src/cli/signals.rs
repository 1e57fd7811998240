//! Removes unfinished files when a signal ends kiln, and exits with the corresponding code.

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

/// Set once a signal ends the process: later failures are caused by the removal of files.
static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Files and directories to remove when a signal ends the process.
#[derive(Debug, Clone, Default)]
pub(super) struct CleanUp(Arc<Mutex<Vec<PathBuf>>>);

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
