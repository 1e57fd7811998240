//! A second checkout, with a cache that contains only downloads, in which an image is baked again.

use crate::image::shared::{Built, DISK, OUTPUTS, arguments, blob, kubelet, overlay, scratch};
use crate::image::tools::{run, tool};
use crate::image::worker::test_cache;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// The ordinary user that bakes images when the tests run as root: nobody.
const NOBODY: &str = "65534";

/// Profiles, lock, overlay and a cold cache in a separate directory.
pub(super) struct Checkout {
    directory: TempDir,
    /// A checkout on a tmpfs, which lists directories in another order than disks.
    overlay: TempDir,
}

impl Checkout {
    /// Copies the inputs of `built`.
    pub(super) fn of(built: &Built) -> Self {
        let directory = scratch(Path::new(DISK));
        run(tool("cp", "coreutils").arg("-r").arg(built.profiles()).arg(directory.path().join("profiles")));
        let memory = Path::new("/dev/shm");
        let in_memory = scratch(if memory.is_dir() { memory } else { Path::new("/tmp") });
        overlay(&in_memory.path().join("overlay"), true);
        let checkout = Self { directory, overlay: in_memory };
        checkout.forget();
        // Neither overlays nor the shipped images are downloads: the images are made from a
        // package's program.
        for input in built.manifest.inputs.iter().filter(|input| !["overlay", "image"].contains(&input.kind.as_str())) {
            let from = blob(&input.sha256);
            let to = checkout.cache().join(from.strip_prefix(test_cache().join("kiln")).expect("in the cache"));
            fs::create_dir_all(to.parent().expect("a parent")).expect("a directory");
            fs::copy(from, to).expect("copied");
        }
        let tag = "CACHEDIR.TAG";
        fs::copy(test_cache().join("kiln").join(tag), checkout.cache().join(tag)).expect("copied");
        checkout
    }

    /// Its directory.
    pub(super) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Its overlay.
    pub(super) fn overlay(&self) -> PathBuf {
        self.overlay.path().join("overlay")
    }

    fn cache(&self) -> PathBuf {
        self.path().join("home/cache/kiln")
    }

    /// Makes the cache cold again: removes all data derived from downloads.
    pub(super) fn forget(&self) {
        let derived = self.cache().join("derived");
        if derived.exists() {
            fs::remove_dir_all(derived).expect("removed");
        }
        fs::create_dir_all(self.cache()).expect("a directory");
        // The release names a file below the home directory, which is also an input.
        let place = self.path().join("home/.cache/kiln-test/kubernetes-1.20.2/amd64");
        if !place.exists() {
            fs::create_dir_all(&place).expect("a directory");
            fs::copy(kubelet(), place.join("kubelet")).expect("copied");
        }
    }

    /// The command that bakes the image: `wrapper`, followed by kiln and its arguments.
    pub(super) fn build(&self, suite: &str, wrapper: Command) -> Command {
        self.make(suite, OUTPUTS, wrapper)
    }

    /// The same with other `outputs`.
    pub(super) fn make(&self, suite: &str, outputs: &str, mut wrapper: Command) -> Command {
        let home = self.path().join("home");
        wrapper.arg(self.kiln()).args(["--profiles", "profiles"]).args(arguments(suite));
        wrapper
            .args(["--output", outputs])
            .arg("--overlay")
            .arg(self.overlay())
            .args(["--locked", "--offline"])
            .current_dir(self.path());
        wrapper.env("HOME", &home).env("XDG_CACHE_HOME", home.join("cache"));
        wrapper
    }

    /// A copy of the program, because only its owner may have access to the clone.
    fn kiln(&self) -> PathBuf {
        let copy = self.path().join("kiln");
        if !copy.exists() {
            fs::copy(env!("CARGO_BIN_EXE_kiln"), &copy).expect("copied");
        }
        copy
    }

    /// Gives the checkout to an ordinary user; returns a wrapper that runs a program as that user
    /// without capabilities.
    pub(super) fn stranger(&self) -> Command {
        self.kiln();
        if rustix::process::geteuid().is_root() {
            run(tool("chown", "coreutils")
                .args(["-R", &format!("{NOBODY}:{NOBODY}")])
                .args([self.path(), self.overlay.path()]));
            let mut setpriv = tool("setpriv", "util-linux");
            setpriv.args(["--reuid", NOBODY, "--regid", NOBODY, "--clear-groups"]);
            setpriv.args(["--bounding-set=-all", "--inh-caps=-all", "--no-new-privs"]);
            setpriv
        } else {
            let mut setpriv = tool("setpriv", "util-linux");
            setpriv.args(["--inh-caps=-all", "--no-new-privs"]);
            setpriv
        }
    }

    /// Its output directory.
    pub(super) fn out(&self) -> PathBuf {
        self.path().join("out")
    }

    /// Checks that its output is identical to that of `built`.
    pub(super) fn check_same(&self, built: &Built, how: &str) {
        let read = |directory: PathBuf, name: &str| fs::read_to_string(directory.join(name)).expect("an output");
        let (ours, theirs) = (read(built.out(), "manifest.json"), read(self.out(), "manifest.json"));
        let differing = ours.lines().zip(theirs.lines()).find(|(ours, theirs)| ours != theirs);
        assert!(ours == theirs, "{how} gives another manifest: {differing:?}");
        assert_eq!(read(built.out(), "SHA256SUMS"), read(self.out(), "SHA256SUMS"), "{how}");
        run(tool("sha256sum", "coreutils").args(["--check", "--quiet", "SHA256SUMS"]).current_dir(self.out()));
    }
}
