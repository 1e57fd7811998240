//! Writes to the console, and ends a boot that failed.

use rustix::system::{RebootCommand, reboot};
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

/// Prints a line on the console, which is standard error if the kernel could open it.
pub(crate) fn say(message: &str) {
    let line = format!("kiln-init: {message}\n");
    if io::stderr().write_all(line.as_bytes()).is_err()
        && let Ok(mut console) = File::options().write(true).open("/dev/console")
    {
        console.write_all(line.as_bytes()).ok();
    }
}

/// Reports why this node does not boot, and follows `panic=`: restarts after that number of
/// seconds, or stays as it is.
///
/// A panic of the kernel would do the same, after a page of output that hides the reason.
pub(crate) fn give_up(error: &str) -> ExitCode {
    say(&format!("this node cannot boot: {error}"));
    rustix::fs::sync();
    let timeout = fs::read_to_string("/proc/sys/kernel/panic").unwrap_or_default();
    match timeout.trim().parse::<i64>() {
        Ok(0) | Err(_) => {}
        Ok(seconds) => {
            thread::sleep(Duration::from_secs(u64::try_from(seconds).unwrap_or(0)));
            if let Err(error) = reboot(RebootCommand::Restart) {
                say(&format!("restarting: {error}"));
            }
        }
    }
    // The kernel panics when the first process exits.
    ExitCode::FAILURE
}
