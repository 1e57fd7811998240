//! Makes and verifies keys and signatures with GnuPG.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

/// A home directory with a separate agent; both are removed when it is dropped.
pub struct Gnupg {
    home: TempDir,
}

impl Gnupg {
    /// An empty home.
    pub fn empty() -> Self {
        Self { home: tempfile::Builder::new().prefix("kiln-gpg").tempdir().expect("a home") }
    }

    /// A home with one Ed25519 key that certifies and signs, made on 2026-01-01.
    pub fn with_key(owner: &str) -> Self {
        let gnupg = Self::empty();
        gnupg.generate(owner, "ed25519", "sign", "never");
        gnupg
    }

    fn run(&self, program: &str, arguments: &[&str], input: &[u8]) -> Output {
        let mut child = Command::new(program)
            .env("GNUPGHOME", self.home.path())
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("running {program}: {error}; install the Debian packages gnupg and gpgv"));
        let mut stdin = child.stdin.take().expect("its input");
        std::thread::scope(|scope| {
            // A program that rejects its input early closes the pipe.
            scope.spawn(move || drop(stdin.write_all(input)));
            child.wait_with_output().expect("its output")
        })
    }

    /// Runs gpg at a given time, `20260101T000000`.
    pub fn gpg(&self, time: &str, arguments: &[&str], input: &[u8]) -> Vec<u8> {
        let time = format!("{time}!");
        let mut all =
            vec!["--batch", "--quiet", "--no-tty", "--yes", "--pinentry-mode", "loopback", "--passphrase", ""];
        all.extend(["--faked-system-time", &time]);
        all.extend(arguments);
        let output = self.run("gpg", &all, input);
        assert!(output.status.success(), "gpg {all:?}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    /// Makes a key on 2026-01-01, with the arguments of gpg(1) `--quick-generate-key`.
    pub fn generate(&self, owner: &str, algorithm: &str, usage: &str, expire: &str) {
        self.gpg("20260101T000000", &["--quick-generate-key", owner, algorithm, usage, expire], b"");
    }

    /// The fingerprint of the first key.
    pub fn fingerprint(&self) -> String {
        let listing = String::from_utf8(self.gpg("20260101T000000", &["--with-colons", "--list-keys"], b""));
        let listing = listing.expect("UTF-8");
        let line = listing.lines().find(|line| line.starts_with("fpr:")).expect("a key");
        line.split(':').nth(9).expect("a fingerprint").to_owned()
    }

    /// All public keys, not armored.
    pub fn export(&self) -> Vec<u8> {
        self.gpg("20260101T000000", &["--export"], b"")
    }

    /// Signs on 2026-11-01 in the format of `InRelease`.
    pub fn sign(&self, text: &str) -> Vec<u8> {
        self.sign_with(text, &["--digest-algo", "SHA256"])
    }

    /// Like [`Gnupg::sign`], with more options of gpg(1).
    pub fn sign_with(&self, text: &str, options: &[&str]) -> Vec<u8> {
        let mut arguments = options.to_vec();
        arguments.push("--clearsign");
        self.gpg("20261101T000000", &arguments, text.as_bytes())
    }
}

impl Drop for Gnupg {
    fn drop(&mut self) {
        self.run("gpgconf", &["--kill", "all"], b"");
    }
}

/// The verdict of gpgv on a message, by the rule of apt's method gpgv: at least one good signature
/// and no bad one. Returns the text that gpgv considers signed.
pub fn gpgv(message: &[u8], keyring: &Path) -> Result<String, String> {
    let directory = tempfile::tempdir().expect("a directory");
    let (input, text) = (directory.path().join("message"), directory.path().join("text"));
    std::fs::write(&input, message).expect("a file");
    let output = Command::new("gpgv")
        .args(["--status-fd", "1", "--weak-digest", "SHA1", "--keyring"])
        .arg(keyring)
        .arg("--output")
        .args([&text, &input])
        .output()
        .unwrap_or_else(|error| panic!("running gpgv: {error}; install the Debian package gpgv"));
    let status = String::from_utf8_lossy(&output.stdout).into_owned();
    let says = |word: &str| status.lines().any(|line| line.split(' ').nth(1) == Some(word));
    let text = std::fs::read_to_string(&text).ok();
    match text {
        Some(text) if says("GOODSIG") && says("VALIDSIG") && !says("BADSIG") && !says("ERRSIG") => Ok(text),
        _ => Err(status + &String::from_utf8_lossy(&output.stderr)),
    }
}

/// Writes a keyring for gpgv.
pub fn keyring_file(directory: &TempDir, bytes: &[u8]) -> PathBuf {
    let path = directory.path().join("keyring.gpg");
    std::fs::write(&path, bytes).expect("a file");
    path
}
