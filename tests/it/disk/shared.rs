//! The build that the tests share.

use crate::disk::manifest::Manifest;
use crate::disk::tools::{run, tool};
use crate::disk::worker;
use serde::Deserialize;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

/// The build that all tests inspect.
pub(super) struct Built {
    directory: PathBuf,
    /// `manifest.json`, read.
    pub manifest: Manifest,
    /// The record of the disk in it.
    pub disk: Disk,
}

/// The manifest's record of the disk.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Disk {
    /// The dm-verity root hash.
    pub root_hash: String,
    pub disk: Table,
}

/// Its partition table.
#[derive(Deserialize)]
pub(super) struct Table {
    pub uuid: String,
    pub size: u64,
    pub cmdline: String,
    pub partitions: Vec<Partition>,
}

/// One partition.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Partition {
    pub label: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub uuid: String,
    pub start: u64,
    pub size: u64,
    pub read_only: bool,
}

/// The outputs that are built once for all tests.
pub(super) const OUTPUTS: &str = "disk,ext4,tar";

/// An empty directory that is locked against concurrent runs.
fn kept() -> PathBuf {
    static LOCK: OnceLock<File> = OnceLock::new();
    let parent = Path::new(env!("CARGO_TARGET_TMPDIR")).join("disk");
    LOCK.get_or_init(|| {
        fs::create_dir_all(&parent).expect("a directory");
        let lock = File::create(parent.join("lock")).expect("a lock");
        lock.lock().expect("a lock, once another run of these tests has ended");
        lock
    });
    let directory = parent.join("built");
    if directory.exists() {
        fs::remove_dir_all(&directory).expect("removed");
    }
    fs::create_dir(&directory).expect("a directory");
    directory
}

/// The worker on trixie, built on the first call.
pub(super) fn built() -> &'static Built {
    static BUILT: OnceLock<Built> = OnceLock::new();
    BUILT.get_or_init(|| {
        let directory = kept();
        overlay(&directory.join("overlay"));
        run(build(&directory).args(["--output", OUTPUTS, "-o", "out", "--overlay"]).arg(directory.join("overlay")));
        let text = fs::read_to_string(directory.join("out/manifest.json")).expect("manifest.json");
        let disk = serde_json::from_str(&text).expect("a manifest with a disk");
        Built { manifest: Manifest::read(&directory.join("out")), disk, directory }
    })
}

/// An overlay with file types that no package of the worker contains: extended attributes and a
/// named pipe.
fn overlay(directory: &Path) {
    let root = directory.join("rootfs/etc/proof");
    fs::create_dir_all(&root).expect("directories");
    fs::write(root.join("attributes"), "a file with attributes\n").expect("written");
    run(tool("mkfifo", "coreutils").arg(root.join("fifo")));
    let declarations = "entries:\n  etc/proof/attributes: {xattrs: {user.proof: \"00ff\", user.other: \"61\"}}\n";
    fs::write(directory.join("overlay.yaml"), declarations).expect("written");
}

/// `kiln build worker` in `directory`, to which the shipped profiles are copied.
pub(super) fn build(directory: &Path) -> Command {
    let mut command = worker::kiln(directory);
    command.current_dir(directory).args(["build", "worker", "--release", "debian-1.20.2", "--suite", "trixie"]);
    command
}

impl Built {
    /// The output directory.
    pub(super) fn out(&self) -> PathBuf {
        self.directory.join("out")
    }

    /// The raw disk.
    pub(super) fn raw(&self) -> PathBuf {
        self.out().join("disk.raw")
    }

    /// A build in `directory` with the lock of the shared one, without network.
    pub(super) fn again(&self, directory: &Path) -> Command {
        fs::create_dir_all(directory).expect("a directory");
        run(tool("cp", "coreutils").arg("-r").arg(self.directory.join("profiles")).arg(directory));
        let mut command = build(directory);
        command.args(["--locked", "--offline", "-o", "out", "--overlay"]).arg(self.directory.join("overlay"));
        command
    }

    /// Partition `number`, from 0, as a separate sparse file.
    pub(super) fn partition(&self, number: usize) -> &'static Path {
        static FILES: [OnceLock<PathBuf>; 5] = [const { OnceLock::new() }; 5];
        FILES[number].get_or_init(|| self.extract(number))
    }

    fn extract(&self, number: usize) -> PathBuf {
        let Partition { start, size, .. } = self.disk.disk.partitions[number];
        let path = self.directory.join(format!("partition-{number}"));
        let mut dd = tool("dd", "coreutils");
        dd.arg(format!("if={}", self.raw().display())).arg(format!("of={}", path.display()));
        dd.args(["bs=1M", "conv=sparse", "status=none", "iflag=skip_bytes,count_bytes"]);
        run(dd.arg(format!("skip={start}")).arg(format!("count={size}")));
        File::options().write(true).open(&path).and_then(|file| file.set_len(size)).expect("its full size");
        path
    }

    /// The EFI system partition.
    pub(super) fn esp(&self) -> &'static Path {
        self.partition(0)
    }

    /// A file of the EFI system partition, read by mtools.
    pub(super) fn on_esp(&self, path: &str) -> Vec<u8> {
        let output: Output = run(tool("mtype", "mtools").arg("-i").arg(self.esp()).arg(format!("::{path}")));
        output.stdout
    }

    /// A file of the image, read by GNU tar from the archive of the root.
    pub(super) fn in_root(&self, path: &str) -> Vec<u8> {
        let mut tar = tool("tar", "tar");
        run(tar.arg("-xO").arg("--zstd").arg("-f").arg(self.out().join("root.tar.zst")).arg(path)).stdout
    }
}
