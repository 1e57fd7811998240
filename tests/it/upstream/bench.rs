//! The directory in which these tests build, with a separate cache, so that every artifact is
//! really downloaded.

use crate::upstream::hub;
use crate::upstream::release::{self, Published};
use crate::upstream::server::Server;
use crate::upstream::tools::{run, text, tool, unzstd};
use crate::upstream::worker::{self, test_cache};
use kiln_cache::Cache;
use kiln_manifest::{FileRecord, Manifest};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;
use std::time::SystemTime;
use tempfile::TempDir;

/// The trixie worker of release debian-1.20.2, built on the first call. It fills the shared cache
/// with packages.
pub(super) fn debian() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        // Statics are not dropped: the next run removes the contents.
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("upstream");
        if directory.exists() {
            fs::remove_dir_all(&directory).expect("removed");
        }
        fs::create_dir_all(&directory).expect("a directory");
        worker::build_worker(&directory, "trixie")
    })
}

/// A directory to build in.
pub(super) struct Bench {
    directory: TempDir,
}

impl Bench {
    /// Makes one with copies of the shipped profiles, and of the shared cache without artifacts.
    pub(super) fn new() -> Self {
        let debian = manifest(debian());
        let directory = tempfile::Builder::new().prefix("upstream-").tempdir_in(test_cache()).expect("a directory");
        let bench = Self { directory };
        run(tool("cp", "coreutils").arg("--archive").arg("--link").arg(test_cache().join("kiln")).arg(bench.cache()));
        for input in debian.inputs.iter().filter(|input| input.kind == "artifact") {
            let cache = Cache::open(&bench.cache(), SystemTime::now()).expect("the cache");
            fs::remove_file(cache.blob(&input.sha256, None).expect("an artifact")).expect("removed");
        }
        bench
    }

    /// A path in it.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn cache(&self) -> PathBuf {
        self.path("cache")
    }

    /// `kiln` with its profiles and cache.
    pub(super) fn kiln(&self) -> Command {
        let mut command = worker::kiln_with_cache(self.directory.path(), &self.cache());
        command.env("no_proxy", "127.0.0.1").current_dir(self.directory.path());
        command
    }

    /// Adds the release `name`: the shipped one with `changes` and the files `published`, which it
    /// serves.
    pub(super) fn publish(&self, name: &str, published: &[Published], changes: &[(&str, &str)]) -> Server {
        let server = hub::start(release::files(published));
        self.release(name, &release::text(published, &server, changes));
        server
    }

    /// Adds the release `name`.
    pub(super) fn release(&self, name: &str, text: &str) {
        // kiln() copies the profiles when they are missing.
        self.kiln();
        fs::write(self.path("profiles/releases").join(format!("{name}.yaml")), text).expect("written");
    }

    /// Runs `verb` for the trixie worker of `release`.
    pub(super) fn run(&self, verb: &str, release: &str, more: &[&str]) -> Output {
        let mut command = self.kiln();
        command.args([verb, "worker", "--suite", "trixie", "--release", release]).args(more);
        command.output().expect("kiln starts")
    }

    /// The same; it must succeed. Returns its messages.
    pub(super) fn succeeds(&self, verb: &str, release: &str, more: &[&str]) -> String {
        let output = self.run(verb, release, more);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    /// The same; it must fail without an output. Returns the last line of its messages.
    pub(super) fn refuses(&self, verb: &str, release: &str, more: &[&str]) -> String {
        let output = self.run(verb, release, more);
        let said = String::from_utf8(output.stderr).expect("UTF-8");
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(!self.path("out").exists(), "something was written");
        said.trim_end().lines().last().expect("an error").to_owned()
    }

    /// Builds the worker of `release` and returns its output directory.
    pub(super) fn build(&self, release: &str) -> PathBuf {
        self.succeeds("build", release, &["-o", release]);
        self.path(release)
    }
}

/// The manifest in `out`.
pub(super) fn manifest(out: &Path) -> Manifest {
    let text = fs::read_to_string(out.join("manifest.json")).expect("manifest.json");
    serde_json::from_str(&text).expect("a manifest")
}

/// Name and version of each input of `kind`.
pub(super) fn inputs(out: &Path, kind: &str) -> Vec<(String, String)> {
    let inputs = manifest(out).inputs.into_iter().filter(|input| input.kind == kind);
    inputs.map(|input| (input.name, input.version)).collect()
}

/// The records that `kiln inspect --json` prints for `out`.
pub(super) fn inspect(out: &Path) -> Vec<FileRecord> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kiln"));
    let listing = text(command.arg("inspect").arg(out).arg("--json"));
    listing.lines().map(|line| serde_json::from_str(line).expect("a record")).collect()
}

/// Extracts the members of `out`'s initramfs that match `patterns` into `root`, by GNU cpio.
pub(super) fn extract<'a>(out: &Path, root: &Path, patterns: impl IntoIterator<Item = &'a str>) {
    fs::create_dir_all(root).expect("a directory");
    let mut cpio = tool("cpio", "cpio");
    cpio.args(["-idm", "--quiet", "--no-absolute-filenames", "--no-preserve-owner"]).args(patterns);
    unzstd(&out.join("pxe/initramfs.cpio.zst"), cpio.current_dir(root));
}
