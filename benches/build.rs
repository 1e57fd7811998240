//! Measures how long baking a worker takes, compared with packing the same packages by hand on the
//! same machine. `cargo bench` prints medians and ratios; it fails when a limit is exceeded.
//! Complete processes are timed.

#[expect(dead_code, reason = "tests use more of it")]
#[path = "../tests/it/common/worker.rs"]
mod worker;

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

/// Runs of each measurement; their median counts.
const RUNS: usize = 3;
/// Seconds that packing by hand takes on the machine for which the limits in seconds are defined.
const YARDSTICK: f64 = 8.0;
const SUITE: &str = "trixie";
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// A directory on a disk in which everything is measured.
struct Bench {
    directory: tempfile::TempDir,
    debs: Vec<PathBuf>,
    failed: bool,
}

fn main() -> ExitCode {
    let directory =
        tempfile::Builder::new().prefix("kiln-bench-").tempdir_in("/var/tmp").expect("a directory in /var/tmp");
    let mut bench = Bench { directory, debs: Vec::new(), failed: false };
    bench.prepare();

    let yardstick = bench.median("by hand: dpkg-deb -x, one after another, then cpio | zstd -3 -T0", Bench::by_hand);
    let cold = bench.median("kiln, from downloads", Bench::cold);
    let warm = bench.median("kiln, one overlay file changed", Bench::one_file_changed);
    let unchanged = bench.median("kiln, nothing changed", |bench| bench.time(&mut bench.kiln()));
    bench.unpack();
    let root_by_hand = bench.median("by hand: mke2fs -d, then veritysetup format", Bench::root_by_hand);
    let disk = bench.median("kiln, a disk after a PXE build", Bench::disk);
    let scale = yardstick / YARDSTICK;
    bench.bar("from downloads", cold / yardstick, 0.45, "of by hand (stretch: 0.30)");
    bench.bar("one overlay file changed", warm / scale, 0.4, "s where by hand takes 8 s");
    bench.bar("nothing changed", unchanged / scale, 0.1, "s where by hand takes 8 s");
    let disk_bar = (scale / root_by_hand).max(0.5);
    bench.bar(
        "a disk after a PXE build",
        disk / root_by_hand,
        disk_bar,
        "of mke2fs and veritysetup, or 1 s where by hand takes 8 s",
    );
    let peak = bench.peak();
    bench.bar("peak memory from downloads", peak, 300.0, "MB");

    for (name, build) in [("mmdebstrap", Bench::mmdebstrap as fn(&Bench) -> Command), ("mkosi", Bench::mkosi)] {
        if !is_installed(name) {
            println!("       –    {name}: not installed, not measured");
            continue;
        }
        // Much slower than the rest, and without a limit, so it runs once. It may fail for reasons
        // unrelated to kiln (in a container, for example).
        match bench.attempt(&mut build(&bench)) {
            Ok(seconds) => println!("{seconds:8.2} s  {name}, once: {:.1} × kiln from downloads", seconds / cold),
            Err(why) => println!("       –    {name}: failed, not measured: {why}"),
        }
    }
    if bench.failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn is_installed(name: &str) -> bool {
    env::split_paths(&env::var_os("PATH").unwrap_or_default()).any(|directory| directory.join(name).is_file())
}

impl Bench {
    fn at(&self, path: &str) -> PathBuf {
        self.directory.path().join(path)
    }

    /// Bakes once, so that the lock and all downloads exist.
    fn prepare(&mut self) {
        fs::create_dir_all(self.at("overlay/rootfs/etc")).expect("a directory");
        fs::write(self.at("overlay/rootfs/etc/changed"), "first\n").expect("written");
        self.time(&mut self.kiln());
        // The cold cache consists of the downloads, which are also the packages for packing by
        // hand.
        let manifest = fs::read_to_string(self.at("out/manifest.json")).expect("a manifest");
        let manifest: serde_json::Value = serde_json::from_str(&manifest).expect("a manifest");
        let blobs = worker::test_cache().join("kiln/blobs");
        for input in manifest["inputs"].as_array().expect("inputs") {
            let sha256 = input["sha256"].as_str().expect("a digest");
            let Some(blob) = find(&blobs, sha256) else { continue };
            let to = self.at("downloads/blobs").join(blob.strip_prefix(&blobs).expect("a blob"));
            fs::create_dir_all(to.parent().expect("a parent")).expect("a directory");
            fs::copy(&blob, &to).expect("copied");
            if input["kind"] == "package" {
                self.debs.push(to);
            }
        }
        let tag = "CACHEDIR.TAG";
        fs::copy(worker::test_cache().join("kiln").join(tag), self.at("downloads").join(tag)).expect("copied");
        println!("{} packages, {} processors, medians of {RUNS}:", self.debs.len(), processors());
    }

    /// Takes the median of [`RUNS`] runs of `measure`, in seconds, and prints it.
    fn median(&self, name: &str, measure: impl Fn(&Self) -> f64) -> f64 {
        let mut seconds: Vec<f64> = (0..RUNS).map(|_| measure(self)).collect();
        seconds.sort_by(f64::total_cmp);
        let median = seconds[RUNS / 2];
        println!("{median:8.3} s  {name} ({:.3} to {:.3})", seconds[0], seconds[RUNS - 1]);
        median
    }

    fn bar(&mut self, name: &str, value: f64, bar: f64, unit: &str) {
        let met = value <= bar;
        self.failed |= !met;
        println!("{value:8.3}    {name}: {} at most {bar} {unit}", if met { "within the limit," } else { "EXCEEDED," });
    }

    fn time(&self, command: &mut Command) -> f64 {
        self.attempt(command).unwrap_or_else(|why| panic!("{command:?}: {why}"))
    }

    /// The seconds that `command` takes, or its last line when it fails.
    fn attempt(&self, command: &mut Command) -> Result<f64, String> {
        let start = Instant::now();
        let output = command.current_dir(self.directory.path()).stdout(Stdio::null()).output();
        let output = output.map_err(|error| error.to_string())?;
        let seconds = start.elapsed().as_secs_f64();
        let said = String::from_utf8_lossy(&output.stderr);
        if output.status.success() { Ok(seconds) } else { Err(said.lines().last().unwrap_or("silently").to_owned()) }
    }

    /// kiln with the tests' cache, warm after the first time.
    fn kiln(&self) -> Command {
        self.kiln_makes("pxe", "out")
    }

    /// The same, for another output in another directory.
    fn kiln_makes(&self, output: &str, directory: &str) -> Command {
        let mut kiln = worker::kiln(self.directory.path());
        self.arguments(&mut kiln);
        kiln.args(["--output", output, "--out", directory]);
        kiln
    }

    /// kiln with a cache that contains only the downloads.
    fn kiln_cold(&self, mut wrapper: Command) -> Command {
        let cache = self.at("cache");
        if cache.exists() {
            fs::remove_dir_all(&cache).expect("removed");
        }
        let mut copy = Command::new("cp");
        let status = copy.args(["-a", "-l"]).arg(self.at("downloads")).arg(&cache).status().expect("cp");
        assert!(status.success());
        wrapper.arg("--profiles").arg(self.at("profiles")).arg("--cache").arg(cache);
        self.arguments(&mut wrapper);
        wrapper.args(["--locked", "--offline", "--out", "out"]);
        wrapper
    }

    fn arguments(&self, command: &mut Command) {
        command.args(["build", "worker", "--release", "debian-1.20.2", "--suite", SUITE, "--quiet"]);
        command.arg("--overlay").arg(self.at("overlay"));
    }

    fn cold(&self) -> f64 {
        let mut kiln = self.kiln_cold(Command::new(env!("CARGO_BIN_EXE_kiln")));
        self.time(&mut kiln)
    }

    fn one_file_changed(&self) -> f64 {
        let path = self.at("overlay/rootfs/etc/changed");
        let text = fs::read_to_string(&path).expect("read");
        fs::write(path, text + "and again\n").expect("written");
        self.time(&mut self.kiln())
    }

    /// Packing by hand: every package is unpacked in turn, the kubelet is copied, and the tree is
    /// packed.
    fn by_hand(&self) -> f64 {
        let _ = fs::remove_dir_all(self.at("root"));
        fs::create_dir(self.at("root")).expect("a directory");
        let script = "set -eo pipefail; kubelet=$1; shift; for deb; do dpkg-deb -x \"$deb\" root; done; cp \"$kubelet\" root/usr/bin/
            cd root; find . | LC_ALL=C sort | cpio -o -H newc --quiet | zstd -3 -T0 -q -f -o ../by-hand.cpio.zst";
        let mut bash = Command::new("bash");
        bash.args(["-c", script, "by-hand"])
            .arg(worker::test_cache().join("kubernetes-1.20.2/amd64/kubelet"))
            .args(&self.debs);
        self.time(&mut bash)
    }

    /// Extracts the root's tree to a directory, for mke2fs.
    fn unpack(&self) {
        self.time(&mut self.kiln_makes("tar", "tar"));
        fs::create_dir(self.at("tree")).expect("a directory");
        let mut tar = Command::new("tar");
        self.time(tar.args(["--zstd", "-x", "-C", "tree", "-f", "tar/root.tar.zst"]));
    }

    /// The root and its hash tree as e2fsprogs and cryptsetup make them.
    fn root_by_hand(&self) -> f64 {
        let script = "set -e; rm -f mke2fs.*; PATH=$PATH:/usr/sbin:/sbin
            mke2fs -q -t ext4 -d tree mke2fs.ext4 $(($(du -sm tree | cut -f1) * 5 / 4))M
            veritysetup format mke2fs.ext4 mke2fs.verity";
        self.time(Command::new("bash").args(["-c", script]))
    }

    /// The complete disk, with the cache of a PXE build.
    fn disk(&self) -> f64 {
        let _ = fs::remove_dir_all(self.at("disk"));
        self.time(&mut self.kiln_makes("disk", "disk"))
    }

    /// Peak resident memory of a cold build in megabytes, by time(1).
    fn peak(&self) -> f64 {
        let mut time = Command::new("/usr/bin/time");
        time.args(["-f", "%M", "-o"]).arg(self.at("peak")).arg(env!("CARGO_BIN_EXE_kiln"));
        self.time(&mut self.kiln_cold(time));
        let kib: f64 = fs::read_to_string(self.at("peak")).expect("a report").trim().parse().expect("a number");
        kib * 1024.0 / 1e6
    }

    /// The names of the packages, for other tools.
    fn names(&self) -> Vec<String> {
        let name = |deb: &PathBuf| {
            let output = Command::new("dpkg-deb").arg("--field").arg(deb).arg("Package").output().expect("dpkg-deb");
            String::from_utf8_lossy(&output.stdout).trim().to_owned()
        };
        self.debs.iter().map(name).collect()
    }

    /// mmdebstrap, which installs the same packages, and those that their maintainer scripts need,
    /// into a tar archive.
    fn mmdebstrap(&self) -> Command {
        let lines: Vec<String> = mirrors()
            .into_iter()
            .map(|(mirror, suite)| format!("deb [signed-by={KEYRING}] {mirror} {suite} main\n"))
            .collect();
        fs::write(self.at("sources.list"), lines.concat()).expect("written");
        let include = format!("--include={}", self.names().join(","));
        let mut command = Command::new("mmdebstrap");
        command.args(["--variant=essential", "--quiet", &include, SUITE, "mmdebstrap.tar", "sources.list"]);
        command
    }

    /// mkosi, which makes a cpio archive of the same packages.
    fn mkosi(&self) -> Command {
        let mut command = Command::new("mkosi");
        command.args([
            "--distribution=debian",
            &format!("--release={SUITE}"),
            "--format=cpio",
            "--compress-output=zstd",
        ]);
        command
            .args(["--output-dir=mkosi", "--force"])
            .args(self.names().iter().map(|name| format!("--package={name}")));
        if let Some((mirror, _)) = mirrors().first() {
            // Since version 15, mkosi adds the archive's directory itself.
            let mirror = mirror.trim_end_matches('/');
            let root = if mkosi_version() < 15 { mirror } else { mirror.trim_end_matches("/debian") };
            command.arg(format!("--mirror={root}"));
        }
        fs::create_dir_all(self.at("mkosi")).expect("a directory");
        command.arg("build");
        command
    }
}

/// Parses `mkosi 14`, `mkosi 25.3`.
fn mkosi_version() -> u32 {
    let output = Command::new("mkosi").arg("--version").output().map(|output| output.stdout).unwrap_or_default();
    let text = String::from_utf8_lossy(&output).into_owned();
    text.split([' ', '.']).nth(1).and_then(|major| major.trim().parse().ok()).unwrap_or(0)
}

/// The mirrors of this host's apt sources, each with its suite.
fn mirrors() -> Vec<(String, String)> {
    let mut apt = Command::new("apt-get");
    apt.args(["indextargets", "--format", "$(REPO_URI) $(LABEL)", "Created-By: Packages"]);
    let output = apt.output().expect("apt-get");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut mirrors: Vec<(String, String)> = text
        .lines()
        .filter_map(|line| match line.split_once(' ')? {
            (mirror, "Debian") => Some((mirror.to_owned(), SUITE.to_owned())),
            (mirror, "Debian-Security") => Some((mirror.to_owned(), format!("{SUITE}-security"))),
            _ => None,
        })
        .collect();
    mirrors.sort_by(|a, b| a.1.cmp(&b.1).then_with(|| a.cmp(b)));
    mirrors.dedup();
    mirrors
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The file below `directory` that is named after `sha256`, in any subdirectory.
fn find(directory: &Path, sha256: &str) -> Option<PathBuf> {
    fs::read_dir(directory).ok()?.flatten().find_map(|entry| {
        let path = entry.path();
        if path.is_dir() {
            return find(&path, sha256);
        }
        let name = entry.file_name().to_string_lossy().into_owned();
        (!name.is_empty() && sha256.ends_with(&name) && File::open(&path).is_ok() && name.len() >= 60).then_some(path)
    })
}
