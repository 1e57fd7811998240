//! What a person at the screen sees, and a program reads: each step with its time, the last error, what the node waits for.
//!
//! Lines go to standard error (journal and console), the state to `/run/kiln/status.json`, the last word to `/etc/issue.d`, systemd gets
//! it for `systemctl status`. Nothing in here is secret.

use crate::root::{Access, Root};
use crate::time::rfc3339;
use serde_json::json;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::time::{Instant, SystemTime};

const STATUS: &str = "/run/kiln/status.json";
const ISSUE: &str = "/etc/issue.d/50-kiln.issue";

/// How far a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// On its way.
    Joining,
    /// Nothing says which cluster.
    NoSeed,
    /// The token does not work (any more).
    NeedsToken,
    /// Asked, and nobody has approved.
    NeedsApproval,
    /// Something outside does not work, and is tried again.
    Waiting,
    /// It will not work until a person changes something.
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

/// Where the agent reports.
pub struct Status {
    root: Root,
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
    pub fn new(root: Root, notify: Option<PathBuf>) -> Self {
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

    /// A step is done: one line, with the time it took.
    pub fn step(&mut self, text: &str) {
        let took = self.last_step.elapsed();
        self.last_step = Instant::now();
        say(&format!("{text} ({} ms)", took.as_millis()));
    }

    /// Which node this is.
    pub fn node(&mut self, name: &str) {
        self.node = Some(name.into());
    }

    /// Which API server it joins.
    pub fn server(&mut self, server: &str) {
        self.server = Some(server.into());
    }

    /// Where its seed came from.
    pub fn seed(&mut self, from: &str) {
        self.seed = Some(from.into());
    }

    /// The name of its certificate request.
    pub fn request(&mut self, name: &str) {
        self.request = Some(name.into());
    }

    /// Another attempt begins.
    pub fn attempt(&mut self) {
        self.attempts += 1;
        self.last_step = Instant::now();
    }

    /// The state is another, or the reason for it is; says so if that is news.
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

    /// What a person should know of a node all the same, a line each.
    pub fn remark(&mut self, remarks: Vec<String>) {
        remarks.iter().for_each(|line| say(line));
        if !remarks.is_empty() {
            self.remarks = remarks;
            self.publish();
        }
    }

    /// How far the node is.
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
        // Not to be able to report is no reason not to join.
        self.root.write(STATUS, format!("{status:#}\n").as_bytes(), Access::mode(0o644)).ok();
        // agetty reads backslashes as escapes.
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

/// One line for journal and console.
pub fn say(text: &str) {
    // Not eprintln: a closed standard error is no reason to end.
    writeln!(std::io::stderr(), "kiln-agent: {text}").ok();
}
