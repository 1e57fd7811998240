//! The image per suite that the tests share, and its inputs.

use crate::image::manifest::Manifest;
use crate::image::tools::{run, text, tool};
use crate::image::worker::{self, test_cache};
use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use tempfile::TempDir;

/// The image that all tests of a suite inspect.
pub(super) struct Built {
    directory: PathBuf,
    suite: String,
    /// `manifest.json`, read.
    pub manifest: Manifest,
    packages: OnceLock<PathBuf>,
}

/// The supported Debian suites.
pub(super) const SUITES: [&str; 2] = ["trixie", "bookworm"];

/// The outputs of each image: a PXE set and a disk.
pub(super) const OUTPUTS: &str = "pxe,disk";

/// The directory for large files: on a disk, unlike /tmp on many machines.
pub(super) const DISK: &str = "/var/tmp";

/// A directory in `parent` that other users can enter.
pub(super) fn scratch(parent: &Path) -> TempDir {
    let directory = tempfile::Builder::new()
        .prefix("kiln-test-")
        .permissions(fs::Permissions::from_mode(0o755))
        .tempdir_in(parent)
        .expect("a temporary directory");
    // The mode given above is subject to the umask.
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).expect("permissions");
    directory
}

/// A directory for this program, which the next run removes: statics are not dropped, and its
/// contents are large.
pub(super) fn kept(name: &str) -> PathBuf {
    static LOCK: OnceLock<File> = OnceLock::new();
    let parent = Path::new(env!("CARGO_TARGET_TMPDIR")).join("image");
    LOCK.get_or_init(|| {
        fs::create_dir_all(&parent).expect("a directory");
        let lock = File::create(parent.join("lock")).expect("a lock");
        lock.lock().expect("a lock, once another run of these tests has ended");
        lock
    });
    let directory = parent.join(name);
    if directory.exists() {
        fs::remove_dir_all(&directory).expect("removed");
    }
    fs::create_dir(&directory).expect("a directory");
    directory
}

/// The image of `suite` with [`overlay`], built on the first call.
pub(super) fn built(suite: &str) -> &'static Built {
    static IMAGES: [OnceLock<Built>; 2] = [OnceLock::new(), OnceLock::new()];
    let number = SUITES.iter().position(|known| *known == suite).expect("a known suite");
    IMAGES[number].get_or_init(|| {
        let directory = kept(suite);
        overlay(&directory.join("overlay"), false);
        let mut command = kiln(&directory);
        run(command.args(arguments(suite)).args(["--output", OUTPUTS]).arg("--overlay").arg(directory.join("overlay")));
        let manifest = Manifest::read(&directory.join("out"));
        Built { directory, suite: suite.to_owned(), manifest, packages: OnceLock::new() }
    })
}

/// `kiln` with a copy of the shipped profiles in `directory`, the shared cache, and the output
/// `directory/out`.
pub(super) fn kiln(directory: &Path) -> Command {
    kubelet();
    let mut command = worker::kiln(directory);
    command.current_dir(directory);
    command
}

/// The arguments of every build of the suite's worker, except those for overlay and outputs.
pub(super) fn arguments(suite: &str) -> [&str; 8] {
    ["build", "worker", "--release", "debian-1.20.2", "--suite", suite, "--out", "out"]
}

/// The kubelet of release debian-1.20.2.
pub(super) fn kubelet() -> PathBuf {
    let kubelet = test_cache().join("kubernetes-1.20.2/amd64/kubelet");
    assert!(kubelet.exists(), "{} is missing: run hack/kubernetes-from-debian.sh", kubelet.display());
    kubelet
}

impl Built {
    /// The output directory.
    pub(super) fn out(&self) -> PathBuf {
        self.directory.join("out")
    }

    /// The initramfs.
    pub(super) fn initramfs(&self) -> PathBuf {
        self.out().join("pxe/initramfs.cpio.zst")
    }

