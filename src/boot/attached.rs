//! Runs a guest whose console is this terminal.

use super::guest::lines;
use super::machine::spawn;
use super::{BootError, Handout, Image, Machine};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag::register;
use signal_hook::low_level::unregister;
use std::io::{self, IsTerminal as _, Write as _};
use std::os::unix::net::UnixListener;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::RecvTimeoutError;
use std::thread;
use std::time::{Duration, Instant};

/// The interval at which the guest and signals are checked.
const TICK: Duration = Duration::from_millis(50);

/// Boots with the console on standard input and output until the guest powers off or Ctrl-C ends
/// QEMU; both count as success.
///
/// Calls `report` with each line that the handout's script prints and the wall time since power-on.
///
/// # Errors
/// [`BootError`] when QEMU is not installed, does not start or fails.
pub fn run_attached<'a>(
    machine: &Machine,
    image: impl Into<Image<'a>>,
    handout: &Handout,
    mut report: impl FnMut(&str, Duration),
) -> Result<(), BootError> {
    let image = image.into();
    let program = Machine::program(image.arch()).0;
    let failed = |source| BootError::Qemu { program, source };
    let socket = tempfile::Builder::new().prefix("kiln-boot").tempdir().map_err(failed)?;
    let path = socket.path().join("report");
    let listener = UnixListener::bind(&path).map_err(failed)?;
    // Ctrl-C goes to the whole foreground process group: it ends QEMU; kiln ignores it and cleans
    // up.
    let interrupted = Arc::new(AtomicBool::new(false));
    let terminated = Arc::new(AtomicBool::new(false));
    let mut handlers = vec![register(SIGINT, interrupted).map_err(failed)?];
    for signal in [SIGTERM, SIGHUP] {
        handlers.push(register(signal, Arc::clone(&terminated)).map_err(failed)?);
    }
    let _terminal = Terminal::save();
    let mut command = Command::new(program);
    command.args(["-chardev", "stdio,id=console,signal=on"]).args(machine.arguments(image, handout, Some(&path)));
    let started = Instant::now();
    let mut qemu = spawn(command.stdin(Stdio::inherit()), image.arch())?;
    let receiver = lines(listener);
    let status = loop {
        match receiver.recv_timeout(TICK) {
            Ok(line) => report(&line, started.elapsed()),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => thread::sleep(TICK),
        }
        if terminated.swap(false, Ordering::Relaxed) {
            qemu.kill().map_err(failed)?;
        }
        match qemu.try_wait() {
            Ok(None) => {}
            Ok(Some(status)) => break Ok(status),
            Err(error) => break Err(error),
        }
    };
    receiver.try_iter().for_each(|line| report(&line, started.elapsed()));
    handlers.into_iter().for_each(|handler| {
        unregister(handler);
    });
    match status.map_err(failed)? {
        status if status.success() => Ok(()),
        status => Err(BootError::Failed { program, status, message: String::new() }),
    }
}

/// Restores line wrapping and default colours (DEC private mode 7, ECMA-48), which firmware
/// changes.
const RESET: &[u8] = b"\x1b[?7h\x1b[0m";

/// The terminal's settings, restored on drop: QEMU restores them too, unless it is killed.
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
        let mut console = io::stdout();
        if console.is_terminal() {
            console.write_all(RESET).and_then(|()| console.flush()).ok();
        }
    }
}
