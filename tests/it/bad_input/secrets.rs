//! Passwords and tokens of mirrors and artifacts: sent where they belong, and shown nowhere.

use super::server::{Request, Server, answer};
use super::site::{Keys, Site};
use base64::Engine as _;
use kiln_tree::Digest;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

const PASSWORD: &str = "hush";

/// kiln that says as much as it can, with the files that users have.
fn talkative(site: &Site, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kiln"));
    command.env_clear().env("HOME", site.path("home")).current_dir(site.path(""));
    command.args(["-v", "--profiles", "profiles", "--cache", "cache"]).args(args);
    command
}

/// Runs it; what it prints has no secret.
fn printed(command: &mut Command) -> (Output, String) {
    let output = command.output().expect("kiln runs");
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(!text.contains(PASSWORD), "{command:?}: {text}");
    (output, text)
}

fn succeeds(command: &mut Command) -> String {
    let (output, text) = printed(command);
    assert!(output.status.success(), "{command:?}: {text}");
    text
}

fn fails(command: &mut Command) -> String {
    let (output, text) = printed(command);
    assert_eq!(output.status.code(), Some(1), "{command:?}: {text}");
    text
}

/// No file below `dir` has the password.
fn has_no_secret(dir: &Path) {
    for entry in fs::read_dir(dir).expect("listed") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            has_no_secret(&path);
        } else if path.is_file() {
            let bytes = fs::read(&path).expect("read");
            let found = bytes.windows(PASSWORD.len()).any(|window| window == PASSWORD.as_bytes());
            assert!(!found, "{} has the password", path.display());
        }
    }
}

fn login(user: &str) -> String {
    format!("Basic {}", base64::prelude::BASE64_STANDARD.encode(format!("{user}:{PASSWORD}")))
}

fn logged_in(request: &Request, user: &str) -> bool {
    request.headers.get("authorization") == Some(&login(user))
}

/// Adds an artifact with these contents at `url` to the profile.
fn add_artifact(site: &Site, url: &str, contents: &[u8]) {
    let sha256 = Digest::of(contents);
    site.append(
        "profiles/worker.yaml",
        &format!(
            "artifacts:\n  tool: {{version: '1', url: '{url}', sha256: {{all: {sha256}}}, install: /usr/bin/tool}}\n"
        ),
    );
}

fn add_mirrors(site: &Site, mirrors: &str) {
    site.replace(
        "profiles/worker.yaml",
        "  packages: [base]\n",
        &format!("  packages: [base]\n  mirrors: {mirrors}\n"),
    );
}

#[test]
fn plans() {
    let keys = Keys::new();
    let site = Site::new(&keys, &[]);
    add_mirrors(&site, "['http://me:hush@m.example/debian?token=hush']");
    add_artifact(&site, "https://me:hush@h.example/x?sig=hush&v=1", b"");
    site.append("profiles/worker.yaml", "containerd: {mirrors: {docker.io: ['https://me:hush@c.example']}}\n");
    succeeds(&mut talkative(&site, &["plan", "worker"]));
    let plan = succeeds(&mut talkative(&site, &["plan", "worker", "--json"]));
    for shown in
        ["http://***@m.example/debian?token=***", "https://***@h.example/x?sig=***&v=***", "https://***@c.example"]
    {
        assert!(plan.contains(shown), "{shown}: {plan}");
    }
}

#[test]
fn profiles() {
    let keys = Keys::new();
    for mirrors in [
        "['ftp://me:hush@m.example/']",
        "['me:hush@m.example/debian']",
        "['http://me:hush@m.example/{snapshot}']",
        "'http://me:hush@m.example/'",
        "['http://me:hush@m.example/ with space']",
    ] {
        let site = Site::new(&keys, &[]);
        add_mirrors(&site, mirrors);
        let text = fails(&mut talkative(&site, &["plan", "worker"]));
        assert!(text.contains("worker.yaml:7:") && text.contains("***@m.example"), "{mirrors}: {text}");
    }
    let site = Site::new(&keys, &[]);
    add_artifact(&site, "https://me:hush@h.example/{x}?sig=hush", b"");
    let text = fails(&mut talkative(&site, &["plan", "worker"]));
    assert!(text.contains("https://***@h.example/{x}?sig=***"), "{text}");
    for mirror in ["ftp://me:hush@m.example/", "http://me:hush@m.example/{snapshot}"] {
        fails(&mut talkative(&site, &["plan", "worker", "--mirror", mirror]));
    }
}

