//! Real Debian packages for tests: fetched once from the host's mirror, unpacked, and read as a
//! tree.

// Each test program uses only a part.
#![allow(dead_code)]

use kiln_tree::{
    Content, ContentReader, ContentSource, Digest, Entry, FileTree, Kind, LinkGroup, LocalReader, Metadata, Origin,
    ReadError, TreePath,
};
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

/// Runs a command that must succeed; `package` is the Debian package to install when it is missing.
pub fn run(command: &mut Command, package: &str) -> Output {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}; this test needs the Debian package {package}"));
    assert!(output.status.success(), "{command:?}: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
    output
}

/// Returns the output of a command that must succeed.
pub fn stdout(command: &mut Command, package: &str) -> String {
    String::from_utf8(run(command, package).stdout).expect("text")
}

/// The directory that keeps fetched packages between runs.
fn cache() -> PathBuf {
    let base = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let base = base.or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache")));
    base.expect("HOME or XDG_CACHE_HOME is set").join("kiln-test")
}

/// An apt configuration with one suite of the host's mirror and without the host's packages.
pub struct Suite {
    name: &'static str,
    dir: PathBuf,
    /// Held while the directory is in use, because tests run in parallel.
    _lock: File,
}

impl Suite {
    /// The suite `name`, locked until this is dropped.
    pub fn new(name: &'static str) -> Self {
        let dir = cache().join("suites").join(name);
        for part in ["lists/partial", "archives/partial", "debs"] {
            fs::create_dir_all(dir.join(part)).expect("a cache directory");
        }
        let lock = File::create(dir.join("lock")).expect("a lock file");
        lock.lock().expect("a lock");
        let source =
            format!("deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] {} {name} main\n", mirror());
        fs::write(dir.join("sources.list"), source).expect("written");
        Self { name, dir, _lock: lock }
    }

    fn apt(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        let dir = self.dir.display();
        for option in [
            format!("Dir::State={dir}"),
            "Dir::State::Status=/dev/null".into(),
            format!("Dir::State::Lists={dir}/lists"),
            format!("Dir::Cache={dir}"),
            format!("Dir::Etc::SourceList={dir}/sources.list"),
            "Dir::Etc::SourceParts=/dev/null".into(),
            "APT::Architecture=amd64".into(),
            "APT::Architectures=amd64".into(),
            "APT::Sandbox::User=".into(),
            "Acquire::Languages=none".into(),
        ] {
            command.arg("-o").arg(option);
        }
        command.env("LC_ALL", "C").current_dir(self.dir.join("debs"));
        command
    }

    fn fetched(&self, package: &str) -> Option<PathBuf> {
        let files = fs::read_dir(self.dir.join("debs")).expect("the cache").map(|file| file.expect("a file").path());
        let prefix = format!("{package}_");
        files.into_iter().find(|path| {
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            name.starts_with(&prefix) && name.ends_with(".deb")
        })
    }

    /// The .deb of `package`, from the cache or the mirror.
    pub fn deb(&self, package: &str) -> PathBuf {
        if let Some(deb) = self.fetched(package) {
            return deb;
        }
        let fetch =
            || self.apt("apt-get").args(["download", "-q", package]).output().is_ok_and(|out| out.status.success());
        if !fetch() {
            run(self.apt("apt-get").args(["update", "-q"]), "apt");
            run(self.apt("apt-get").args(["download", "-q", package]), "apt");
        }
        self.fetched(package).unwrap_or_else(|| panic!("apt-get downloaded no {package} of {}", self.name))
    }

    /// The kernel that `linux-image-cloud-amd64` stands for.
    pub fn kernel(&self) -> PathBuf {
        let meta = self.deb("linux-image-cloud-amd64");
        let depends = stdout(Command::new("dpkg-deb").arg("-f").arg(meta).arg("Depends"), "dpkg");
        self.deb(depends.split([' ', ',']).next().expect("a dependency"))
    }

    /// Unpacks packages into `root`, with `/usr` merged.
    pub fn unpack(&self, packages: &[&str], root: &Path) {
        let debs: Vec<PathBuf> = packages.iter().map(|package| self.deb(package)).collect();
        unpack(&debs, root);
    }
}

