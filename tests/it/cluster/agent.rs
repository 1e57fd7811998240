//! Runs the agent as a process, with a directory in place of a machine's root.

use serde_json::Value;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

/// The time limit for a step of the agent, which takes a second on an idle machine.
pub(crate) const LIMIT: Duration = Duration::from_secs(120);

/// A machine, represented by its files.
pub(crate) struct Machine {
    directory: tempfile::TempDir,
}

impl Machine {
    /// A machine with a seed.
    pub(crate) fn new(seed: &str) -> Self {
        // Not in /tmp, which may be a tmpfs: the agent behaves differently on machines without
        // disks.
        let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"));
        let machine = Self { directory: directory.expect("a directory") };
        fs::create_dir_all(machine.root()).expect("a directory");
        machine.reseed(seed);
        machine
    }

    /// Replaces the seed.
    pub(crate) fn reseed(&self, seed: &str) {
        fs::create_dir_all(self.credentials()).expect("a directory");
        fs::write(self.credentials().join("kiln.seed"), seed).expect("written");
    }

    /// The `$CREDENTIALS_DIRECTORY` of systemd.
    pub(crate) fn credentials(&self) -> PathBuf {
        self.directory.path().join("credentials")
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.directory.path().join("root")
    }

    /// The path of a file of the machine on this host.
    pub(crate) fn at(&self, path: &str) -> PathBuf {
        self.root().join(path.trim_start_matches('/'))
    }

    pub(crate) fn read(&self, path: &str) -> String {
        fs::read_to_string(self.at(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// The value of `field` in `/run/kiln/status.json`.
    pub(crate) fn status(&self, field: &str) -> String {
        let text = fs::read_to_string(self.at("/run/kiln/status.json")).unwrap_or_default();
        let status: Value = serde_json::from_str(&text).unwrap_or_default();
        status[field].as_str().unwrap_or_default().to_owned()
    }

    /// Whether kubelet would start: it has what its unit requires.
    pub(crate) fn is_joined(&self) -> bool {
        self.at("/etc/kubernetes/kubelet.conf").exists()
    }

    /// The file of the current client certificate; the link to it has a path of the machine.
    pub(crate) fn certificate(&self) -> PathBuf {
        let link = self.at("/var/lib/kubelet/pki/kubelet-client-current.pem");
        self.at(&fs::read_link(link).expect("a link").display().to_string())
    }

    /// kubelet's kubeconfig with the host's paths.
    pub(crate) fn kubeconfig(&self) -> PathBuf {
        let text = self.read("/etc/kubernetes/kubelet.conf");
        let current = "/var/lib/kubelet/pki/kubelet-client-current.pem";
        let text = text.replace(current, &self.certificate().display().to_string());
        let text =
            text.replace("/etc/kubernetes/pki/ca.crt", &self.at("/etc/kubernetes/pki/ca.crt").display().to_string());
        let path = self.directory.path().join("kubeconfig");
        fs::write(&path, text).expect("written");
        path
    }

    /// Starts the agent.
    pub(crate) fn boot(&self) -> Agent {
        self.boot_by(&[])
    }

    /// Starts the agent through a wrapper: a program and its arguments, followed by the agent's
    /// command line.
    pub(crate) fn boot_by(&self, wrapper: &[&str]) -> Agent {
        self.start(wrapper, &[])
    }

    /// Starts the agent as kiln-pod-cidr.service does.
    pub(crate) fn pod_cidr(&self) -> Agent {
        self.start(&[], &["pod-cidr"])
    }

    fn start(&self, wrapper: &[&str], verb: &[&str]) -> Agent {
        let words: Vec<&str> =
            wrapper.iter().copied().chain([program()]).chain(verb.iter().copied()).chain(["--root"]).collect();
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).arg(self.root()).env("CREDENTIALS_DIRECTORY", self.credentials());
        command.stdin(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| {
            panic!("{}: {error}: install the Debian packages strace, time and util-linux", words[0])
        });
        let stderr = BufReader::new(child.stderr.take().expect("a pipe"));
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                sender.send(line).ok();
            }
        });
        Agent { child, lines, said: Vec::new() }
    }

    /// Runs the agent to its end under time(1); returns the output of both, which ends with peak
    /// memory in KiB and seconds.
    pub(crate) fn under_time(&self) -> String {
        self.boot_by(&["/usr/bin/time", "-f", "%M %e"]).end().1.join("\n")
    }

    /// Runs the agent to its end; it must succeed.
    pub(crate) fn join(&self) -> Vec<String> {
        let (code, said) = self.boot().end();
        assert_eq!(code, Some(0), "{said:#?}");
        said
    }
}

/// A running agent; killed on drop.
pub(crate) struct Agent {
    child: Child,
    lines: Receiver<String>,
    said: Vec<String>,
}

impl Agent {
    /// Waits for a line that contains `text`.
    pub(crate) fn wait_for(&mut self, text: &str) -> String {
        self.line(|line| line.contains(text)).unwrap_or_else(|| panic!("{text:?} was not printed: {:#?}", self.said))
    }

    /// Waits for line number `count` (from 0); `None` if the agent prints fewer lines.
    pub(crate) fn wait_for_line(&mut self, count: usize) -> Option<String> {
        let mut left = count + 1;
        self.line(|_| {
            left -= 1;
            left == 0
        })
    }

    fn line(&mut self, mut is_it: impl FnMut(&str) -> bool) -> Option<String> {
        let deadline = Instant::now() + LIMIT;
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    self.said.push(line.clone());
                    if is_it(&line) {
                        return Some(line);
                    }
                }
                Err(RecvTimeoutError::Timeout) => panic!("no further line was printed: {:#?}", self.said),
                Err(RecvTimeoutError::Disconnected) => return None,
            }
        }
    }

    /// Waits until it exits; returns the exit status (`None` if killed) and all lines that it
    /// printed.
    pub(crate) fn end(mut self) -> (Option<i32>, Vec<String>) {
        while self.line(|_| true).is_some() {}
        let status = self.child.wait().expect("a child");
        (status.code(), std::mem::take(&mut self.said))
    }

    /// SIGKILL.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("ended");
    }

    /// Whether it is still running.
    pub(crate) fn runs(&mut self) -> bool {
        self.child.try_wait().expect("a child").is_none()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Permissions of a file.
pub(crate) fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::MetadataExt as _;
    fs::metadata(path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).mode() & 0o7777
}

/// The agent of every image, as a program on this host. `kiln` writes the file, because a program
/// that this process has open for writing cannot be executed (ETXTBSY), and a thread that forks at
/// that moment would inherit the open file.
fn program() -> &'static str {
    static PROGRAM: OnceLock<String> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let path = format!("{}/kiln-agent-{}", env!("CARGO_TARGET_TMPDIR"), std::process::id());
        let status = Command::new(env!("CARGO_BIN_EXE_kiln")).args(["agent", "--extract", &path]).status();
        assert!(status.expect("kiln starts").success(), "kiln agent --extract {path}");
        path
    })
}
