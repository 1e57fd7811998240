//! Machines on which kiln cannot work: no space, no network, no home, no keyring, directories that
//! cannot be written.

use crate::bad_input::site::{Keys, Site, succeeds};
use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

#[test]
fn places() {
    let keys = Keys::new();
    let site = Site::new(&keys, &[]);
    succeeds(&mut site.kiln(&["lock", "worker", "--mirror", &site.mirror()]));
    site.write("file", "not a directory");
    site.write("foreign/thesis.tex", "not kiln's");
    let outputs = [
        ("file/worker", "writing the output file: *; choose another place with --out"),
        ("/proc/self/worker", "writing the output /proc/self/*: *; choose another place with --out"),
        (
            "foreign",
            "foreign exists and is not an output of kiln (it has no manifest.json); choose another with --out, or remove it",
        ),
        (
            "file",
            "file exists and is not an output of kiln (it has no manifest.json); choose another with --out, or remove it",
        ),
        (
            "/dev/full",
            "/dev/full exists and is not an output of kiln (it has no manifest.json); choose another with --out, or remove it",
        ),
        (
            "/",
            "/ exists and is not an output of kiln (it has no manifest.json); choose another with --out, or remove it",
        ),
    ];
    let mirror = site.mirror();
    for (output, expected) in outputs {
        let mut command = site.kiln(&["build", "worker", "--mirror", &mirror, "-o", output]);
        site.refuses_with(&mut command, 1, expected);
    }
    assert_eq!(site.read("foreign/thesis.tex"), "not kiln's");
    assert_eq!(site.read("file"), "not a directory");
    for cache in ["file", "/proc/self/kiln", "/dev/full"] {
        let mut command = site.kiln_in(cache, &["build", "worker", "--mirror", &mirror, "-o", "out/worker"]);
        let expected =
            format!("opening the cache {cache}: *; make it writable, or set XDG_CACHE_HOME to a directory that is");
        site.refuses_with(&mut command, 1, &expected);
    }
}

#[test]
fn outputs_by_other_names() {
    let keys = Keys::new();
    let site = Site::new(&keys, &[]);
    let mut seen = vec![site.builds(&[])];
    symlink("out/worker", site.path("link")).expect("linked");
    symlink("nowhere", site.path("dangling")).expect("linked");
    let build = |directory: &str, out: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kiln"));
        command.env_clear().env("HOME", site.path("home")).current_dir(site.path(directory));
        command.args(["-q", "build", "worker", "--mirror", &site.mirror(), "--out", out]);
        command.arg("--profiles").arg(site.path("profiles")).arg("--cache").arg(site.path("cache"));
        command
    };
    let profile = site.read("profiles/worker.yaml");
    for (directory, out) in [("", "link"), ("out/worker", ".")] {
        site.write("profiles/worker.yaml", format!("{profile}files: {{/etc/motd: {{content: {out}}}}}\n"));
        succeeds(&mut build(directory, out));
        assert!(!seen.contains(&site.sums()), "{out}: this is the old output");
        seen.push(site.sums());
        assert!(site.path("link").is_symlink());
        assert_eq!(fs::read_dir(site.path("out")).expect("listed").count(), 1, "{out}: something is left");
    }
    let expected = "dangling exists and is not an output of kiln (it has no manifest.json); choose another with --out, or remove it";
    site.refuses_with(&mut build("", "dangling"), 1, expected);
}

/// A file system without RENAME_EXCHANGE, simulated with strace(1).
#[test]
fn outputs_that_cannot_be_exchanged() {
    let found = Command::new("strace").arg("-V").output();
    assert!(found.is_ok(), "strace is missing: apt-get install strace");
    let keys = Keys::new();
    let site = Site::new(&keys, &[]);
    let old = site.builds(&[]);
    let profile = site.read("profiles/worker.yaml");
    let refused = |errno: &str| {
        site.write("profiles/worker.yaml", format!("{profile}files: {{/etc/motd: {{content: {errno}}}}}\n"));
        let build = site.build(&[]);
        let mut strace = Command::new("strace");
        strace.args(["-f", "-qq", "-e", &format!("inject=renameat2:error={errno}"), "-o"]).arg(site.path("trace"));
        strace.arg(build.get_program()).args(build.get_args()).env("HOME", site.path("home"));
        strace.current_dir(site.path(""));
        strace
    };
    let expected = "writing the output {dir}/out/worker: Input/output error (os error 5)*";
    site.refuses_with(&mut refused("EIO"), 1, expected);
    assert_eq!(site.sums(), old);
    let mut seen = vec![old];
    for errno in ["EINVAL", "ENOSYS"] {
        succeeds(&mut refused(errno));
        assert!(site.read("trace").contains("(INJECTED)"), "{}", site.read("trace"));
        assert!(!seen.contains(&site.sums()), "{errno}: this is the old output");
        seen.push(site.sums());
        assert_eq!(fs::read_dir(site.path("out")).expect("listed").count(), 1, "something is left");
    }
}

