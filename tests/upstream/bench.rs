//! Where these tests build: a directory and a cache of their own, so that every artifact is downloaded indeed.

use crate::tools::{run, text, tool, unzstd};
use crate::worker::{self, test_cache};
use kiln::manifest::{FileRecord, Manifest};
use kiln::source::cache::Cache;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;
use std::time::SystemTime;
use tempfile::TempDir;

/// The worker of Debian's packages, and what else is costly to get.
pub struct Debian {
    directory: PathBuf,
    /// Its manifest.
    pub manifest: Manifest,
}

/// The trixie worker of release debian-1.20.2, built at the first call. It fills the shared cache with packages.
pub fn debian() -> &'static Debian {
    static BUILT: OnceLock<Debian> = OnceLock::new();
    BUILT.get_or_init(|| {
        // Statics are not dropped: what is here goes at the next run.
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("upstream");
        if directory.exists() {
            fs::remove_dir_all(&directory).expect("removed");
        }
        fs::create_dir_all(&directory).expect("a directory");
        let out = worker::build_worker(&directory, "trixie");
        Debian { manifest: manifest(&out), directory }
    })
}

impl Debian {
    /// The output directory.
    pub fn out(&self) -> PathBuf {
        self.directory.join("out")
    }

    /// The package `name` as it was downloaded.
    pub fn deb(&self, name: &str) -> PathBuf {
        let input = self.manifest.inputs.iter().find(|input| input.kind == "package" && input.name == name);
        let input = input.unwrap_or_else(|| panic!("{name} is not in the image"));
        let cache = Cache::open(&test_cache().join("kiln"), SystemTime::now()).expect("the cache");
        cache.blob(&input.sha256, None).expect("it has just been used")
    }

    /// The upstream part of the version of package `name`.
    pub fn version(&self, name: &str) -> String {
        let input = self.manifest.inputs.iter().find(|input| input.kind == "package" && input.name == name);
        let version = &input.expect("it is in the image").version;
        version.split(['-', '+', '~']).next().expect("a part").to_owned()
    }

    /// The files of package `name`, unpacked by dpkg-deb.
    pub fn unpacked(&self, name: &str) -> PathBuf {
        let root = self.directory.join("unpacked").join(name);
        if !root.exists() {
            fs::create_dir_all(&root).expect("a directory");
            run(tool("dpkg-deb", "dpkg").arg("-x").arg(self.deb(name)).arg(&root));
        }
        root
    }
}

/// A place to build in.
pub struct Bench {
    directory: TempDir,
}

impl Bench {
    /// With a copy of the shipped profiles, and of the shared cache less the artifacts.
    pub fn new() -> Self {
        let debian = debian();
        let directory = tempfile::Builder::new().prefix("upstream-").tempdir_in(test_cache()).expect("a directory");
        let bench = Self { directory };
        run(tool("cp", "coreutils").arg("--archive").arg("--link").arg(test_cache().join("kiln")).arg(bench.cache()));
        for input in debian.manifest.inputs.iter().filter(|input| input.kind == "artifact") {
            let cache = Cache::open(&bench.cache(), SystemTime::now()).expect("the cache");
            fs::remove_file(cache.blob(&input.sha256, None).expect("an artifact")).expect("removed");
        }
        bench
    }

    /// A path in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn cache(&self) -> PathBuf {
        self.path("cache")
    }

    /// `kiln` with its profiles and cache.
    pub fn kiln(&self) -> Command {
        let mut command = worker::kiln_with_cache(self.directory.path(), &self.cache());
        command.env("no_proxy", "127.0.0.1").current_dir(self.directory.path());
        command
    }

    /// Adds a release.
    pub fn release(&self, name: &str, text: &str) {
        // kiln() copies the profiles when they are missing.
        self.kiln();
        fs::write(self.path("profiles/releases").join(format!("{name}.yaml")), text).expect("written");
    }

    /// Runs a build of the trixie worker with that release into `out`.
    pub fn try_build(&self, release: &str, out: &str) -> Output {
        let mut command = self.kiln();
        command.args(["build", "worker", "--suite", "trixie", "--release", release, "--output", out]);
        command.output().expect("kiln starts")
    }

    /// The same; it must succeed.
    pub fn build(&self, release: &str, out: &str) -> PathBuf {
        let output = self.try_build(release, out);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        self.path(out)
    }
}

/// The manifest in `out`.
pub fn manifest(out: &Path) -> Manifest {
    let text = fs::read_to_string(out.join("manifest.json")).expect("manifest.json");
    serde_json::from_str(&text).expect("a manifest")
}

/// What `kiln inspect --json` lists of `out`.
pub fn inspect(out: &Path) -> Vec<FileRecord> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kiln"));
    let listing = text(command.arg("inspect").arg(out).arg("--json"));
    listing.lines().map(|line| serde_json::from_str(line).expect("a record")).collect()
}

/// Extracts the members of `out`'s initramfs that match `patterns` into `root`, by GNU cpio.
pub fn extract<'a>(out: &Path, root: &Path, patterns: impl IntoIterator<Item = &'a str>) {
    fs::create_dir_all(root).expect("a directory");
    let mut cpio = tool("cpio", "cpio");
    cpio.args(["-idm", "--quiet", "--no-absolute-filenames", "--no-preserve-owner"]).args(patterns);
    unzstd(&out.join("pxe/initramfs.cpio.zst"), cpio.current_dir(root));
}
