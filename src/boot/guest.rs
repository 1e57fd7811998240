//! Runs a guest without a terminal: stores its console output and reads its report line by line.

use super::handout;
use super::machine::spawn;
use super::{BootError, Handout, Image, Machine};
use kiln_profile::Arch;
use std::io::{BufRead as _, BufReader, Read};
use std::os::unix::net::UnixListener;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// The maximum number of console bytes that are stored; later output is dropped.
const CONSOLE_LIMIT: usize = 16 << 20;

/// A running guest; killed on drop.
#[derive(Debug)]
pub struct Guest {
    qemu: Child,
    arch: Arch,
    started: Instant,
    console: Arc<Mutex<Vec<u8>>>,
    report: Receiver<String>,
    _socket: tempfile::TempDir,
}

impl Guest {
    /// Powers on a guest. [`Guest::uptime`] counts from here.
    ///
    /// # Errors
    /// [`BootError`] when QEMU is not installed or does not start.
    pub fn start<'a>(machine: &Machine, image: impl Into<Image<'a>>, handout: &Handout) -> Result<Self, BootError> {
        let image = image.into();
        let program = Machine::program(image.arch()).0;
        let failed = |source| BootError::Qemu { program, source };
        let socket = tempfile::Builder::new().prefix("kiln-boot").tempdir().map_err(failed)?;
        let path = socket.path().join("report");
        let listener = UnixListener::bind(&path).map_err(failed)?;
        let mut command = Command::new(program);
        command.args(["-chardev", "stdio,id=console,signal=off"]);
        command.args(machine.arguments(image, handout, Some(&path)));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let started = Instant::now();
        let mut qemu = spawn(&mut command, image.arch())?;
        let console = Arc::new(Mutex::new(Vec::new()));
        for stream in [qemu.stdout.take().map(boxed), qemu.stderr.take().map(boxed)].into_iter().flatten() {
            let console = Arc::clone(&console);
            thread::spawn(move || keep(stream, &console));
        }
        Ok(Self { qemu, arch: image.arch(), started, console, report: lines(listener), _socket: socket })
    }

    /// Wall time since power-on.
    pub fn uptime(&self) -> Duration {
        self.started.elapsed()
    }

    /// Waits for the next line of the report, at most until `limit` after power-on; `wanted` is
    /// what the caller expects, for error messages.
    ///
    /// # Errors
    /// [`BootError::TimedOut`], or [`BootError::Ended`] when QEMU exited before.
    pub fn line(&mut self, wanted: &str, limit: Duration) -> Result<String, BootError> {
        loop {
            let left = limit.saturating_sub(self.uptime());
            match self.report.recv_timeout(left.min(Duration::from_millis(500))) {
                Ok(line) => return Ok(line),
                Err(RecvTimeoutError::Timeout) if left.is_zero() => {
                    return Err(BootError::TimedOut { wanted: wanted.into(), limit });
                }
                Err(RecvTimeoutError::Disconnected) => return Err(BootError::Ended { wanted: wanted.into() }),
                Err(RecvTimeoutError::Timeout) if self.ended() => {
                    let last = self.report.try_recv();
                    return last.map_err(|_| BootError::Ended { wanted: wanted.into() });
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    /// Reads the report up to the line `last`, at most until `limit` after power-on; returns the
    /// lines before it.
    ///
    /// # Errors
    /// As [`Guest::line`].
    pub fn lines_until(&mut self, last: &str, limit: Duration) -> Result<Vec<String>, BootError> {
        let mut lines = Vec::new();
        loop {
            match self.line(last, limit)? {
                line if line == last => return Ok(lines),
                line => lines.push(line),
            }
        }
    }

    /// Waits until the guest powers off, at most until `limit` after power-on.
    ///
    /// # Errors
    /// [`BootError::TimedOut`], or [`BootError::Failed`] when QEMU reports a failure.
    pub fn wait(&mut self, limit: Duration) -> Result<(), BootError> {
        let program = Machine::program(self.arch).0;
        loop {
            match self.qemu.try_wait().map_err(|source| BootError::Qemu { program, source })? {
                Some(status) if status.success() => return Ok(()),
                Some(status) => return Err(BootError::Failed { program, status, message: self.console_tail() }),
                None if self.uptime() >= limit => {
                    return Err(BootError::TimedOut { wanted: "power-off".into(), limit });
                }
                None => thread::sleep(Duration::from_millis(50)),
            }
        }
    }

    /// Waits until `text` is on the console, at most until `limit` after power-on.
    ///
    /// # Errors
    /// As [`Guest::line`].
    pub fn console_says(&mut self, text: &str, limit: Duration) -> Result<(), BootError> {
        loop {
            let ended = self.ended();
            if self.console().contains(text) {
                return Ok(());
            }
            if ended {
                return Err(BootError::Ended { wanted: text.into() });
            }
            if self.uptime() >= limit {
                return Err(BootError::TimedOut { wanted: text.into(), limit });
            }
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Cuts the power: the guest gets no chance to write anything.
    pub fn cut_power(mut self) {
        self.qemu.kill().ok();
        self.qemu.wait().ok();
    }

    /// The console output so far, and QEMU's own messages.
    pub fn console(&self) -> String {
        let bytes = self.console.lock().map(|bytes| bytes.clone()).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn console_tail(&self) -> String {
        let console = self.console();
        console.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default().to_owned()
    }

    fn ended(&mut self) -> bool {
        !matches!(self.qemu.try_wait(), Ok(None))
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.qemu.kill().ok();
        self.qemu.wait().ok();
    }
}

fn boxed(stream: impl Read + Send + 'static) -> Box<dyn Read + Send> {
    Box::new(stream)
}

/// Appends `stream` to `console` until it ends.
fn keep(mut stream: Box<dyn Read + Send>, console: &Mutex<Vec<u8>>) {
    let mut block = [0; 4096];
    while let Ok(length @ 1..) = stream.read(&mut block) {
        if let Ok(mut console) = console.lock()
            && console.len() < CONSOLE_LIMIT
        {
            console.extend_from_slice(&block[..length]);
        }
    }
}

/// Receives the lines that a handout's script prints, from the first connection. When QEMU exits
/// before it connects, the thread stays in accept(2) until the process exits.
pub(super) fn lines(listener: UnixListener) -> Receiver<String> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        let Ok((stream, _)) = listener.accept() else { return };
        let mut reader = BufReader::new(stream);
        let mut line = Vec::new();
        let mut begun = false;
        while let Ok(1..) = reader.by_ref().take(1 << 20).read_until(b'\n', &mut line) {
            let text = String::from_utf8_lossy(&line).trim_end().to_owned();
            line.clear();
            if !begun {
                begun = text == handout::BEGIN;
            } else if sender.send(text).is_err() {
                return;
            }
        }
    });
    receiver
}