/// The host's Debian mirror.
fn mirror() -> String {
    let targets = stdout(
        Command::new("apt-get").args([
            "indextargets",
            "--format",
            "$(REPO_URI) $(RELEASE) $(COMPONENT)",
            "Created-By: Packages",
        ]),
        "apt",
    );
    let debian = |line: &str| {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            [uri, "bookworm" | "trixie" | "stable" | "oldstable", "main"] => Some(uri.to_owned()),
            _ => None,
        }
    };
    targets.lines().find_map(debian).expect("the host's apt sources name a Debian mirror")
}

/// Unpacks .debs into `root`, with `/usr` merged.
pub fn unpack(debs: &[PathBuf], root: &Path) {
    for dir in ["bin", "sbin", "lib", "lib64"] {
        fs::create_dir_all(root.join("usr").join(dir)).expect("a directory");
        if !root.join(dir).exists() {
            symlink(format!("usr/{dir}"), root.join(dir)).expect("a link");
        }
    }
    for deb in debs {
        let mut archive = Command::new("dpkg-deb")
            .arg("--fsys-tarfile")
            .arg(deb)
            .stdout(Stdio::piped())
            .spawn()
            .expect("dpkg-deb, of the Debian package dpkg");
        let tar = archive.stdout.take().expect("a pipe");
        let mut extract = Command::new("tar");
        extract.args(["-x", "--keep-directory-symlink", "--no-same-owner", "-C"]).arg(root).stdin(tar);
        run(&mut extract, "tar");
        assert!(archive.wait().expect("dpkg-deb").success(), "{deb:?}");
    }
}

/// Returns `root` as a tree whose contents are read from `root`.
pub fn tree_of(root: &Path) -> FileTree {
    let mut paths = Vec::new();
    walk(root, &mut paths);
    let entries: Vec<(TreePath, Entry)> = paths.par_iter().map(|path| (tree_path(root, path), entry(path))).collect();
    let mut tree = FileTree::new();
    for (path, entry) in entries {
        tree.insert(path, entry).expect("inserted");
    }
    tree
}

fn tree_path(root: &Path, path: &Path) -> TreePath {
    TreePath::new(path.strip_prefix(root).expect("below the root").to_str().expect("UTF-8")).expect("a path")
}

fn walk(dir: &Path, paths: &mut Vec<PathBuf>) {
    let mut children: Vec<PathBuf> =
        fs::read_dir(dir).expect("a directory").map(|child| child.expect("a child").path()).collect();
    children.sort();
    for child in children {
        let descend = child.symlink_metadata().expect("metadata").is_dir();
        paths.push(child.clone());
        if descend {
            walk(&child, paths);
        }
    }
}

fn entry(path: &Path) -> Entry {
    let metadata = path.symlink_metadata().expect("metadata");
    let kind = if metadata.is_symlink() {
        Kind::Symlink(fs::read_link(path).expect("a link").to_str().expect("UTF-8").to_owned())
    } else if metadata.is_dir() {
        Kind::Directory
    } else {
        let digest = Digest::of(&fs::read(path).expect("a file"));
        let source = ContentSource::Host(Arc::new(path.to_owned()));
        let link = (metadata.nlink() > 1).then(|| LinkGroup(metadata.ino().to_string().into()));
        Kind::File { content: Content { size: metadata.len(), digest, source }, link }
    };
    Entry { kind, meta: Metadata::new(0o755, Origin::Generated("test".into())) }
}

/// Reads files of the host on all cores in any order, which finalizers must support.
pub struct ParallelReader;

impl ContentReader for ParallelReader {
    fn visit(&self, contents: &[&Content], visit: &(dyn Fn(usize, &[u8]) + Sync)) -> Result<(), ReadError> {
        contents
            .par_iter()
            .enumerate()
            .try_for_each(|(index, content)| LocalReader.visit(&[content], &|_, bytes| visit(index, bytes)))
    }
}

/// All symlinks below `root`, path and target.
pub fn links(root: &Path) -> BTreeMap<String, String> {
    let mut paths = Vec::new();
    walk(root, &mut paths);
    let links = paths.iter().filter(|path| path.symlink_metadata().expect("metadata").is_symlink());
    links
        .map(|path| {
            let target = fs::read_link(path).expect("a link");
            (tree_path(root, path).to_string(), target.to_str().expect("UTF-8").to_owned())
        })
        .collect()
}
