//! Finds other programs, or fails the test with the name of the package to install.

use std::env;
use std::ffi::OsStr;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// The program `name` of Debian package `package`, in the C locale and UTC.
pub fn tool(name: &str, package: &str) -> Command {
    let path = find(name).unwrap_or_else(|| panic!("{name} is missing: apt-get install {package}"));
    let mut command = Command::new(path);
    command.env("LC_ALL", "C.UTF-8").env("TZ", "UTC");
    command
}

/// The path of `name`, also when it is only in root's PATH.
pub fn find(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let directories = env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    directories.map(|directory| directory.join(name)).find(|path| path.is_file())
}

/// Runs `command` and returns its output.
///
/// # Panics
/// When it fails, with its error messages.
pub fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
    output
}

/// Like [`run`], but returns the standard output as text.
pub fn text(command: &mut Command) -> String {
    String::from_utf8(run(command).stdout).expect("UTF-8")
}

/// Runs `command` on the decompressed bytes of `archive`; zstd(1) decompresses.
pub fn unzstd(archive: &Path, command: &mut Command) -> Output {
    let mut zstd = tool("zstd", "zstd")
        .args(["-dcq", "--memory=128MB"])
        .arg(archive)
        .stdout(Stdio::piped())
        .spawn()
        .expect("zstd starts");
    let output = run(command.stdin(zstd.stdout.take().expect("a pipe")));
    assert!(zstd.wait().expect("zstd ends").success(), "zstd -d {}", archive.display());
    output
}

/// The SHA-256 of each of `paths` from sha256sum(1), in order.
pub fn sha256sums(directory: &Path, paths: &[impl AsRef<OsStr>]) -> Vec<String> {
    let list = tempfile::NamedTempFile::new().expect("a file");
    let names: Vec<u8> = paths.iter().flat_map(|path| [path.as_ref().as_encoded_bytes(), b"\0"].concat()).collect();
    std::fs::write(list.path(), names).expect("written");
    // xargs respects the limit on arguments; --zero prevents sha256sum from escaping names.
    let mut command = tool("xargs", "findutils");
    command.args(["-0", "sha256sum", "--zero", "--"]).current_dir(directory);
    let sums = text(command.stdin(File::open(list.path()).expect("opened")));
    let sums: Vec<String> = sums.split_terminator('\0').map(|line| line[..64].to_owned()).collect();
    assert_eq!(sums.len(), paths.len());
    sums
}