    /// Its overlay.
    pub(super) fn overlay(&self) -> PathBuf {
        self.directory.join("overlay")
    }

    /// The profiles that it was built from, with their lock.
    pub(super) fn profiles(&self) -> PathBuf {
        self.directory.join("profiles")
    }

    /// The packages that it was built from, in the cache.
    pub(super) fn debs(&self) -> Vec<(String, PathBuf)> {
        let packages = self.manifest.inputs.iter().filter(|input| input.kind == "package");
        packages.map(|input| (input.name.clone(), blob(&input.sha256))).collect()
    }

    /// The files of all its packages, unpacked by dpkg-deb and tar into one tree, owned by the
    /// current user.
    pub(super) fn unpacked(&self) -> &Path {
        self.packages.get_or_init(|| {
            let root = kept(&format!("{}-packages", self.suite));
            for directory in ["bin", "sbin", "lib", "lib64"] {
                fs::create_dir_all(root.join("usr").join(directory)).expect("a directory");
                symlink(Path::new("usr").join(directory), root.join(directory)).expect("a link");
            }
            let find = |name, package| tool(name, package).get_program().to_string_lossy().into_owned();
            // dpkg-deb -x would replace the links with directories if a package does not use
            // merged-/usr.
            let script = format!(
                "set -eo pipefail; for deb; do {} --fsys-tarfile \"$deb\" | {} -x -C {} --keep-directory-symlink \
                 --delay-directory-restore --no-same-owner -p; done",
                find("dpkg-deb", "dpkg"),
                find("tar", "tar"),
                root.display()
            );
            let debs = self.debs().into_iter().map(|(_, path)| path);
            run(tool("bash", "bash").args(["-c", &script, "unpack"]).args(debs));
            root
        });
        self.packages.get().expect("just made")
    }
}

/// A fetched input in the shared cache.
pub(super) fn blob(sha256: &str) -> PathBuf {
    let blobs = test_cache().join("kiln/blobs");
    // Independent of the cache's directory layout: the file is named after its digest.
    let found =
        text(tool("find", "findutils").arg(&blobs).args(["-type", "f", "-name"]).arg(format!("*{}", &sha256[2..])));
    let path = found.lines().next().unwrap_or_else(|| panic!("{sha256} is not in {}", blobs.display()));
    PathBuf::from(path)
}

/// Writes an overlay with all kinds of files, in forward or reverse order.
pub(super) fn overlay(directory: &Path, reversed: bool) {
    let root = directory.join("rootfs");
    fs::create_dir_all(root.join("etc/proof/deep/er")).expect("directories");
    let mut names: Vec<String> = (0..40).map(|number| format!("etc/proof/file-{number:02}")).collect();
    names.extend(
        ["usr/local/bin/proof", "etc/proof/deep/er/with space", "etc/proof/ünïcode", "etc/proof/private"]
            .map(str::to_owned),
    );
    if reversed {
        names.reverse();
    }
    for name in names {
        let path = root.join(&name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        fs::write(&path, format!("#!/bin/sh\necho {name}\n")).expect("written");
        let executable = name.contains("/bin/");
        // Modes as two different umasks produce them.
        let mode = match (executable, reversed) {
            (true, false) => 0o755,
            (true, true) => 0o700,
            (false, false) => 0o644,
            (false, true) => 0o600,
        };
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("permissions");
    }
    symlink("file-00", root.join("etc/proof/link")).expect("a link");
    symlink("/nowhere/\u{20ac}", root.join("etc/proof/dangling")).expect("a link");
    run(tool("mkfifo", "coreutils").arg(root.join("etc/proof/fifo")));
    let declarations =
        "entries:\n  etc/proof/private: {mode: \"0400\", uid: 7, gid: 12, xattrs: {user.proof: \"00ff\"}}\n";
    fs::write(directory.join("overlay.yaml"), declarations).expect("written");
}
