//! Real Debian packages, unpacked: the input for tests of finalizers.
//!
//! Packages come from the host's own mirror through a private apt configuration, are cached below
//! apt downloads the packages from the host's mirror with a private configuration. They are cached
//! below `$XDG_CACHE_HOME/kiln-test` and unpacked there once per suite; no script of a package
//! runs. The tools that finalizers are compared with are those of the suite, run by the suite's
//! dynamic loader.

#![allow(dead_code)] // Each test binary uses a part.

use kiln_tree::{Content, ContentSource, Digest, Entry, FileTree, Kind, Metadata, Origin, TreePath};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;

/// The suites that kiln bakes.
pub const SUITES: [&str; 2] = ["bookworm", "trixie"];

/// A node's packages except the kernel, and packages with accounts, units or alternatives that
/// tests need.
const PACKAGES: &[&str] = &[
    "base-files",
    "base-passwd",
    "bash",
    "ca-certificates",
    "chrony",
    "conntrack",
    "containerd",
    "containernetworking-plugins",
    "coreutils",
    "cryptsetup-bin",
    "dbus",
    "e2fsprogs",
    "ethtool",
    "iproute2",
    "iptables",
    "kmod",
    "libc-bin",
    "libnss-myhostname",
    "libnss-resolve",
    "libnss-systemd",
    "libpam-runtime",
    "libpam-systemd",
    "login",
    "mount",
    "nfs-common",
    "openssh-server",
    "openssl",
    "passwd",
    "procps",
    "runc",
    "socat",
    "systemd",
    "systemd-coredump",
    "systemd-resolved",
    "systemd-sysv",
    "tar",
    "udev",
    "util-linux",
];

/// Increment it when the unpacking changes.
const LAYOUT: &str = "1";

/// The unpacked packages of `suite`, usr-merged; read-only by convention.
pub fn real_root(suite: &str) -> PathBuf {
    let base = cache().join(suite);
    fs::create_dir_all(&base).expect("the cache directory can be made");
    let lock = File::create(base.join("lock")).expect("the cache can be locked");
    lock.lock().expect("the cache can be locked");
    let key = Digest::of(format!("{LAYOUT} {PACKAGES:?}").as_bytes()).to_string();
    let root = base.join(format!("root-{}", &key[..16]));
    if !root.is_dir() {
        let fresh = base.join("unpacking");
        let _ = fs::remove_dir_all(&fresh);
        download(suite, &base);
        unpack(&base.join("cache/archives"), &fresh);
        fs::rename(&fresh, &root).expect("renamed within the cache");
    }
    root
}

fn cache() -> PathBuf {
    let base = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let home = || PathBuf::from(std::env::var_os("HOME").expect("HOME or XDG_CACHE_HOME is set")).join(".cache");
    base.unwrap_or_else(home).join("kiln-test/debian-roots")
}

/// Runs `command`, which must succeed; returns its standard output.
pub fn run(command: &mut Command) -> String {
    let Output { status, stdout, stderr } =
        command.output().unwrap_or_else(|error| panic!("{command:?}: {error} (is its Debian package installed?)"));
    let stdout = String::from_utf8_lossy(&stdout).into_owned();
    assert!(status.success(), "{command:?}: {status}\n{stdout}{}", String::from_utf8_lossy(&stderr));
    stdout
}

/// The URL of the host's mirror of Debian's archive proper.
fn mirror() -> String {
    let format = "$(ORIGIN)|$(LABEL)|$(COMPONENT)|$(REPO_URI)";
    let targets = run(Command::new("apt-get").args(["indextargets", "--format", format, "Created-By: Packages"]));
    let uri = targets.lines().find_map(|line| line.strip_prefix("Debian|Debian|main|"));
    uri.expect("the host's apt sources name a mirror of Debian main (run apt-get update)").to_owned()
}

fn download(suite: &str, base: &Path) {
    let keyring = "/usr/share/keyrings/debian-archive-keyring.gpg";
    assert!(Path::new(keyring).exists(), "{keyring} is missing: install the package debian-archive-keyring");
    for dir in ["state/lists/partial", "cache/archives/partial", "etc"] {
        fs::create_dir_all(base.join(dir)).expect("a directory of the cache");
    }
    fs::write(base.join("status"), "").expect("an empty dpkg status");
    fs::write(base.join("etc/sources.list"), format!("deb [signed-by={keyring}] {} {suite} main\n", mirror()))
        .expect("a private sources.list");
    let proxy = run(Command::new("apt-config").args(["dump", "Acquire::http::Proxy"]));
    let dir = base.display();
    let config = format!(
        "Dir::State \"{dir}/state\";\nDir::State::status \"{dir}/status\";\nDir::Cache \"{dir}/cache\";\n\
         Dir::Etc \"{dir}/etc\";\nDir::Etc::sourcelist \"{dir}/etc/sources.list\";\nDir::Etc::sourceparts \"-\";\n\
         Dir::Etc::main \"/dev/null\";\nDir::Etc::parts \"/dev/null\";\nDir::Etc::preferencesparts \"/dev/null\";\n\
         APT::Architecture \"amd64\";\nAPT::Install-Recommends \"false\";\nAcquire::Languages \"none\";\n\
         APT::Sandbox::User \"root\";\n{proxy}"
    );
    let config_path = base.join("apt.conf");
    fs::write(&config_path, config).expect("a private apt.conf");
    let apt = |args: &[&str]| run(Command::new("apt-get").env("APT_CONFIG", &config_path).arg("-qq").args(args));
    apt(&["update"]);
    apt(&["clean"]);
    apt(&[&["--yes", "--download-only", "install"], PACKAGES].concat());
}

