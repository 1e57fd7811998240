//! HTTPS servers other than Kubernetes': `openssl s_server`, with files to serve and certificates
//! of a new authority.

use crate::cluster::control_plane::{free_ports, openssl, pin_by_openssl};
use std::fs;
use std::net::{IpAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// A point in time for `faketime`.
pub(super) const FUTURE: &str = "2040-01-01 00:00:00";

/// A certificate authority in its own directory.
pub(super) struct Authority {
    directory: tempfile::TempDir,
    /// Its certificate.
    pub pem: String,
}

impl Authority {
    pub(super) fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let at = |name: &str| directory.path().join(name).display().to_string();
        fs::write(at("ca.key"), new_key()).expect("written");
        let (key, certificate) = (at("ca.key"), at("ca.crt"));
        let subject = ["-subj", "/CN=authority", "-days", "20000"];
        openssl(&[&["req", "-x509", "-new", "-key", &key, "-out", &certificate], &subject[..]].concat(), b"");
        Self { pem: fs::read_to_string(certificate).expect("a certificate"), directory }
    }

    /// The paths of its certificate and its key.
    pub(super) fn files(&self) -> [String; 2] {
        ["ca.crt", "ca.key"].map(|name| self.directory.path().join(name).display().to_string())
    }

    /// The pin of its key.
    pub(super) fn pin(&self) -> String {
        pin_by_openssl(&self.files()[0])
    }
}

/// A new private key in PEM.
pub(super) fn new_key() -> String {
    openssl(&["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"], b"") + "\n"
}

/// The public key in PEM of the private key `pem`.
pub(super) fn public_key(pem: &str) -> String {
    openssl(&["pkey", "-pubout"], pem.as_bytes()) + "\n"
}

/// A certificate in PEM for a public key, issued by the authority in the files `[certificate, key]`
/// at the time `when`, in the syntax of faketime(1).
pub(super) fn sign([ca, key]: &[String; 2], public: &str, subject: &str, extension: &str, when: &str) -> String {
    let directory = tempfile::tempdir().expect("a directory");
    let at = |name: &str| directory.path().join(name).display().to_string();
    fs::write(at("public.pem"), public).expect("written");
    fs::write(at("extension"), extension).expect("written");
    let mut command = Command::new("faketime");
    command.args([when, "openssl", "x509", "-new", "-days", "3650", "-set_serial", "7", "-subj", subject]);
    command.args(["-force_pubkey", &at("public.pem"), "-CA", ca, "-CAkey", key, "-extfile", &at("extension")]);
    let output = command.output().expect("faketime: install the Debian package faketime");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("PEM")
}

/// `openssl s_server`, which answers `GET /PATH` with the file of that path.
pub(super) struct Server {
    _directory: tempfile::TempDir,
    child: Child,
    pub port: u16,
}

impl Server {
    /// Starts a server named `host` with a certificate of `authority` that is valid from `when` on.
    /// The files are complete HTTP responses.
    pub(super) fn new(authority: &Authority, host: &str, when: &str, files: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let at = |name: &str| directory.path().join(name);
        for (path, content) in files {
            let path = at(path);
            fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
            fs::write(path, content).expect("written");
        }
        let kind = if host.parse::<IpAddr>().is_ok() { "IP" } else { "DNS" };
        let key = new_key();
        let san = format!("subjectAltName={kind}:{host}");
        let certificate = sign(&authority.files(), &public_key(&key), "/CN=server", &san, when);
        fs::write(at("server.pem"), certificate + &key).expect("written");
        let [port] = free_ports();
        let mut command = Command::new("openssl");
        command.args(["s_server", "-quiet", "-HTTP", "-cert", "server.pem", "-key", "server.pem"]);
        command.args(["-accept", &format!("127.0.0.1:{port}"), "-cert_chain", &authority.files()[0]]);
        command.current_dir(directory.path()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().expect("openssl: install the Debian package openssl");
        let started = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(started.elapsed() < Duration::from_secs(30), "openssl s_server does not start");
            thread::sleep(Duration::from_millis(50));
        }
        Self { _directory: directory, child, port }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
