//! A site for builds: profiles, a signed mirror on 127.0.0.1, a cache and an output, all removed on
//! drop.

use super::gnupg::Gnupg;
use super::server::{Request, Server, Stream, answer, head, ranged};
use super::synthetic::{Package, mirror, node, packages_text, release_text};
use kiln_tree::Digest;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};
use tempfile::TempDir;

const WORKER: &str = "\
release: test
debian:
  suite: sid
  suites: {sid: {}}
  keyring: keyring.gpg
  packages: [base]
kernel:
  package: kernel
  cmdline: [quiet]
components: {kubelet: required}
cni: {plugin: none}
";

const RELEASE: &str = "\
kubernetes: 1.36.4
pauseImage: registry.k8s.io/pause:3.10
containerdSeries: \"2\"
components:
  kubelet: {version: 1.36.4, file: ../../kubelet, install: /usr/bin/kubelet}
";

/// How the mirror answers requests for one path.
#[derive(Debug, Clone)]
pub(super) enum Answer {
    /// Correctly.
    Good(Vec<u8>),
    /// Closes the connection after this many bytes.
    Cut(Vec<u8>, usize),
    /// Sends this many bytes, then nothing.
    Stall(Vec<u8>, usize),
    /// Sends the bytes in pieces, with a pause after each.
    Slow(Vec<u8>, usize, Duration),
    /// Redirects to another URL.
    Redirect(String),
}

/// The signer.
pub(super) struct Keys(Gnupg);

impl Keys {
    pub(super) fn new() -> Self {
        Self(Gnupg::with_key("Test Archive <test@example.org>"))
    }

    /// Signs a text as `InRelease`, with the current time.
    pub(super) fn sign(&self, text: &str) -> Vec<u8> {
        let time = jiff::Timestamp::from_second(now() - 60).expect("a time").strftime("%Y%m%dT%H%M%S").to_string();
        self.0.gpg(&time, &["--digest-algo", "SHA256", "--clearsign"], text.as_bytes())
    }

    pub(super) fn export(&self) -> Vec<u8> {
        self.0.export()
    }

    /// `InRelease` of a repository with these packages, dated an hour ago and valid for a day.
    pub(super) fn release(&self, packages: &[Package]) -> Vec<u8> {
        self.sign(&release_text(&packages_text(packages), now() - 3600, now() + 86_400))
    }
}

/// Seconds since 1970.
pub(super) fn now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    i64::try_from(since.as_secs()).expect("before the end of time")
}

/// A site.
pub(super) struct Site {
    dir: TempDir,
    server: Server,
    answers: Arc<Mutex<BTreeMap<String, Answer>>>,
}

impl Site {
    /// A good profile `worker`, and a mirror with a good repository of [`node`] and `more`.
    pub(super) fn new(keys: &Keys, more: &[Package]) -> Self {
        let mut packages = node();
        packages.extend_from_slice(more);
        let site = Self::with_mirror(mirror(&packages, keys.release(&packages)));
        fs::write(site.path("profiles/keyring.gpg"), keys.export()).expect("written");
        site
    }

    fn with_mirror(files: BTreeMap<String, Vec<u8>>) -> Self {
        let dir = tempfile::Builder::new().prefix("kiln-bad").tempdir().expect("a temporary directory");
        for name in ["profiles/releases", "home", "out"] {
            fs::create_dir_all(dir.path().join(name)).expect("a directory");
        }
        let answers: BTreeMap<String, Answer> =
            files.into_iter().map(|(path, bytes)| (path, Answer::Good(bytes))).collect();
        let answers = Arc::new(Mutex::new(answers));
        let served = answers.clone();
        let server = Server::start(move |request, stream| {
            let found = served.lock().expect("answers").get(&request.target).cloned();
            match found {
                None => answer(stream, "404 Not Found", &[], b""),
                Some(Answer::Good(bytes)) => ranged(request, stream, &bytes),
                Some(Answer::Cut(bytes, count)) => {
                    head(stream, "200 OK", &[], bytes.len())?;
                    stream.write_all(&bytes[..count])
                }
                Some(Answer::Stall(bytes, count)) => stall(stream, &bytes, count),
                Some(Answer::Slow(bytes, piece, pause)) => {
                    head(stream, "200 OK", &[], bytes.len())?;
                    bytes.chunks(piece).try_for_each(|chunk| {
                        std::thread::sleep(pause);
                        stream.write_all(chunk)?;
                        stream.flush()
                    })
                }
                Some(Answer::Redirect(to)) => answer(stream, "302 Found", &[&format!("Location: {to}")], b""),
            }
        });
        let site = Self { dir, server, answers };
        site.write("profiles/worker.yaml", WORKER);
        site.write("profiles/releases/test.yaml", RELEASE);
        site.write("kubelet", "#!/bin/false\n".repeat(1000));
        site
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(super) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        fs::write(&path, bytes).unwrap_or_else(|error| panic!("writing {}: {error}", path.display()));
    }

