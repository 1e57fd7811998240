//! A guest whose console is this terminal.

use super::guest::lines;
use super::machine::spawn;
use super::{BootError, Handout, Machine, PxeSet};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};
use std::io;
use std::os::unix::net::UnixListener;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

/// Boots with the console on standard input and output until the guest powers off or Ctrl-C ends QEMU; both are success.
///
/// `report` is called with each line that the handout's script prints and the wall time since power-on.
///
/// # Errors
/// [`BootError`] when QEMU is not installed, does not start or fails.
pub fn attached(
    machine: &Machine,
    set: &PxeSet,
    handout: &Handout,
    mut report: impl FnMut(&str, Duration),
) -> Result<(), BootError> {
    let program = Machine::program(set.arch).0;
    let failed = |source| BootError::Qemu { program, source };
    let socket = tempfile::Builder::new().prefix("kiln-boot").tempdir().map_err(failed)?;
    let path = socket.path().join("report");
    let listener = UnixListener::bind(&path).map_err(failed)?;
    // Ctrl-C goes to the whole foreground group: QEMU ends by it, and we outlive QEMU to clean up.
    let interrupted = Arc::new(AtomicBool::new(false));
    let handler = signal_hook::flag::register(signal_hook::consts::SIGINT, interrupted).map_err(failed)?;
    let _terminal = Terminal::save();
    let mut command = Command::new(program);
    command.args(["-chardev", "stdio,id=console,signal=on"]).args(machine.arguments(set, handout, Some(&path)));
    let started = Instant::now();
    let mut qemu = spawn(command.stdin(Stdio::inherit()), set.arch)?;
    let receiver = lines(listener);
    let status = loop {
        match receiver.recv_timeout(Duration::from_millis(100)) {
            Ok(line) => report(&line, started.elapsed()),
            Err(RecvTimeoutError::Disconnected) => break qemu.wait(),
            Err(RecvTimeoutError::Timeout) => match qemu.try_wait() {
                Ok(None) => {}
                Ok(Some(status)) => break Ok(status),
                Err(error) => break Err(error),
            },
        }
    };
    signal_hook::low_level::unregister(handler);
    match status.map_err(failed)? {
        status if status.success() => Ok(()),
        status => Err(BootError::Failed { program, status, message: String::new() }),
    }
}

/// The terminal's settings, put back when dropped: QEMU does so too, unless it was killed.
struct Terminal(Option<Termios>);

impl Terminal {
    fn save() -> Self {
        Self(tcgetattr(io::stdin()).ok())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if let Some(settings) = &self.0 {
            tcsetattr(io::stdin(), OptionalActions::Now, settings).ok();
        }
    }
}
