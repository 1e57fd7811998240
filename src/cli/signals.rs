//! Ctrl-C in the middle of a build: what is half-written goes away, the exit code says so.

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

/// Directories that vanish when a signal ends the process.
#[derive(Debug, Clone, Default)]
pub struct CleanUp(Arc<Mutex<Vec<PathBuf>>>);

impl CleanUp {
    /// Starts to watch for SIGINT, SIGTERM and SIGHUP; each removes the registered directories and exits with 128 + its number.
    ///
    /// # Errors
    /// When the handlers cannot be installed.
    pub fn install() -> std::io::Result<Self> {
        let clean_up = Self::default();
        let watched = clean_up.clone();
        let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
        std::thread::spawn(move || {
            if let Some(signal) = signals.forever().next() {
                let directories = watched.0.lock().map(|mut list| std::mem::take(&mut *list)).unwrap_or_default();
                for directory in directories {
                    // Threads still write into it; what they add meanwhile takes another round.
                    for _ in 0..20 {
                        if std::fs::remove_dir_all(&directory).is_ok() || !directory.exists() {
                            break;
                        }
                    }
                }
                eprintln!("kiln: interrupted; the output is as it was before");
                std::process::exit(128 + signal);
            }
        });
        Ok(clean_up)
    }

    /// Registers `directory`.
    pub fn add(&self, directory: PathBuf) {
        if let Ok(mut list) = self.0.lock() {
            list.push(directory);
        }
    }
}