    pub(super) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("reading {name}: {error}"))
    }

    /// Appends lines to a file.
    pub(super) fn append(&self, name: &str, text: &str) {
        self.write(name, self.read(name) + text);
    }

    /// Replaces text in a file, which must contain it.
    pub(super) fn replace(&self, name: &str, old: &str, new: &str) {
        let text = self.read(name);
        assert!(text.contains(old), "{name} has no {old:?}");
        self.write(name, text.replace(old, new));
    }

    /// The mirror's URL.
    pub(super) fn mirror(&self) -> String {
        self.server.url("")
    }

    /// The requests so far.
    pub(super) fn requests(&self) -> Vec<Request> {
        self.server.requests()
    }

    /// The request targets so far.
    pub(super) fn asked(&self) -> Vec<String> {
        self.server.requests().into_iter().map(|request| request.target).collect()
    }

    pub(super) fn answer(&self, path: &str, answer: Answer) {
        self.answers.lock().expect("answers").insert(path.to_owned(), answer);
    }

    pub(super) fn good(&self, path: &str) -> Vec<u8> {
        match self.answers.lock().expect("answers").get(path) {
            Some(Answer::Good(bytes)) => bytes.clone(),
            other => panic!("{path}: {other:?}"),
        }
    }

    pub(super) fn remove(&self, path: &str) {
        assert!(self.answers.lock().expect("answers").remove(path).is_some(), "{path} is not there");
    }

    /// kiln with an empty environment.
    pub(super) fn kiln(&self, args: &[&str]) -> Command {
        self.kiln_in("cache", args)
    }

    /// kiln with this directory as its cache.
    pub(super) fn kiln_in(&self, cache: &str, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kiln"));
        command.env_clear().env("HOME", self.path("home")).current_dir(self.dir.path());
        command.args(["-q", "--profiles", "profiles", "--cache", cache]).args(args);
        command
    }

    /// `kiln build worker` into `out/worker`.
    pub(super) fn build(&self, more: &[&str]) -> Command {
        let mirror = self.mirror();
        let mut args = vec!["build", "worker", "-o", "out/worker", "--mirror", &mirror];
        args.extend_from_slice(more);
        self.kiln(&args)
    }

    /// Builds successfully; returns `SHA256SUMS`.
    pub(super) fn builds(&self, more: &[&str]) -> String {
        succeeds(&mut self.build(more));
        self.sums()
    }

    pub(super) fn sums(&self) -> String {
        self.read("out/worker/SHA256SUMS")
    }

    /// `text` with `{mirror}` and `{dir}` replaced.
    pub(super) fn expand(&self, text: &str) -> String {
        text.replace("{mirror}", &self.mirror()).replace("{dir}", &self.dir.path().display().to_string())
    }

    /// Everything below `out`, and the unfinished files of the cache.
    fn leftovers(&self) -> BTreeMap<PathBuf, String> {
        let mut found = tree(&self.path("out"));
        found.extend(tree(&self.path("cache/tmp")));
        found
    }

    /// Checks that `kiln build` fails as with [`Site::refuses_with`], once without an output and
    /// once with an old one.
    pub(super) fn refuses(&self, more: &[&str], expected: &str) {
        assert!(!self.path("out/worker").exists(), "there is an output");
        self.refuses_with(&mut self.build(more), 1, expected);
        // An old output, as a build leaves it.
        let manifest = r#"{"version": 1, "kiln": "0", "outputs": [{"path": "pxe/vmlinuz"}]}"#;
        self.write("out/worker/manifest.json", manifest);
        self.write("out/worker/pxe/vmlinuz", "old");
        self.refuses_with(&mut self.build(more), 1, expected);
        fs::remove_dir_all(self.path("out/worker")).expect("removed");
    }

    /// Checks that the command fails with `code`, prints nothing to standard output and one line
    /// that matches `expected` (`*` matches anything) to standard error, and changes neither the
    /// output directory nor its siblings.
    pub(super) fn refuses_with(&self, command: &mut Command, code: i32, expected: &str) {
        let before = self.leftovers();
        let output = command.output().expect("kiln runs");
        failed(&output, code, &self.expand(expected));
        assert_eq!(before, self.leftovers(), "{command:?} left something");
    }
}

fn stall(stream: &mut dyn Stream, bytes: &[u8], count: usize) -> std::io::Result<()> {
    head(stream, "200 OK", &[], bytes.len())?;
    stream.write_all(&bytes[..count])?;
    stream.flush()?;
    // Until the client closes the connection.
    stream.read(&mut [0]).map(drop)
}

/// The files, links and directories below `dir`, with inode numbers and digests.
pub(super) fn tree(dir: &Path) -> BTreeMap<PathBuf, String> {
    use std::os::unix::fs::MetadataExt;
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(dir).into_iter().flatten() {
        let path = entry.expect("an entry").path();
        let metadata = fs::symlink_metadata(&path).expect("metadata");
        let mut what = metadata.ino().to_string();
        if metadata.is_dir() {
            found.extend(tree(&path));
        } else if metadata.is_file() {
            what += &format!(" {}", Digest::of(&fs::read(&path).expect("read")));
        }
        found.insert(path, what);
    }
    found
}

/// Checks that the command fails with `code`, prints one line that matches `expected` to standard
/// error, and nothing to standard output.
pub(super) fn failed(output: &Output, code: i32, expected: &str) {
    let stderr = String::from_utf8(output.stderr.clone()).expect("UTF-8");
    assert_eq!(output.status.code(), Some(code), "expected {expected:?}, got {stderr:?}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "", "standard output, with {stderr}");
    let line = stderr.strip_suffix('\n').unwrap_or(&stderr);
    assert!(!line.contains('\n'), "more than one line:\n{stderr}");
    let text = line.strip_prefix("kiln: ").unwrap_or_else(|| panic!("not kiln's: {line}"));
    assert!(matches(expected, text), "expected:\n  {expected}\ngot:\n  {text}");
}

/// Checks that the command succeeds and prints nothing to standard error; returns its standard
/// output.
pub(super) fn succeeds(command: &mut Command) -> String {
    let output = command.output().expect("kiln runs");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && stderr.is_empty(), "{command:?}: {}\n{stderr}", output.status);
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// Whether `text` matches `pattern`, in which `*` matches anything.
fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}
