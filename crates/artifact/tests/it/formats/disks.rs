//! Disks to encode, as sparse raw files.

use crate::formats::tools::{run, text, tool};
use kiln_artifact::cloud::{self, Naming};
use kiln_format::block::RawFile;
use kiln_manifest::OutputFile;
use kiln_profile::Output;
use kiln_tree::Digest;
use rustix::fs::SeekFrom;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{LazyLock, OnceLock};
use tempfile::TempDir;

const MIB: u64 = 1 << 20;

/// The name of the disk in every test; the epoch is 2021-01-13T13:00:00Z.
pub(super) const NAMING: Naming<'_> =
    Naming { name: "worker", uuid: *b"\x5a\xd1\x5c\x00kiln-formats", epoch: 1_610_542_800 };

/// A raw disk in a directory of its own.
pub(super) struct Disk {
    pub directory: PathBuf,
    /// Removes it at the end.
    #[expect(dead_code, reason = "it is there to be dropped")]
    removed: Option<TempDir>,
    pub source: RawFile,
    pub size: u64,
    /// The bytes of its data, according to the file system's holes.
    pub data: u64,
}

impl Disk {
    /// A disk of `size` bytes that `fill` writes to.
    pub(super) fn new(size: u64, fill: impl FnOnce(&File, &Path)) -> Self {
        // Not /tmp, which may be in memory.
        let directory = tempfile::Builder::new().prefix("kiln-formats-").tempdir_in("/var/tmp").expect("a directory");
        let path = directory.path().to_owned();
        Self { removed: Some(directory), ..Self::at(path, size, fill) }
    }

    /// The same, in `directory`, which is left there.
    fn at(directory: PathBuf, size: u64, fill: impl FnOnce(&File, &Path)) -> Self {
        let path = directory.join("disk.raw");
        let file = File::options().read(true).write(true).create_new(true).open(&path).expect("created");
        file.set_len(size).expect("sparse");
        fill(&file, &path);
        let mut ranges = Vec::new();
        let mut end = 0;
        while let Ok(start) = rustix::fs::seek(&file, SeekFrom::Data(end)) {
            end = rustix::fs::seek(&file, SeekFrom::Hole(start)).expect("an end");
            ranges.push(start..end);
        }
        let data = ranges.iter().map(|range| range.end - range.start).sum();
        Self { directory, removed: None, source: RawFile::new(file, size, ranges), size, data }
    }

    pub(super) fn raw(&self) -> PathBuf {
        self.directory.join("disk.raw")
    }

    /// Encodes it to the directory `name` beside it.
    pub(super) fn encode(&self, kind: Output, name: &str, threads: usize) -> Encoded {
        let directory = self.directory.join(name);
        std::fs::create_dir_all(&directory).expect("a directory");
        let done = AtomicU64::new(0);
        let made = |bytes| {
            done.fetch_add(bytes, Ordering::Relaxed);
        };
        let files = cloud::encode(kind, &self.source, &NAMING, &directory, threads, &made).expect("encoded");
        let done = done.into_inner();
        assert!(done >= self.data && done <= self.size, "{kind:?}: {done} of {} in {}", self.data, self.size);
        Encoded { directory, files }
    }
}

/// An encoded disk.
pub(super) struct Encoded {
    pub directory: PathBuf,
    pub files: Vec<OutputFile>,
}

impl Encoded {
    /// The file whose name ends in `suffix`.
    pub(super) fn path(&self, suffix: &str) -> PathBuf {
        let found = self.files.iter().find(|file| file.path.ends_with(suffix));
        self.directory.join(&found.unwrap_or_else(|| panic!("no {suffix}")).path)
    }

    pub(super) fn digests(&self) -> Vec<(String, u64, Digest)> {
        self.files.iter().map(|file| (file.path.clone(), file.size, file.sha256)).collect()
    }
}

/// The output of qemu-img for a disk, as JSON.
pub(super) fn qemu_img(arguments: &[&str], path: &Path) -> serde_json::Value {
    let mut command = tool("qemu-img", "qemu-utils");
    let said = text(command.args(arguments).arg("--output=json").arg(path));
    serde_json::from_str(&said).unwrap_or_else(|error| panic!("{said}: {error}"))
}