#[test]
fn builds() {
    let keys = Keys::new();
    let site = Site::new(&keys, &[]);
    let mirror = site.mirror().replace("http://", "http://me:hush@");
    let build = ["build", "worker", "-o", "out/worker", "--mirror", &mirror];
    // A package that the mirror does not have any longer, and one that was changed.
    succeeds(&mut talkative(&site, &["lock", "worker", "--mirror", &mirror]));
    let path = "/pool/main/base_1_amd64.deb";
    let package = site.good(path);
    site.remove(path);
    let shown = site.mirror().replace("http://", "http://***@");
    let text = fails(&mut talkative(&site, &build));
    assert!(text.contains(&format!("{shown}{path}")), "{text}");
    site.answer(path, super::site::Answer::Good(vec![0; package.len()]));
    let text = fails(&mut talkative(&site, &build));
    assert!(text.contains(&format!("{shown}{path} has sha256")), "{text}");
    site.answer(path, super::site::Answer::Good(package));
    succeeds(&mut talkative(&site, &build));
    let requests = site.requests();
    assert!(requests.iter().all(|request| logged_in(request, "me")), "{requests:?}");
    for dir in ["out", "profiles", "cache"] {
        has_no_secret(&site.path(dir));
    }
    // The index is gone: every mirror is named.
    site.remove("/dists/sid/InRelease");
    for mirror in [mirror.clone(), mirror + "?token=hush"] {
        let text = fails(&mut talkative(&site, &["lock", "worker", "--mirror", &mirror]));
        assert!(text.contains("http://***@") && text.contains("InRelease"), "{text}");
    }
    let text = fails(&mut talkative(&site, &["lock", "worker", "--mirror", "http://me:hush@127.0.0.1:9?token=hush"]));
    assert!(text.contains("http://***@127.0.0.1:9/dists/sid/InRelease?token=***"), "{text}");
}

#[test]
fn files() {
    let keys = Keys::new();
    let site = Site::new(&keys, &[]);
    let mirror = site.mirror();
    let tool = Server::start(|request, stream| match logged_in(request, "myself") {
        true => answer(stream, "200 OK", &[], b"#!/bin/false\n"),
        false => answer(stream, "401 Unauthorized", &["WWW-Authenticate: Basic realm=\"x\""], b""),
    });
    add_artifact(&site, &tool.url("/tool"), b"#!/bin/false\n");
    let conf = format!(
        "Dir::Etc::parts \"/dev/null\"; Dir::Etc::main \"/dev/null\"; Dir::Etc::netrcparts \"/dev/null\";\nDir::Etc::netrc \"{}\";\n",
        site.path("auth.conf").display()
    );
    site.write("apt.conf", &conf);
    site.write("auth.conf", format!("machine {mirror} login me password hush\n"));
    let build = ["build", "worker", "-o", "out/worker", "--mirror", &mirror];
    let text = fails(talkative(&site, &build).env("APT_CONFIG", "apt.conf"));
    assert!(text.contains("401 unauthorized") && text.contains("put user name and password into ~/.netrc"), "{text}");
    site.write("home/.netrc", format!("machine {} login myself password hush\n", tool.url("")));
    succeeds(talkative(&site, &build).env("APT_CONFIG", "apt.conf"));
    let requests = site.requests();
    assert!(!requests.is_empty() && requests.iter().all(|request| logged_in(request, "me")), "{requests:?}");
    for dir in ["out", "profiles", "cache"] {
        has_no_secret(&site.path(dir));
    }

    let proxy = Server::start(|_, stream| answer(stream, "404 Not Found", &[], b""));
    site.write("apt.conf", conf + &format!("Acquire::http::Proxy \"http://me:hush@{}\";\n", proxy.address()));
    let lock = ["lock", "worker", "--mirror", "http://mirror.invalid/debian"];
    fails(talkative(&site, &lock).env("APT_CONFIG", "apt.conf"));
    let request = proxy.requests().first().cloned().expect("asked");
    assert_eq!(request.target, "http://mirror.invalid/debian/dists/sid/InRelease");
    assert_eq!(request.headers["proxy-authorization"], login("me"));
    let asked = proxy.requests().len();
    let text = fails(talkative(&site, &lock).env("APT_CONFIG", "apt.conf").env("http_proxy", "http://127.0.0.1:9"));
    assert!(text.contains("check the proxy 127.0.0.1:9"), "{text}");
    assert_eq!(proxy.requests().len(), asked, "the environment's proxy comes first");

    // What apt has and kiln cannot use.
    site.write(
        "apt.conf",
        "Dir::Etc::parts \"/dev/null\";\nAcquire::http::Proxy \"socks5h://me:hush@p:1\";\njunk \"hush\"\n",
    );
    let text = fails(talkative(&site, &lock).env("APT_CONFIG", "apt.conf"));
    assert!(
        text.contains("apt.conf:3: the last setting has no \";\"; apt's settings from there on are not used"),
        "{text}"
    );
    assert!(text.contains("Acquire::http::Proxy is not used: socks5h proxies are not supported"), "{text}");
}