#[test]
fn variables() {
    let keys = Keys::new();
    let site = Site::new(&keys, &[]);
    let mirror = site.mirror();
    let mut homeless = Command::new(env!("CARGO_BIN_EXE_kiln"));
    homeless.env_clear().current_dir(site.path("")).args([
        "-q",
        "build",
        "worker",
        "--mirror",
        &mirror,
        "-o",
        "out/worker",
    ]);
    site.refuses_with(
        &mut homeless,
        1,
        "no directory for the cache is known: set HOME or XDG_CACHE_HOME, or give --cache DIR",
    );
    let proxies = [
        (
            "http_proxy",
            "ftp://proxy:21",
            "the environment variable http_proxy does not name a proxy (ftp proxies are not supported); write it as http://host:port or unset it",
        ),
        (
            "https_proxy",
            "http://",
            "the environment variable https_proxy does not name a proxy (it is not a URL); write it as http://host:port or unset it",
        ),
        (
            "http_proxy",
            "http://127.0.0.1:9",
            "loading the package index of sid: {mirror}: fetching {mirror}/dists/sid/InRelease: the connection was refused (tried 4 times); check the proxy 127.0.0.1:9 (http_proxy, https_proxy, no_proxy; for mirrors also apt's Acquire::http::Proxy)",
        ),
    ];
    for (name, value, expected) in proxies {
        site.refuses_with(site.build(&[]).env(name, value), 1, expected);
    }
}

#[test]
fn keyrings() {
    let keys = Keys::new();
    let site = Site::new(&keys, &[]);
    site.write("empty.gpg", "");
    site.write("text.gpg", "not a keyring");
    for (keyring, expected) in [
        (
            "nowhere.gpg",
            "reading the keyring nowhere.gpg: No such file or directory (os error 2); install the Debian package debian-archive-keyring, or name a keyring in the profile (debian.keyring)",
        ),
        (
            "empty.gpg",
            "the keyring empty.gpg contains no OpenPGP certificate (it is empty); it must be what `gpg --export` writes, armored or not",
        ),
        (
            "text.gpg",
            "the keyring text.gpg contains no OpenPGP certificate (*); it must be what `gpg --export` writes, armored or not",
        ),
    ] {
        site.refuses(&["--keyring", keyring], expected);
    }
}

#[test]
fn networks() {
    let keys = Keys::new();
    let site = Site::new(&keys, &[]);
    succeeds(&mut site.kiln(&["lock", "worker", "--mirror", &site.mirror()]));
    site.refuses(&["--offline"], "--offline, and the cache lacks 2 of 3 inputs: base 1 ({mirror}/pool/main/base_1_amd64.deb), kernel 1 ({mirror}/pool/main/kernel_1_amd64.deb); run the same command once without --offline");
    let mut command = site.kiln(&["build", "worker", "-o", "out/worker", "--mirror", "http://127.0.0.1:9"]);
    site.refuses_with(&mut command, 1, "* 1: fetching http://127.0.0.1:9/pool/main/*_1_amd64.deb: the connection was refused (tried 4 times); check the network*");
}

/// kiln in a process that may not write files larger than `blocks` × 512 bytes. Setting this limit
/// needs no privileges, and kiln handles it in the same way as a full file system.
fn limited(site: &Site, blocks: u32, more: &[&str]) -> Command {
    let build = site.build(more);
    let mut command = Command::new("sh");
    // SIGXFSZ must not kill the process before it gets the error.
    command.args(["-c", &format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\"")]).arg(build.get_program());
    command.args(build.get_args()).env_clear().env("HOME", site.path("home")).current_dir(site.path(""));
    command
}

#[test]
fn full_disks() {
    let keys = Keys::new();
    let site = Site::new(&keys, &[]);
    succeeds(&mut site.kiln(&["lock", "worker", "--mirror", &site.mirror()]));
    let cache = "*: writing cache*: File too large (os error 27); free some space, run `kiln cache trim`, or set XDG_CACHE_HOME to another disk";
    // With growing limits, the write that fails is that of a download, of a package's contents, of
    // a frame of the initramfs, and of the output's files.
    site.refuses_with(&mut limited(&site, 1, &[]), 1, cache);
    site.refuses_with(&mut limited(&site, 8, &[]), 1, cache);
    site.refuses_with(&mut limited(&site, 60, &[]), 1, "writing cache/derived/frame/*: File too large (os error 27); free some space, run `kiln cache trim`, or set XDG_CACHE_HOME to another disk");
    let sums = site.builds(&[]);
    fs::remove_dir_all(site.path("out/worker")).expect("removed");
    let output = "writing {dir}/out/.kiln-worker.*/pxe/*: File too large (os error 27); free some space there, or choose another place with --out";
    site.refuses_with(&mut limited(&site, 8, &[]), 1, &output.replace("pxe/*", "pxe/vmlinuz"));
    site.refuses_with(&mut limited(&site, 60, &[]), 1, &output.replace("pxe/*", "pxe/initramfs.cpio.zst"));
    // The old output remains complete; and once there is space, the build produces the same bytes.
    assert_eq!(site.builds(&[]), sums);
    site.append("profiles/worker.yaml", "files: {/etc/motd: {content: hello}}\n");
    site.refuses_with(&mut limited(&site, 8, &[]), 1, "*File too large*");
    assert_eq!(site.sums(), sums);
}
