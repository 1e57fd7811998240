//! Outputs that were damaged or tampered with: `kiln verify` reports the check that fails, and no
//! other.

use crate::bad_input::site::{Keys, Site, failed};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Output;

const INITRAMFS: &str = "out/worker/pxe/initramfs.cpio.zst";
const KEY: &str = "-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgVcB/UNPxalR9zDYAjQIf\n-----END PRIVATE KEY-----\n";

/// The checks that fail, each with its findings.
pub(super) fn failures(site: &Site, more: &[&str]) -> BTreeMap<String, String> {
    let mut arguments = vec!["verify", "out/worker", "--json"];
    arguments.extend_from_slice(more);
    let output = site.kiln(&arguments).output().expect("kiln runs");
    let report: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    let checks = report["checks"].as_array().expect("checks");
    let bad = checks.iter().filter(|check| check["passed"] == false);
    let failures: BTreeMap<String, String> =
        bad.map(|check| (check["name"].as_str().expect("a name").to_owned(), check["findings"].to_string())).collect();
    let good = failures.is_empty();
    assert_eq!((report["passed"].as_bool(), output.status.code()), (Some(good), Some(i32::from(!good))), "{report}");
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    failures
}

/// Verifies, and restores the output from `kept`.
fn expect(site: &Site, kept: &Path, expected: &[(&str, &str)]) {
    let found = failures(site, &[]);
    let names: BTreeSet<&str> = found.keys().map(String::as_str).collect();
    assert_eq!(names, expected.iter().map(|(name, _)| *name).collect(), "{found:?}");
    for (name, finding) in expected {
        assert!(found[*name].contains(finding), "{name}: {} lacks {finding}", found[*name]);
    }
    fs::remove_dir_all(site.path("out/worker")).expect("removed");
    copy(kept, &site.path("out/worker"));
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a directory");
    for entry in fs::read_dir(from).expect("listed").map(|entry| entry.expect("an entry")) {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("copied");
        }
    }
}

/// Updates digests and sizes, as an attacker would.
pub(super) fn sign(site: &Site) {
    let digest = |bytes: &[u8]| kiln_tree::Digest::of(bytes).to_string();
    let mut manifest: Value = serde_json::from_str(&site.read("out/worker/manifest.json")).expect("JSON");
    let mut sums = String::new();
    for output in manifest["outputs"].as_array_mut().expect("outputs") {
        let path = output["path"].as_str().expect("a path").to_owned();
        let Ok(bytes) = fs::read(site.path("out/worker").join(&path)) else { continue };
        output["size"] = bytes.len().into();
        output["sha256"] = digest(&bytes).into();
        sums += &format!("{}  {path}\n", digest(&bytes));
    }
    let text = manifest.to_string();
    sums += &format!("{}  manifest.json\n", digest(text.as_bytes()));
    site.write("out/worker/manifest.json", text);
    site.write("out/worker/SHA256SUMS", sums);
}

fn built() -> (Site, std::path::PathBuf) {
    let site = Site::new(&Keys::new(), &[]);
    site.append("profiles/worker.yaml", "files:\n  /etc/motd: {content: \"hello\\n\", mode: \"0640\"}\n");
    site.builds(&[]);
    let kept = site.path("kept");
    copy(&site.path("out/worker"), &kept);
    (site, kept)
}

fn flip(site: &Site, name: &str, at: impl Fn(usize) -> usize) {
    let mut bytes = fs::read(site.path(name)).expect("read");
    let at = at(bytes.len());
    bytes[at] ^= 1;
    site.write(name, bytes);
}

