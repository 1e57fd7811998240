//! A separate network with a metadata service at 169.254.169.254 and the API server only. Any user
//! can create one.

use super::service::Service;
use crate::cluster::agent::{Agent, Machine};
use crate::cluster::control_plane::ControlPlane;
use std::io::{self, BufRead as _, BufReader};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use tempfile::TempDir;

/// A socket file is reachable from every network namespace. Answers have a time to live of one hop,
/// as on EC2.
const SCRIPT: &str = "\
set -e
ip link set lo up
ip address add 169.254.169.254/32 dev lo
socat TCP-LISTEN:80,bind=169.254.169.254,reuseaddr,fork,ttl=1 UNIX-CONNECT:service &
socat TCP-LISTEN:$1,bind=127.0.0.1,reuseaddr,fork UNIX-CONNECT:api &
until [ \"$(grep -c ' 0A 0' /proc/net/tcp)\" = 2 ]; do sleep 0.05; done
echo ready
wait
";

/// Removed on drop, with all processes in it.
pub(super) struct Namespace {
    /// The parent of its first process.
    holder: Child,
    _directory: TempDir,
}

impl Namespace {
    /// Creates a namespace with `service`, and the API server on its usual port.
    pub(super) fn new(service: &Service, plane: &'static ControlPlane) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let listen = |name: &str| UnixListener::bind(directory.path().join(name)).expect("a socket");
        service.serve(listen("service"));
        relay(listen("api"), plane.port);
        let mut command = Command::new("unshare");
        command.args([
            "--user",
            "--map-root-user",
            "--net",
            "--pid",
            "--fork",
            "--kill-child",
            "sh",
            "-c",
            SCRIPT,
            "sh",
        ]);
        command.arg(plane.port.to_string()).current_dir(directory.path());
        command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").stdout(Stdio::piped());
        let mut holder = command.spawn().expect("install the Debian package util-linux");
        let mut line = String::new();
        BufReader::new(holder.stdout.take().expect("a pipe")).read_line(&mut line).expect("a line");
        assert_eq!(line, "ready\n", "install the Debian packages iproute2 and socat, and allow user namespaces");
        Self { holder, _directory: directory }
    }

    /// Starts the agent in it.
    pub(super) fn boot(&self, machine: &Machine) -> Agent {
        let holder = self.holder.id().to_string();
        machine.boot_by(&["nsenter", "--user", "--net", "--preserve-credentials", "--target", &holder, "--"])
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        self.holder.kill().ok();
        self.holder.wait().ok();
    }
}

/// Forwards connections to a port of this host.
fn relay(listener: UnixListener, port: u16) {
    thread::spawn(move || {
        for near in listener.incoming().map_while(Result::ok) {
            let Ok(far) = TcpStream::connect(("127.0.0.1", port)) else { continue };
            both_ways(near, far).expect("sockets");
        }
    });
}

fn both_ways(near: UnixStream, far: TcpStream) -> io::Result<()> {
    let (mut from, mut to) = (near.try_clone()?, far.try_clone()?);
    thread::spawn(move || {
        io::copy(&mut from, &mut to).ok();
        to.shutdown(Shutdown::Write).ok();
    });
    let (mut from, mut to) = (far, near);
    thread::spawn(move || {
        io::copy(&mut from, &mut to).ok();
        to.shutdown(Shutdown::Write).ok();
    });
    Ok(())
}