/// Checks with qemu-img that both have the same bytes, except for zeros at the end.
pub(super) fn assert_same(raw: &Path, path: &Path, format: &str) {
    let mut command = tool("qemu-img", "qemu-utils");
    let said = text(command.args(["compare", "-f", "raw", "-F", format]).arg(raw).arg(path));
    assert!(said.contains("Images are identical."), "{}: {said}", path.display());
}

/// Fills `buffer` with bytes that do not compress, different for each `seed`.
pub(super) fn noise(buffer: &mut [u8], seed: u64) {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    for chunk in buffer.chunks_mut(8) {
        // xorshift64*
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        chunk.copy_from_slice(&state.wrapping_mul(0x2545_f491_4f6c_dd1d).to_le_bytes()[..chunk.len()]);
    }
}

/// A disk as installers make it, with a size that is not a multiple of any format's unit: GPT by
/// sgdisk, a file system of this package's sources and program by mke2fs, noise, and zeros that are
/// not holes of the file system.
pub(super) static REAL: LazyLock<Disk> = LazyLock::new(|| {
    const ROOT: u64 = 41 * MIB;
    // Statics are not dropped, so the directory exists until the next run.
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("formats");
    std::fs::create_dir_all(&directory).expect("a directory");
    static LOCK: OnceLock<File> = OnceLock::new();
    let lock = LOCK.get_or_init(|| File::create(directory.join("lock")).expect("a lock"));
    lock.lock().expect("locked, when another run of these tests has ended");
    let directory = directory.join("real");
    if directory.exists() {
        std::fs::remove_dir_all(&directory).expect("removed");
    }
    std::fs::create_dir(&directory).expect("a directory");
    Disk::at(directory, 700 * MIB + 3 * 512, |file, path| {
        let mut sgdisk = tool("sgdisk", "gdisk");
        run(sgdisk.args(["-n", "1:1M:+40M", "-t", "1:ef00", "-n", "2:41M:+256M", "-t", "2:8304"]).arg(path));
        let tree = path.with_file_name("tree");
        std::fs::create_dir(&tree).expect("a directory");
        let mut copy = Command::new("cp");
        run(copy.arg("-r").arg(concat!(env!("CARGO_MANIFEST_DIR"), "/src")).arg("/usr/bin/qemu-img").arg(&tree));
        let offset = format!("offset={ROOT},lazy_itable_init=0");
        run(tool("mke2fs", "e2fsprogs")
            .args(["-q", "-t", "ext4", "-E", &offset, "-d"])
            .args([&tree, path])
            .arg("256M"));
        let mut bytes = vec![0; 5 * MIB as usize];
        noise(&mut bytes, 1);
        file.write_all_at(&bytes, 2 * MIB + 512).expect("noise");
        // Clusters of noise and of text in turn, so that plain and compressed ones alternate.
        for number in 0..40 {
            let at = 300 * MIB + number * 65536;
            let text = format!("cluster {number} ").repeat(4000);
            file.write_all_at(if number % 2 == 0 { &bytes[..65536] } else { &text.as_bytes()[..40_000] }, at)
                .expect("mixed");
        }
        file.write_all_at(&vec![0; 3 * MIB as usize], 400 * MIB + 4096).expect("zeros");
        // Beyond the first L2 table of a qcow2, around a cluster's end, and alone in a cluster.
        file.write_all_at(b"across", 600 * MIB - 3).expect("text");
        file.write_all_at(b"alone", 650 * MIB + 1000).expect("text");
    })
});

/// Checks that both have the same bytes as read by 7-Zip, which calls the format of `path`
/// `format`.
pub(super) fn assert_same_by_7z(raw: &Path, path: &Path, format: &str) {
    let mut command = tool("7z", "p7zip-full");
    command.arg("x").arg(format!("-t{format}")).arg("-so").arg(path).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut unpacked = command.spawn().expect("7z starts");
    // Either may be padded with zeros; other tests check the sizes.
    let size = std::fs::metadata(raw).expect("there").len();
    let mut cmp = tool("cmp", "diffutils");
    cmp.args(["-n", &size.to_string()]).arg("-").arg(raw);
    run(cmp.stdin(unpacked.stdout.take().expect("a pipe")));
    // This closes our end of the pipe, which 7z would otherwise block on.
    drop(cmp);
    unpacked.wait().expect("7z ends");
}