#[test]
fn damage_is_found() {
    let (site, kept) = built();
    expect(&site, &kept, &[]);
    let in_set = |name: &str| format!("out/worker/pxe/{name}");

    flip(&site, &in_set("vmlinuz"), |length| length / 2);
    expect(&site, &kept, &[("outputs", "pxe/vmlinuz has the sha256")]);
    for quarter in 0..4 {
        flip(&site, INITRAMFS, |length| length * quarter / 4 + 20);
        expect(
            &site,
            &kept,
            &[
                ("outputs", "pxe/initramfs.cpio.zst has the sha256"),
                ("initramfs", "damaged or truncated"),
                ("secrets", ""),
            ],
        );
    }
    let bytes = fs::read(site.path(INITRAMFS)).expect("read");
    site.write(INITRAMFS, &bytes[..bytes.len() - 30]);
    expect(
        &site,
        &kept,
        &[("outputs", "bytes, but should have"), ("initramfs", "damaged or truncated"), ("secrets", "")],
    );
    fs::remove_file(site.path(INITRAMFS)).expect("removed");
    expect(&site, &kept, &[("outputs", "No such file"), ("initramfs", "No such file"), ("secrets", "")]);
    fs::remove_file(site.path(&in_set("cmdline"))).expect("removed");
    expect(&site, &kept, &[("outputs", "pxe/cmdline: No such file"), ("cmdline", "No such file")]);
    fs::remove_file(site.path(&in_set("vmlinuz"))).expect("removed");
    std::os::unix::fs::symlink("/dev/zero", site.path(&in_set("vmlinuz"))).expect("a link");
    expect(&site, &kept, &[("outputs", "pxe/vmlinuz: not a regular file")]);
    site.write("out/worker/pxe/extra/file", "x");
    expect(&site, &kept, &[("outputs", "pxe/extra/file is not in manifest.json")]);
    site.append("out/worker/manifest.json", "\n");
    expect(&site, &kept, &[("sums", "manifest.json does not have the digest that SHA256SUMS lists")]);
    site.write("out/worker/SHA256SUMS", site.sums().split_inclusive('\n').skip(1).collect::<String>());
    expect(&site, &kept, &[("sums", "SHA256SUMS does not list")]);
    site.append("out/worker/SHA256SUMS", "what\n");
    expect(&site, &kept, &[("sums", "not a digest and a path")]);
    site.write("out/worker/manifest.json", "{}");
    expect(&site, &kept, &[("manifest", "it is damaged or of another version of kiln")]);
    fs::remove_file(site.path("out/worker/manifest.json")).expect("removed");
    expect(&site, &kept, &[("manifest", "is out/worker the output of")]);
}

#[test]
fn an_invalid_manifest_is_found() {
    let (site, kept) = built();
    for (old, new, finding) in [
        ("\"version\": 1", "\"version\": 2", "it has version 2"),
        ("\"path\":\"pxe/cmdline\"", "\"path\":\"../cmdline\"", "is not in the output directory"),
        ("\"path\":\"etc/motd\",\"type\":\"file\"", "\"path\":\"etc/motd\",\"type\":\"door\"", "has the unknown type"),
        ("\"mode\":\"0640\"", "\"mode\":\"640x\"", "which is not octal"),
        ("\"path\":\"etc/motd\"", "\"path\":\"etc/motd/x/y\"", "is below /etc/motd/x, which is not a directory"),
        ("\"path\":\"etc/motd\"", "\"path\":\"zzz\"", "/zzz and "),
    ] {
        site.replace("out/worker/manifest.json", old, new);
        let found = failures(&site, &[]);
        assert!(found["manifest"].contains(finding), "{finding}: {found:?}");
        assert!(found.contains_key("sums"), "{found:?}");
        fs::remove_dir_all(site.path("out/worker")).expect("removed");
        copy(&kept, &site.path("out/worker"));
    }
}

/// Unpacks the initramfs, changes it and packs it again, digests and all.
fn repack(site: &Site, change: impl Fn(&mut Vec<u8>)) {
    let mut members = zstd::decode_all(fs::read(site.path(INITRAMFS)).expect("read").as_slice()).expect("unpacked");
    change(&mut members);
    site.write(INITRAMFS, zstd::encode_all(members.as_slice(), 1).expect("packed"));
    sign(site);
}

/// The offset of the member `name`.
fn member(cpio: &[u8], name: &str) -> usize {
    let name = format!("{name}\0");
    let is_member = |at: &usize| *at >= 110 && cpio[at - 110..].starts_with(b"070701");
    let mut found = cpio.windows(name.len()).enumerate().filter(|(_, window)| *window == name.as_bytes());
    let at = found.find(|(at, _)| is_member(at)).unwrap_or_else(|| panic!("no member {name}")).0;
    at - 110
}

/// Writes field number `field` of a member's header.
fn set(cpio: &mut [u8], name: &str, field: usize, value: u32) {
    let at = member(cpio, name) + 6 + 8 * field;
    cpio[at..at + 8].copy_from_slice(format!("{value:08X}").as_bytes());
}

