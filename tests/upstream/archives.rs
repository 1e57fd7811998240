//! Release archives as their projects pack them, by GNU tar.

use crate::tools::{run, tool};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// A program that is none, for builds that are not booted.
pub fn stand_in(name: &str) -> Vec<u8> {
    format!("#!/bin/sh\n# Stands for {name}.\n").into_bytes()
}

/// Writes `files` (path, bytes) into `directory`, executable but for documents, and as open as a workflow's umask leaves them.
pub fn write(directory: &Path, files: &[(&str, Vec<u8>)]) {
    fs::create_dir_all(directory).expect("a directory");
    for (name, bytes) in files {
        let path = directory.join(name);
        let parent = path.parent().expect("a parent");
        fs::create_dir_all(parent).expect("a directory");
        fs::write(&path, bytes).expect("written");
        let document = ["LICENSE", "README.md"].contains(name);
        let mode = if document { 0o664 } else { 0o755 };
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("permissions");
        fs::set_permissions(parent, fs::Permissions::from_mode(0o775)).expect("permissions");
    }
}

/// `member` of `directory` as a tar archive compressed by `program`, owned by the user of a GitHub workflow.
pub fn tar(directory: &Path, member: &str, program: &str) -> Vec<u8> {
    let compressor = tool(program, if program == "xz" { "xz-utils" } else { program });
    let mut tar = tool("tar", "tar");
    tar.args(["--create", "--owner=runner:1001", "--group=docker:127", "--sort=name", "--file=-"]);
    tar.arg("--use-compress-program").arg(compressor.get_program());
    run(tar.arg("--directory").arg(directory).arg(member)).stdout
}

/// SHA-256 by sha256sum(1).
pub fn sha256(bytes: &[u8]) -> String {
    let directory = tempfile::tempdir().expect("a directory");
    fs::write(directory.path().join("x"), bytes).expect("written");
    crate::tools::sha256sums(directory.path(), &["x"]).remove(0)
}
