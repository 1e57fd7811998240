//! Packs release archives with GNU tar, as their projects do.

use crate::upstream::tools::{run, sha256sums, tool};
use std::fs;
use std::os::unix::fs::PermissionsExt;

/// A file of an archive: its path and its contents.
pub(super) type File = (String, Vec<u8>);

/// A placeholder for a program that is not run.
pub(super) fn stand_in(name: &str) -> Vec<u8> {
    format!("#!/bin/sh\n# Stands for {name}.\n").into_bytes()
}

/// An archive of `files`, packed from `member`, one of their directories or `.`. `program`
/// compresses it. Files belong to the user of a GitHub workflow and have the permissions according
/// to its umask.
pub(super) fn tar(files: &[File], member: &str, program: &str) -> Vec<u8> {
    let directory = tempfile::tempdir().expect("a directory");
    for (name, bytes) in files {
        let path = directory.path().join(name);
        let parent = path.parent().expect("a parent");
        fs::create_dir_all(parent).expect("a directory");
        fs::write(&path, bytes).expect("written");
        let document = ["LICENSE", "README.md"].contains(&name.as_str());
        let mode = if document { 0o664 } else { 0o755 };
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("permissions");
        fs::set_permissions(parent, fs::Permissions::from_mode(0o775)).expect("permissions");
    }
    let compressor = tool(program, if program == "xz" { "xz-utils" } else { program });
    let mut tar = tool("tar", "tar");
    tar.args(["--create", "--owner=runner:1001", "--group=docker:127", "--sort=name", "--file=-"]);
    tar.arg("--use-compress-program").arg(compressor.get_program());
    run(tar.arg("--directory").arg(directory.path()).arg(member)).stdout
}

/// SHA-256 by sha256sum(1).
pub(super) fn sha256(bytes: &[u8]) -> String {
    let directory = tempfile::tempdir().expect("a directory");
    fs::write(directory.path().join("x"), bytes).expect("written");
    sha256sums(directory.path(), &["x"]).remove(0)
}