/// A member without data.
fn empty(name: &str, mode: u32) -> Vec<u8> {
    let mut bytes = format!("070701{:08X}{mode:08X}", 0).into_bytes();
    for value in [0, 0, 1, 0, 0, 0, 0, 0, 0, u32::try_from(name.len() + 1).expect("short"), 0] {
        bytes.extend_from_slice(format!("{value:08X}").as_bytes());
    }
    bytes.extend_from_slice(name.as_bytes());
    bytes.push(0);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

#[test]
fn a_changed_initramfs_is_found_although_digests_match() {
    let (site, kept) = built();
    repack(&site, |_| {});
    expect(&site, &kept, &[]);
    let data = |cpio: &[u8], text: &[u8]| cpio.windows(text.len()).position(|window| window == text).expect("the text");
    type Edit = fn(&mut Vec<u8>);
    let fields: [(usize, u32, &str); 4] = [
        (1, 0o100_666, "/etc/motd: mode 0666, but should be 0640"),
        (2, 7, "/etc/motd: owner 7, but should be 0"),
        (3, 7, "/etc/motd: group 7, but should be 0"),
        (5, 7, "/etc/motd: time 7, but should be "),
    ];
    for (field, value, finding) in fields {
        repack(&site, |cpio| set(cpio, "etc/motd", field, value));
        let mut expected = vec![("initramfs", finding)];
        if value == 0o100_666 {
            expected.push(("world-writable", "/etc/motd has the mode 0666"));
        }
        expect(&site, &kept, &expected);
    }
    repack(&site, |cpio| {
        let at = data(cpio, b"hello\n");
        cpio[at] = b'j';
    });
    expect(&site, &kept, &[("initramfs", "/etc/motd: sha256 ")]);
    let edits: [(Edit, &str); 5] = [
        (
            |cpio| {
                let at = member(cpio, "etc/motd");
                cpio[at + 110 + 4] = b'M';
            },
            "/etc/motd is missing",
        ),
        (
            |cpio| {
                let at = member(cpio, "etc/motd");
                cpio[at + 110 + 4] = b'M';
            },
            "/etc/Motd is not in the manifest",
        ),
        (
            |cpio| {
                let at = member(cpio, "TRAILER!!!");
                cpio.splice(at..at, empty("etc/ld.so.preload", 0o100_644));
            },
            "/etc/ld.so.preload is not in the manifest",
        ),
        (
            |cpio| {
                let at = member(cpio, "TRAILER!!!");
                cpio.splice(at..at, empty("etc/motd", 0o100_640));
            },
            "/etc/motd exists twice",
        ),
        (
            |cpio| {
                let at = member(cpio, "bin");
                cpio[at + 116..at + 120].copy_from_slice(b"tmp/");
            },
            "/bin: target tmp/bin, but should be usr/bin",
        ),
    ];
    for (edit, finding) in edits {
        repack(&site, edit);
        expect(&site, &kept, &[("initramfs", finding)]);
    }
    let refused: [(Edit, &str); 4] = [
        (|cpio| cpio.extend(empty("etc/ld.so.preload", 0o100_644)), "it contains something after the archive's end"),
        (
            |cpio| {
                let at = member(cpio, "etc/motd");
                cpio[at + 110..at + 114].copy_from_slice(b"../x");
            },
            "a member has the name",
        ),
        (
            |cpio| {
                let end = member(cpio, "TRAILER!!!");
                cpio.truncate(end);
            },
            "damaged or truncated",
        ),
        // A name of four gigabytes.
        (
            |cpio| {
                set(cpio, "etc/motd", 11, u32::MAX);
                cpio.resize(64 << 20, b'x');
            },
            "name is too long",
        ),
    ];
    for (edit, finding) in refused {
        repack(&site, edit);
        expect(&site, &kept, &[("initramfs", finding), ("secrets", "")]);
    }
}

#[test]
fn another_kernel_or_command_line_is_found() {
    let (site, kept) = built();
    site.write("out/worker/pxe/vmlinuz", "another kernel");
    sign(&site);
    expect(&site, &kept, &[("kernel", "pxe/vmlinuz is not /boot/vmlinuz-1")]);
    site.write("out/worker/pxe/cmdline", "quiet init=/bin/sh\n");
    sign(&site);
    expect(&site, &kept, &[("cmdline", "init=/bin/sh")]);
    site.replace("out/worker/pxe/boot.ipxe", "quiet", "quiet rd.break");
    sign(&site);
    expect(&site, &kept, &[("cmdline", "pxe/boot.ipxe starts the kernel with")]);
    site.replace("out/worker/pxe/boot.ipxe", "initrd initramfs.cpio.zst", "initrd http://192.0.2.1/initramfs.cpio.zst");
    sign(&site);
    expect(&site, &kept, &[("cmdline", "does not load the initramfs")]);
}

#[test]
fn forbidden_contents_are_found() {
    let site = Site::new(&Keys::new(), &[]);
    let key = KEY.replace('\n', "\\n");
    site.append(
        "profiles/worker.yaml",
        &format!(
            "files:\n  /etc/kubernetes/pki/ca.key: {{content: \"{key}\", mode: \"0600\"}}\n  /etc/join: {{content: \"abcdef.0123456789abcdef\"}}\n  \
             /etc/open: {{content: x, mode: \"0666\"}}\n  /usr/bin/rooter: {{content: x, mode: \"4755\"}}\n"
        ),
    );
    site.builds(&[]);
    let found = failures(&site, &[]);
    let names: Vec<&str> = found.keys().map(String::as_str).collect();
    assert_eq!(names, ["privileges", "secrets", "world-writable"], "{found:?}");
    assert!(
        found["secrets"].contains("/etc/kubernetes/pki/ca.key contains a private key (PEM) at byte 0"),
        "{found:?}"
    );
    assert!(found["secrets"].contains("/etc/join contains a bootstrap token at byte 0"), "{found:?}");
    assert!(found["world-writable"].contains("/etc/open has the mode 0666"), "{found:?}");
    assert!(found["privileges"].contains("/usr/bin/rooter is set-user-ID"), "{found:?}");
    let found = failures(&site, &["--allow", "/usr/bin/rooter"]);
    assert_eq!(found.keys().collect::<Vec<_>>(), ["secrets", "world-writable"]);
    site.append("profiles/worker.yaml", "privileged: {/usr/bin/rooter: a test needs it}\n");
    site.builds(&[]);
    assert_eq!(failures(&site, &[]), found);
    let text = site.kiln(&["verify", "out/worker"]).output().expect("kiln runs");
    let text = String::from_utf8(text.stdout).expect("UTF-8");
    assert!(
        text.contains("\nFAIL  secrets: 2 wrong\n        /etc/join contains a bootstrap token at byte 0\n"),
        "{text}"
    );
}

/// Lists show names so that they are on one line and differ; JSON has them as they are.
#[test]
fn names_do_not_control_the_terminal() {
    let (site, _) = built();
    let mut manifest: Value = serde_json::from_str(&site.read("out/worker/manifest.json")).expect("JSON");
    let motd = manifest["files"].as_array_mut().expect("files").iter_mut().find(|file| file["path"] == "etc/motd");
    let motd = motd.expect("a file").as_object_mut().expect("an object");
    let target = "a\\n\u{1b}[2J\n\u{202e}\u{9b}";
    motd.insert("type".into(), "symlink".into());
    motd.insert("target".into(), target.into());
    motd.remove("size");
    motd.remove("sha256");
    site.write("out/worker/manifest.json", manifest.to_string());
    let said = |arguments: &[&str]| {
        let output = site.kiln(arguments).output().expect("kiln runs");
        String::from_utf8(output.stdout).expect("UTF-8") + &String::from_utf8(output.stderr).expect("UTF-8")
    };
    let shown = "a\\\\n\\x1b[2J\\n\\u{202e}\\u{9b}";
    let listing = said(&["inspect", "out/worker"]);
    assert!(listing.lines().any(|line| line.contains(&format!(" /etc/motd -> {shown}  ["))), "{listing:?}");
    let verified = said(&["verify", "out/worker"]);
    assert!(verified.contains(shown), "{verified:?}");
    let compared = said(&["diff", "out/worker", "kept"]);
    assert!(compared.contains(shown), "{compared:?}");
    let refused = said(&["inspect", "out/worker", "etc/\u{1b}[2J\n\u{202e}"]);
    assert!(refused.starts_with("kiln: /etc/\\x1b[2J\\n\\u{202e} is not in "), "{refused:?}");
    for text in [listing, verified, compared, refused] {
        assert!(!text.contains(['\u{1b}', '\u{202e}', '\u{9b}']), "{text:?}");
    }
    let record: Value = serde_json::from_str(&said(&["inspect", "out/worker", "/etc/motd", "--json"])).expect("JSON");
    assert_eq!(record["target"], target);
}

/// Each kind is found with its path, and no finding quotes it. (`crates/verify/src/secrets/tests.rs`
/// has more forms.)
#[test]
fn planted_secrets_are_found_and_never_quoted() {
    let random = "kQ7fZt0mW3xR9bYc5dNvHs2jPgLq8uAe";
    let site = Site::new(&Keys::new(), &[]);
    let rows = [
        (
            "root/.docker/config.json",
            r#"{"auths": {"r.example": {"auth": "cm9ib3Q6aHVudGVyMmh1bnRlcjI="}}}"#.to_owned(),
            "a registry's password",
        ),
        (
            "etc/containerd/certs.d/r.example/hosts.toml",
            "[host.\"https://r.example\".header]\n  authorization = \"Basic cm9ib3Q6aHVudGVyMmh1bnRlcjI=\"\n".into(),
            "a header with credentials",
        ),
        ("etc/apt/auth.conf", "machine deb.example login robot password hunter2hunter2\n".into(), "a password (netrc)"),
        ("etc/kubernetes/admin.conf", format!("users:\n- user:\n    token: {random}\n"), "a token"),
        (
            "etc/wireguard/wg0.conf",
            "[Interface]\nPrivateKey = yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=\n".into(),
            "a WireGuard key",
        ),
        ("etc/proxy", "https_proxy=http://robot:hunter2hunter2@proxy.example:3128\n".into(), "a URL with a password"),
        ("etc/gitlab", "glpat-kQ7fZt0mW3xR9bYc5dNv\n".into(), "an access key"),
        ("etc/slack", "xoxb-123456789012-kQ7fZt0mW3xR9bYc\n".into(), "an access key"),
        ("etc/shadow-", "root::19000:0:99999:7:::\n".into(), "an empty password"),
    ];
    for (path, text, _) in &rows {
        site.write(&format!("overlays/leak/rootfs/{path}"), text);
    }
    site.builds(&["--overlay", "leak"]);
    let found = failures(&site, &[]);
    assert_eq!(found.keys().collect::<Vec<_>>(), ["secrets"], "{found:?}");
    let secrets = &found["secrets"];
    for (path, _, kind) in &rows {
        assert!(secrets.contains(&format!("/{path} contains {kind} at byte ")), "/{path}: {secrets}");
    }
    for part in [random, "hunter2", "cm9ib3Q6", "yAnz5TF", "kQ7fZt0m"] {
        assert!(!secrets.contains(part), "{secrets}");
    }
    let accepted: Vec<&str> = rows.iter().flat_map(|(path, ..)| ["--allow-secret", path]).collect();
    assert!(failures(&site, &accepted).is_empty());
}

#[test]
fn an_overlay_that_is_not_for_production_is_found_unless_it_is_allowed() {
    let site = Site::new(&Keys::new(), &[]);
    site.write("overlays/probe/rootfs/etc/probe", "x");
    site.write("overlays/probe/overlay.yaml", "notForProduction: it opens a door\n");
    for _ in 0..2 {
        let output = site.build(&["--overlay", "probe"]).output().expect("kiln runs");
        // Also when nothing has changed.
        assert_eq!(
            String::from_utf8_lossy(&output.stderr),
            "warning: overlay probe is not for production: it opens a door\n"
        );
        assert!(output.status.success());
    }
    let found = failures(&site, &[]);
    assert_eq!(found.keys().collect::<Vec<_>>(), ["production"], "{found:?}");
    assert!(found["production"].contains("overlay probe is not for production: it opens a door"), "{found:?}");
    assert!(failures(&site, &["--allow-debug"]).is_empty());
    // An unchanged output is not built again; its key includes the overlay's properties.
    site.write("overlays/probe/overlay.yaml", "");
    site.builds(&["--overlay", "probe"]);
    assert!(failures(&site, &[]).is_empty());
}

#[test]
fn a_failed_comparison_exits_with_2() {
    let (site, _) = built();
    let diff = |old: &str, new: &str| site.kiln(&["diff", old, new, "--offline"]).output().expect("kiln runs");
    let code = |output: Output| (output.status.code(), String::from_utf8(output.stderr).expect("UTF-8"));
    assert_eq!(code(diff("out/worker", "kept")), (Some(0), String::new()));
    assert_eq!(code(diff("out/worker", INITRAMFS)), (Some(0), String::new()));
    failed(
        &diff("out/worker", "out/worker/pxe/vmlinuz"),
        2,
        "reading out/worker/pxe/vmlinuz: it is not an image that kiln makes*",
    );
    failed(
        &diff("out/nothing", "out/worker"),
        2,
        "out/nothing is neither an output nor an image, and is read as a role: *",
    );
    failed(&diff("out", "out/worker"), 2, "reading out/manifest.json; is out the output of \"kiln build\"?*");
    flip(&site, INITRAMFS, |length| length / 2);
    failed(
        &diff(INITRAMFS, "out/worker"),
        2,
        "reading out/worker/pxe/initramfs.cpio.zst: *; the file is damaged or truncated",
    );
    site.write("out/worker/manifest.json", "[]");
    failed(
        &diff("kept", "out/worker"),
        2,
        "reading out/worker/manifest.json: it is damaged or of another version of kiln*",
    );
}
