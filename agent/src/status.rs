//! Reports for people and programs: each step with its time, the last error, and what the node
//! waits for.
//!
//! Lines go to standard error (journal and console), the state to `/run/kiln/status.json`, the
//! latest message to `/etc/issue.d` and, for `systemctl status`, to systemd. None of it is secret.

use crate::paths::ISSUE;
use crate::root::{Access, RootDir};
use crate::time::rfc3339;
use serde_json::json;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::time::{Instant, SystemTime};

const STATUS: &str = "/run/kiln/status.json";

/// The progress of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// In progress.
    Joining,
    /// There is no seed.
    NoSeed,
    /// The token does not work (any more).
    NeedsToken,
    /// The certificate was requested, and nobody has approved it yet.
    NeedsApproval,
    /// Something outside the node fails and is tried again.
    Waiting,
    /// It cannot succeed until a person changes something.
    Failed,
    /// kubelet has what it needs.
    Joined,
}

impl State {
    fn as_str(self) -> &'static str {
        match self {
            Self::Joining => "joining",
            Self::NoSeed => "no-seed",
            Self::NeedsToken => "needs-token",
            Self::NeedsApproval => "needs-approval",
            Self::Waiting => "waiting",
            Self::Failed => "failed",
            Self::Joined => "joined",
        }
    }
}

/// The destinations of the agent's reports.
pub struct Status {
    root: RootDir,
    /// systemd's `$NOTIFY_SOCKET`.
    notify: Option<PathBuf>,
    started: Instant,
    last_step: Instant,
    state: State,
    node: Option<String>,
    server: Option<String>,
    seed: Option<String>,
    request: Option<String>,
    error: Option<String>,
    remarks: Vec<String>,
    attempts: u64,
}

impl Status {
    /// Reports below `root`.
    pub fn new(root: RootDir, notify: Option<PathBuf>) -> Self {
        let now = Instant::now();
        Self {
            root,
            notify,
            started: now,
            last_step: now,
            state: State::Joining,
            node: None,
            server: None,
            seed: None,
            request: None,
            error: None,
            remarks: Vec::new(),
            attempts: 0,
        }
    }

    /// Reports a completed step: one line with the time it took.
    pub fn step(&mut self, text: &str) {
        let took = self.last_step.elapsed();
        self.last_step = Instant::now();
        say(&format!("{text} ({} ms)", took.as_millis()));
    }

    /// Sets the node's name.
    pub fn node(&mut self, name: &str) {
        self.node = Some(name.into());
    }

    /// Sets the API server.
    pub fn server(&mut self, server: &str) {
        self.server = Some(server.into());
    }

    /// Sets the source of its seed.
    pub fn seed(&mut self, from: &str) {
        self.seed = Some(from.into());
    }

    /// Sets the name of its certificate request.
    pub fn request(&mut self, name: &str) {
        self.request = Some(name.into());
    }

    /// Starts another attempt.
    pub fn attempt(&mut self) {
        self.attempts += 1;
        self.last_step = Instant::now();
    }

    /// Sets the state and its reason; reports them if they changed.
    pub fn set(&mut self, state: State, error: Option<&str>) {
        let is_news = self.state != state || self.error.as_deref() != error;
        self.state = state;
        self.error = error.map(str::to_owned);
        if is_news {
            self.publish();
            if let Some(error) = error {
                say(error);
            }
        }
    }

    /// Adds remarks that people should know, one line each.
    pub fn remark(&mut self, remarks: Vec<String>) {
        remarks.iter().for_each(|line| say(line));
        if !remarks.is_empty() {
            self.remarks = remarks;
            self.publish();
        }
    }

    /// The state of the node.
    pub fn state(&self) -> State {
        self.state
    }

    /// Time since the agent was started.
    pub fn elapsed(&self) -> std::time::Duration {
        self.started.elapsed()
    }

    /// Tells systemd that kubelet may start.
    pub fn ready(&self) {
        self.notify("READY=1");
    }

    fn publish(&self) {
        let status = json!({
            "state": self.state.as_str(),
            "node": self.node,
            "server": self.server,
            "seed": self.seed,
            "request": self.request,
            "error": self.error,
            "kubeletConfig": self.remarks,
            "attempts": self.attempts,
            "time": rfc3339(SystemTime::now()),
        });
        let text = match (self.state, &self.error) {
            (State::Joined, _) => format!(
                "{} of {}",
                self.node.as_deref().unwrap_or_default(),
                self.server.as_deref().unwrap_or_default()
            ),
            (_, Some(error)) => error.clone(),
            (state, None) => state.as_str().into(),
        };
        // A failure to report must not prevent joining.
        self.root.write(STATUS, format!("{status:#}\n").as_bytes(), Access::mode(0o644)).ok();
        // agetty interprets backslashes as escapes.
        let issue = [std::slice::from_ref(&text), self.remarks.as_slice()].concat().join("\n  ").replace('\\', "\\\\");
        let issue = format!("kiln: {}: {issue}\n", self.state.as_str());
        self.root.write(ISSUE, issue.as_bytes(), Access::mode(0o644)).ok();
        self.notify(&format!("STATUS={text}"));
    }

    /// sd_notify(3).
    fn notify(&self, message: &str) {
        let Some(path) = &self.notify else { return };
        let Ok(socket) = UnixDatagram::unbound() else { return };
        match path.as_os_str().as_bytes().strip_prefix(b"@") {
            Some(name) => {
                use std::os::linux::net::SocketAddrExt as _;
                if let Ok(address) = std::os::unix::net::SocketAddr::from_abstract_name(name) {
                    socket.send_to_addr(message.as_bytes(), &address).ok();
                }
            }
            None => {
                socket.send_to(message.as_bytes(), path).ok();
            }
        }
    }
}

/// Writes one line for journal and console.
pub fn say(text: &str) {
    // Not eprintln, which would panic if standard error is closed.
    writeln!(std::io::stderr(), "kiln-agent: {text}").ok();
}