/// Unpacks the members with `dpkg-deb` into a usr-merged root, without scripts and without root
/// privileges.
fn unpack(archives: &Path, root: &Path) {
    for dir in ["bin", "sbin", "lib", "lib64"] {
        fs::create_dir_all(root.join("usr").join(dir)).expect("a directory");
        symlink(format!("usr/{dir}"), root.join(dir)).expect("a usr-merge link");
    }
    let mut packages: Vec<PathBuf> = fs::read_dir(archives)
        .expect("downloaded packages")
        .map(|entry| entry.expect("a package").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "deb"))
        .collect();
    packages.sort();
    assert!(packages.len() > 50, "only {} packages were downloaded", packages.len());
    for package in packages {
        let script = "dpkg-deb --fsys-tarfile \"$1\" | tar -x --keep-directory-symlink --no-same-owner -p -C \"$2\"";
        run(Command::new("bash").args(["-o", "pipefail", "-c", script, "unpack"]).arg(package).arg(root));
    }
}

/// Makes a writable copy of the directories `parts` of `root`, with the usr-merge links.
pub fn copy_of(root: &Path, parts: &[&str]) -> tempfile::TempDir {
    let copy = tempfile::tempdir().expect("a temporary directory");
    for dir in ["bin", "sbin", "lib", "lib64"] {
        fs::create_dir_all(copy.path().join("usr").join(dir)).expect("a directory");
        symlink(format!("usr/{dir}"), copy.path().join(dir)).expect("a usr-merge link");
    }
    for part in parts {
        let target = copy.path().join(part);
        if root.join(part).symlink_metadata().is_err() {
            continue;
        }
        fs::create_dir_all(target.parent().expect("a parent")).expect("a directory");
        if root.join(part).is_dir() {
            fs::create_dir_all(&target).expect("a directory");
            run(Command::new("cp").args(["-a", "--"]).arg(root.join(part).join(".")).arg(&target));
        } else {
            run(Command::new("cp").args(["-a", "--"]).arg(root.join(part)).arg(&target));
        }
    }
    copy
}

/// A program of `root`, run with the dynamic loader and libraries of `root`.
pub fn tool(root: &Path, program: &str) -> Command {
    let lib = root.join("usr/lib/x86_64-linux-gnu");
    let mut command = Command::new(root.join("usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2"));
    command.env_clear().env("PATH", "/usr/sbin:/usr/bin").env("LC_ALL", "C");
    command.arg("--library-path").arg(format!("{}:{}", lib.display(), lib.join("systemd").display()));
    command.arg(root.join(program));
    command
}

/// Loads `dir` as the builder would store it: files up to 64 KiB inline, larger files by reference,
/// everything owned by root and from one package.
pub fn load(dir: &Path) -> FileTree {
    let mut tree = FileTree::new();
    load_below(dir, "", &mut tree);
    tree
}

fn load_below(dir: &Path, prefix: &str, tree: &mut FileTree) {
    for entry in fs::read_dir(dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display())) {
        let entry = entry.expect("a directory entry");
        let name = entry.file_name().into_string().expect("a UTF-8 name");
        let path = format!("{prefix}{name}");
        let metadata = entry.metadata().expect("metadata");
        let kind = if metadata.is_dir() {
            Kind::Directory
        } else if metadata.is_symlink() {
            let target = fs::read_link(entry.path()).expect("a link");
            Kind::Symlink(target.into_os_string().into_string().expect("a UTF-8 target"))
        } else {
            let bytes = fs::read(entry.path()).unwrap_or_else(|error| panic!("{path}: {error}"));
            let content = if bytes.len() <= 64 << 10 {
                Content::inline(bytes)
            } else {
                let source = ContentSource::Host(Arc::new(entry.path()));
                Content { size: bytes.len() as u64, digest: Digest::of(&bytes), source }
            };
            Kind::File { content, link: None }
        };
        let mode = u16::try_from(metadata.permissions().mode() & 0o7777).expect("permission bits");
        let meta = Metadata::new(mode, Origin::Package("unpacked=1".into()));
        tree.insert(TreePath::new(&path).expect("a plain path"), Entry { kind, meta }).expect("parents first");
        if metadata.is_dir() {
            load_below(&entry.path(), &format!("{path}/"), tree);
        }
    }
}

/// All symlinks below `dir` of the tree, path → target.
pub fn links(tree: &FileTree, dir: &str) -> BTreeMap<String, String> {
    let link =
        |(path, entry): (&TreePath, &Entry)| entry.link_target().map(|target| (path.to_string(), target.to_owned()));
    tree.below(dir).filter_map(link).collect()
}

/// The maintainer scripts of one of `suite`'s packages.
pub fn scripts_of(suite: &str, package: &str) -> tempfile::TempDir {
    real_root(suite);
    let archives = cache().join(suite).join("cache/archives");
    let prefix = format!("{package}_");
    let deb = fs::read_dir(&archives)
        .expect("downloaded packages")
        .map(|entry| entry.expect("a package").path())
        .find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&prefix)))
        .unwrap_or_else(|| panic!("{package} of {suite} was not downloaded"));
    let scripts = tempfile::tempdir().expect("a temporary directory");
    run(Command::new("dpkg-deb").arg("-e").arg(deb).arg(scripts.path()));
    scripts
}
