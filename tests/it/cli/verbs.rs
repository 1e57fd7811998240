//! Verbs that build nothing, and exit codes.

use super::{failure, kiln, run, stdout};
use kiln_cache::Cache;
use kiln_tree::Digest;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;
use tempfile::TempDir;

fn shipped() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("profiles")
}

fn directory() -> TempDir {
    tempfile::tempdir().expect("a directory")
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn usage_errors_exit_with_2() {
    let dir = directory();
    for line in [
        "",
        "bake worker",
        "build",
        "build worker --frobnicate",
        "build worker worker",
        "build worker --jobs 0",
        "build worker --jobs many",
        "build worker --arch mips",
        "plan worker --quiet --verbose",
        "boot out/worker --once",
        "boot out/worker --memory 1",
        "cache trim --max-size 5X",
        "cache trim --all --max-size 5G",
        "completions tcsh",
    ] {
        let (code, error) = failure(kiln(dir.path()).args(line.split_whitespace()));
        assert_eq!(code, 2, "kiln {line}: {error}");
        assert!(error.contains("Usage: kiln") || error.contains("--help"), "kiln {line}: {error}");
    }
    assert!(fs::read_dir(dir.path()).expect("a directory").next().is_none(), "a usage error left something behind");
}

#[test]
fn other_errors_exit_with_1_and_one_line() {
    let dir = directory();
    for (line, said) in [
        ("inspect out/worker", "reading out/worker/manifest.json; is out/worker the output of \"kiln build\"?"),
        ("boot out/worker", "out/worker"),
        (
            "plan worker",
            "reading profiles: No such file or directory (os error 2); run kiln where the profiles are, or name their directory with --profiles\n",
        ),
        ("build worker", "reading profiles: "),
        ("cache trim", "say what to remove: --max-size 5G, --unused-days 30 or --all"),
    ] {
        let (code, error) = failure(kiln(dir.path()).args(line.split_whitespace()));
        assert_eq!(code, 1, "kiln {line}: {error}");
        assert!(error.starts_with("kiln: ") && error.contains(said), "kiln {line}: {error}");
        assert_eq!(error.lines().count(), 1, "kiln {line}: {error}");
    }
    let (code, error) = failure(kiln(dir.path()).env_remove("HOME").args(["cache"]));
    assert_eq!((code, error.contains("set HOME or XDG_CACHE_HOME, or give --cache DIR")), (1, true), "{error}");
}

#[test]
fn the_schema_is_that_of_the_parser() {
    // The module `profiles` checks it with another validator on the shipped profiles.
    let schema =
        |option: Option<&str>| parsed(&stdout(kiln(Path::new("/")).env_remove("HOME").arg("schema").args(option)));
    assert_eq!(schema(None), kiln_profile::schema());
    assert_eq!(schema(None), schema(Some("profile")));
    assert_eq!(schema(Some("release")), kiln_profile::release_schema());
    assert_eq!(schema(Some("cluster")), kiln_profile::cluster_schema());
    assert_ne!(schema(None), schema(Some("release")));
}

#[test]
fn plan_needs_neither_lock_nor_network_nor_cache() {
    let dir = directory();
    let trace = dir.path().join("trace");
    let mut strace = Command::new("strace");
    strace.args(["-f", "-e", "trace=network", "-o"]).arg(&trace).arg(env!("CARGO_BIN_EXE_kiln"));
    strace.args(["plan", "worker", "--profiles"]).arg(shipped()).env("HOME", dir.path()).current_dir(dir.path());
    strace.args(["--suite", "bookworm", "--arch", "arm64"]);
    let output = strace.output().expect("strace: install the Debian package strace");
    let plan = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let has = |start: &str, rest: &str| plan.lines().any(|line| line.starts_with(start) && line.contains(rest));
    assert!(has("role ", " worker ("), "{plan}");
    assert!(has("debian ", "bookworm arm64, kernel linux-image-cloud-arm64"), "{plan}");
    assert!(has("packages ", " systemd "), "{plan}");
    assert!(has("lock ", "worker@bookworm@arm64.lock does not exist; the first build writes it"), "{plan}");
    let trace = fs::read_to_string(&trace).expect("strace's output");
    assert!(trace.contains("+++ exited with 0 +++") && !trace.contains("AF_INET"), "{trace}");
    assert!(!dir.path().join(".cache").exists(), "plan made a cache");
}

#[test]
fn plan_as_json_is_the_resolved_profile() {
    let dir = directory();
    let plan = |options: &[&str]| {
        let mut command = kiln(dir.path());
        parsed(&stdout(command.args(["plan", "worker", "--json", "--profiles"]).arg(shipped()).args(options)))
    };
    let changed = plan(&["--image-version", "7", "--suite", "bookworm"]);
    assert_eq!(changed["profile"]["role"], "worker");
    assert_eq!(changed["profile"]["image"]["version"], "7");
    assert_eq!(changed["profile"]["debian"]["suite"], "bookworm");
    assert_eq!(plan(&[])["profile"]["debian"]["suite"], "trixie");
}

#[test]
fn cache_is_shown_and_trimmed() {
    let dir = directory();
    let root = dir.path().join(".cache/kiln");
    let shown = || parsed(&stdout(kiln(dir.path()).args(["cache", "--json"])));
    let empty = shown();
    assert_eq!(empty["path"], json!(root));
    assert!(empty["kinds"].as_object().is_some_and(|kinds| kinds.values().all(|kind| kind["files"] == 0)), "{empty}");

    let cache = Cache::open(&root, SystemTime::now()).expect("a cache");
    cache.put_derived("frame", &Digest::of(b"key"), &[0; 5000]).expect("kept");
    drop(cache);
    let kinds = shown()["kinds"].clone();
    let frame = kinds.as_object().and_then(|kinds| kinds.iter().find(|(kind, _)| kind.contains("frame")));
    let (_, frame) = frame.unwrap_or_else(|| panic!("{kinds}"));
    assert_eq!(frame["files"], 1, "{kinds}");
    let bytes = frame["bytes"].as_u64().expect("a number");
    assert!((5000..10_000).contains(&bytes), "{kinds}");
    assert!(stdout(kiln(dir.path()).arg("cache")).contains(" 1 files "), "the table lacks the frame");

    let trimmed = parsed(&stdout(kiln(dir.path()).args(["cache", "--json", "trim", "--all"])));
    assert_eq!((&trimmed["removed"], &trimmed["kept"]), (&json!(bytes), &json!(0)));
    assert_eq!(shown(), empty);
    let elsewhere = dir.path().join("elsewhere");
    let other = stdout(kiln(dir.path()).args(["cache", "--json", "--cache"]).arg(&elsewhere));
    assert_eq!(parsed(&other)["path"], json!(elsewhere));
}

/// `kiln plan worker | head -1` does not fail.
#[test]
fn a_closed_pipe_is_not_a_failure() {
    let script = "set -o pipefail; \"$0\" plan worker --json --profiles \"$1\" | head -c 1 >/dev/null";
    let mut bash = Command::new("bash");
    bash.args(["-c", script, env!("CARGO_BIN_EXE_kiln")]).arg(shipped()).current_dir("/tmp");
    let output = run(&mut bash);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// `kiln verify out/worker | head -1` exits with 1 when a check fails, as `kiln diff` does when
/// something differs.
#[test]
fn a_closed_pipe_does_not_hide_a_failed_check() {
    let dir = directory();
    for options in [&[][..], &["--json"]] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        // An empty directory fails the check of the manifest.
        let child = kiln(dir.path()).args(["verify", "."]).args(options).stdout(writer).spawn();
        let code = child.and_then(|mut child| child.wait()).expect("kiln runs").code();
        assert_eq!(code, Some(1), "{options:?}");
    }
}
