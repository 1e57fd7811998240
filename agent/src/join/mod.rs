//! The first boot from start to end, and later boots, which have nothing to do.

mod attempt;
mod fault;

use crate::clock;
use crate::install::{self, Node};
use crate::kubelet_config;
use crate::net::Backoff;
use crate::paths::{BOOTSTRAP_CONF, KUBELET_CONF};
use crate::root::{FileError, RootDir};
use crate::source::{self, Forgotten};
use crate::status::{State, Status, say};
use attempt::Attempt;
use fault::Fault;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, SystemTime};

/// The longest wait between attempts by default.
const LONGEST: Duration = Duration::from_secs(30);

/// The agent's parameters.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The directory used as `/`.
    pub root: RootDir,
    /// systemd's `$CREDENTIALS_DIRECTORY`.
    pub credentials: Option<PathBuf>,
    /// systemd's `$NOTIFY_SOCKET`.
    pub notify: Option<PathBuf>,
}

/// The result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// kubelet has what it needs, or another tool manages its credentials.
    Ready,
    /// There is no seed.
    NoSeed,
    /// A person must change something before another start can succeed.
    Failed,
    /// The machine's own files cannot be read or written.
    Broken,
}

/// Joins, or finds that the node has already joined.
pub fn run(setup: &Setup) -> End {
    let mut status = Status::new(setup.root.clone(), setup.notify.clone());
    match known(&setup.root, &mut status) {
        Ok(true) => return ready(&setup.root, &mut status),
        Ok(false) => {}
        Err(error) => return broken(&mut status, &error),
    }
    status.set(State::Joining, None);
    clock::wait_for_route(&setup.root);
    let mut backoff = Backoff::new(LONGEST);
    let mut attempt = Attempt::new(setup);
    loop {
        status.attempt();
        let fault = match attempt.run(&mut status) {
            Ok(node) => {
                status.node(&node.name);
                status.server(&node.server.server());
                return ready(&setup.root, &mut status);
            }
            Err(fault) => fault,
        };
        match fault {
            Fault::NoSeed => {
                status.set(State::NoSeed, None);
                let asked = source::remark(&setup.root);
                say(&format!("there is no seed ({asked}): this machine joins no cluster"));
                status.ready();
                return End::NoSeed;
            }
            Fault::Final(text) => {
                status.set(State::Failed, Some(&text));
                return End::Failed;
            }
            Fault::Files(error) => return broken(&mut status, &error),
            Fault::Again => backoff.reset(),
            Fault::Later { state, text, at_least } => {
                status.set(state, Some(&text));
                thread::sleep(backoff.wait(at_least));
            }
        }
    }
}

/// Whether this machine is a node already; if so, its files are brought up to date.
fn known(root: &RootDir, status: &mut Status) -> Result<bool, FileError> {
    let node = match Node::load(root) {
        Ok(Some(node)) => node,
        Ok(None) if root.at(KUBELET_CONF).exists() || root.at(BOOTSTRAP_CONF).exists() => {
            say("kubelet has credentials that another hand brought; they are left alone");
            return Ok(true);
        }
        Ok(None) => return Ok(false),
        Err(error) => {
            say(&format!("{error}; joining anew"));
            root.remove(KUBELET_CONF)?;
            return Ok(false);
        }
    };
    let mut why = None;
    let found = install::load_certificate(root, &node.name, &node.trusted.authorities, SystemTime::now(), &mut why)?;
    if let Some(certificate) = found {
        if !root.at(KUBELET_CONF).exists() {
            forget_token(root);
        }
        status.node(&node.name);
        status.server(&node.server.server());
        // A machine that has lost its clock keeps its certificate. kubelet waits for the clock,
        // too, so it is started anyway.
        let mut report = |why: &str| status.set(State::Waiting, Some(why));
        clock::wait_for_clock(root, certificate.not_before, "the client certificate was issued", &mut report).ok();
        install::install(root, &node)?;
        status.step("the client certificate is valid");
        return Ok(true);
    }
    // kubelet must not start with an incomplete credential.
    root.remove(KUBELET_CONF)?;
    match why {
        Some(why) => say(&format!("{why}; joining anew")),
        None => say("the client certificate is gone; joining anew"),
    }
    Ok(false)
}

/// Removes the token from the volumes that delivered it. Joining succeeds even if that fails.
fn forget_token(root: &RootDir) {
    if !root.is_kept() {
        // The next boot must join again.
        return;
    }
    for Forgotten { device, result } in source::forget(root) {
        match result {
            Ok(()) => say(&format!("the token on {device} is overwritten")),
            Err(error) => say(&format!("the token is still on {device}, until it expires: overwriting it: {error}")),
        }
    }
}

fn ready(root: &RootDir, status: &mut Status) -> End {
    status.set(State::Joined, None);
    say(&format!("ready ({} ms since start)", status.elapsed().as_millis()));
    status.ready();
    // kubelet starts at the same time.
    status.remark(kubelet_config::compare(root));
    End::Ready
}

fn broken(status: &mut Status, error: &FileError) -> End {
    status.set(State::Failed, Some(&error.to_string()));
    End::Broken
}
