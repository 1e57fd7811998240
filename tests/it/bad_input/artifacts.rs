//! Artifacts that are missing, wrong or hostile.

use crate::bad_input::site::{Answer, Keys, Site};
use crate::bad_input::synthetic::{file, gzip, hardlink, symlink, tar};
use kiln_tree::Digest;

/// Adds an artifact at `/tool.tar.gz` to the profile, pinned to `bytes`.
fn with_tool(site: &Site, bytes: &[u8], more: &str) {
    let url = format!("{}/tool.tar.gz", site.mirror());
    let digest = Digest::of(bytes);
    site.answer("/tool.tar.gz", Answer::Good(bytes.to_vec()));
    site.append(
        "profiles/worker.yaml",
        &format!("artifacts: {{tool: {{version: \"1\", url: \"{url}\", sha256: {{all: {digest}}}, {more}}}}}\n"),
    );
}

#[test]
fn contents_other_than_the_pinned_ones() {
    let keys = Keys::new();
    let site = Site::new(&keys, &[]);
    let good = gzip(&tar(&[file("bin/tool", "tool")]));
    with_tool(&site, &good, "extract: {bin/tool: /usr/bin/tool}");
    site.answer("/tool.tar.gz", Answer::Good(b"<html>Please log in</html>".to_vec()));
    let start = "tool 1: ";
    site.refuses(
        &[],
        &format!(
            "{start}no location has the bytes with sha256 {}: {{mirror}}/tool.tar.gz has sha256 *, expected *; *",
            Digest::of(&good)
        ),
    );
    site.remove("/tool.tar.gz");
    site.refuses(&[], "an input is no longer where the lock says: tool 1 ({mirror}/tool.tar.gz); correct the url in the profile or release");
    site.answer("/tool.tar.gz", Answer::Cut(good.clone(), 20));
    site.refuses(&[], &format!("{start}fetching {{mirror}}/tool.tar.gz: *(tried 4 times)*"));
    site.answer("/tool.tar.gz", Answer::Good(good));
    site.builds(&[]);
}

#[test]
fn archives() {
    let keys = Keys::new();
    let extract = "extract: {bin/tool: /usr/bin/tool}";
    let all = "extract: {.: /opt/tool}";
    let good = gzip(&tar(&[file("bin/tool", vec![1; 3000]), file("README", "")]));
    let rows: Vec<(Vec<u8>, &str, &str)> = vec![
        (
            good.clone(),
            "extract: {bin/tol: /usr/bin/tool}",
            "profiles/worker.yaml:12:*: artifact tool: its archive has no member \"bin/tol\" to extract (it has bin/tool, README); correct \"extract\" in the profile or release",
        ),
        (
            good[..good.len() / 2].to_vec(),
            extract,
            "reading tool 1 (cache/blobs/*): *; the file is damaged or truncated*use another version of it",
        ),
        (
            b"no archive at all".to_vec(),
            extract,
            "reading tool 1 (cache/blobs/*): *; the file is damaged or truncated*use another version of it",
        ),
        (
            gzip(&tar(&[file("../bin/tool", "x")])),
            all,
            "reading tool 1 (*): member 0: \"../bin/tool\" leaves the tree through \"..\"*",
        ),
        (
            gzip(&tar(&[hardlink("bin/tool", "/etc/shadow")])),
            all,
            "reading tool 1 (*): member bin/tool is a hard link to \"/etc/shadow\", which is not an earlier file of the archive*",
        ),
        (
            gzip(&tar(&[symlink("bin", "/etc"), file("bin/tool", "x")])),
            all,
            "profiles/worker.yaml:12:13: artifact tool: /opt/tool/bin/tool: its parent /opt/tool/bin is a symlink, not a directory (from artifact tool=1); give it another destination",
        ),
        (good.clone(), "deb: true", "reading tool 1 (*): not a Debian package: it does not begin with \"!<arch>\"*"),
        (
            good.clone(),
            "extract: {bin/tool: /usr/lib/os-release/tool}",
            "profiles/worker.yaml:12:13: artifact tool: /usr/lib/os-release/tool: its parent /usr/lib/os-release is a file, not a directory (from package base=1); give it another destination",
        ),
        (
            good,
            "extract: {bin: /usr/bin/kubelet}",
            "profiles/worker.yaml:12:13: artifact tool: /usr/bin/kubelet/tool: its parent /usr/bin/kubelet is a file, not a directory (from artifact kubelet=1.36.4); give it another destination",
        ),
    ];
    for (bytes, more, expected) in rows {
        let site = Site::new(&keys, &[]);
        with_tool(&site, &bytes, more);
        site.refuses(&[], expected);
    }
}

#[test]
fn local_files() {
    let keys = Keys::new();
    let site = Site::new(&keys, &[]);
    std::fs::remove_file(site.path("kubelet")).expect("removed");
    site.refuses(&[], "profiles/releases/test.yaml:5:3: artifact kubelet: profiles/releases/../../kubelet: No such file or directory (os error 2) (put the file there, or correct \"file\" in the profile or release)");
    site.write("kubelet/file", "a directory");
    site.refuses(&[], "profiles/releases/test.yaml:5:3: artifact kubelet: profiles/releases/../../kubelet: it is a directory, not a regular file (put the file there, or correct \"file\" in the profile or release)");
    std::fs::remove_dir_all(site.path("kubelet")).expect("removed");
    site.write("kubelet", "first");
    site.builds(&[]);
    std::fs::remove_dir_all(site.path("out/worker")).expect("removed");
    std::fs::remove_dir_all(site.path("cache")).expect("removed");
    // A kubelet other than the locked one.
    site.write("kubelet", "second");
    site.refuses(&["--locked"], "profiles/worker.lock is stale: artifact kubelet: *kubelet has changed since it was pinned*; run \"kiln lock worker\" first");
}
