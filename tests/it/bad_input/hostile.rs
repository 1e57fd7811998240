//! Directories, files and locks that another user, another program or an attacker prepared: nothing of
//! the user's is deleted, nothing is written elsewhere, and no byte is believed without its digest.

use crate::bad_input::site::{Answer, Keys, Site, failed, now, succeeds, tree};
use crate::bad_input::synthetic::{Package, control, deb, file, node, packages_text, parents, program, release_text};
use kiln_tree::Digest;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Bytes that do not compress, the same in every run.
fn noise(length: usize) -> Vec<u8> {
    (0_u64..).flat_map(|number| *Digest::of(&number.to_le_bytes()).as_bytes()).take(length).collect()
}

fn mkfifo(path: &Path) {
    let _ = fs::remove_file(path);
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mkfifoat(rustix::fs::CWD, path, mode).expect("a fifo");
}

/// Runs a command that must end soon: one that waits for a writer of a pipe never does.
fn promptly(command: &mut Command) -> Output {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("kiln runs");
    let start = Instant::now();
    while child.try_wait().expect("waited").is_none() {
        if start.elapsed() > Duration::from_secs(60) {
            child.kill().expect("killed");
            panic!("{command:?} hangs");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    child.wait_with_output().expect("waited")
}

#[test]
fn directories_that_are_not_caches_of_kiln_stay_as_they_are() {
    let keys = Keys::new();
    let site = Site::new(&keys, &[]);
    site.write("project/tmp/thesis.tex", "mine");
    site.write("oci/blobs/sha256/0000", "mine");
    site.write("oci/index.json", "{}");
    site.write("rust/CACHEDIR.TAG", "Signature: 8a477f597d28d172789f06886806bc55\n# Created by cargo.\n");
    site.write("rust/tmp/x", "mine");
    site.write("linked/CACHEDIR.TAG", "Signature: 8a477f597d28d172789f06886806bc55\n# Created by kiln.\n");
    symlink("../project/tmp", site.path("linked/tmp")).expect("a link");
    site.write("blobs-alone/blobs/ab/x", "mine");
    let none = "is not a cache of kiln: it has no CACHEDIR.TAG, but other files";
    let rows = [
        ("project", format!("project {none} (\"tmp\")*")),
        ("oci", format!("oci {none} (\"blobs\")*")),
        ("rust", "rust is not a cache of kiln: its CACHEDIR.TAG is not kiln's*".to_owned()),
        ("linked", "linked is not a cache of kiln: \"tmp\" is a symbolic link*".to_owned()),
        ("blobs-alone", format!("blobs-alone {none} (\"blobs\")*its CACHEDIR.TAG, too*")),
    ];
    let mirror = site.mirror();
    let verbs: [&[&str]; 4] = [
        &["lock", "worker", "--mirror", &mirror],
        &["build", "worker", "-o", "out/worker", "--mirror", &mirror],
        &["cache"],
        &["cache", "trim", "--all"],
    ];
    for (cache, expected) in rows {
        for args in verbs {
            let before = tree(&site.path(cache));
            site.refuses_with(&mut site.kiln_in(cache, args), 1, &expected);
            assert_eq!(tree(&site.path(cache)), before, "{args:?} changed {cache}");
        }
        // It only looks, and needs no cache.
        let before = tree(&site.path(cache));
        succeeds(&mut site.kiln_in(cache, &["plan", "worker"]));
        assert_eq!(tree(&site.path(cache)), before, "plan changed {cache}");
    }
}

#[test]
fn a_cache_that_others_can_write_is_rejected() {
    let keys = Keys::new();
    let site = Site::new(&keys, &[]);
    site.builds(&[]);
    for (directory, mode) in [("cache", 0o777), ("cache/blobs", 0o775), ("cache/derived", 0o1777)] {
        let set = |mode| fs::set_permissions(site.path(directory), fs::Permissions::from_mode(mode)).expect("set");
        set(mode);
        let expected = format!(
            "the cache cannot be trusted: {directory}: its mode {mode:04o} lets other users write it; use a cache of your own*"
        );
        site.refuses_with(&mut site.build(&[]), 1, &expected);
        site.refuses_with(&mut site.kiln(&["cache", "trim", "--all"]), 1, &expected);
        set(0o755);
    }
    site.builds(&[]);
}

#[test]
fn files_beside_an_earlier_output_are_not_deleted_with_it() {
    let keys = Keys::new();
    let site = Site::new(&keys, &[]);
    let old = site.builds(&[]);
    site.append("profiles/worker.yaml", "files: {/etc/motd: {content: hello}}\n");
    symlink("worker", site.path("out/link")).expect("a link");
    site.write("out/worker/notes.txt", "mine");
    site.write("out/worker/pxe/grub/grub.cfg", "mine");
    let mirror = site.mirror();
    for out in ["out/worker", "out/link"] {
        let mut build = site.kiln(&["build", "worker", "--mirror", &mirror, "-o", out]);
        let expected = format!(
            "{out} has files that its manifest.json does not list: \"notes.txt\", \"pxe/grub\"; move them away, choose another directory with --out, or delete them with --force"
        );
        site.refuses_with(&mut build, 1, &expected);
    }
    assert_eq!(site.sums(), old);
    let output = site.build(&["--force"]).output().expect("kiln runs");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    assert!(stderr.contains("warning: --force: out/worker will be without \"notes.txt\", \"pxe/grub\""), "{stderr}");
    assert!(site.sums() != old && !site.path("out/worker/notes.txt").exists());
    // Other programs' directories, also with --force.
    site.write("extension/manifest.json", r#"{"manifest_version": 3, "name": "x", "version": "1.0"}"#);
    site.write("extension/background.js", "mine");
    for more in [&[][..], &["--force"]] {
        let mut args = vec!["build", "worker", "--mirror", &mirror, "-o", "extension"];
        args.extend_from_slice(more);
        let expected = "extension exists and is not an output of kiln (its manifest.json is not one of kiln); choose another with --out, or remove it";
        site.refuses_with(&mut site.kiln(&args), 1, expected);
    }
    assert_eq!(site.read("extension/background.js"), "mine");
}

#[test]
fn a_new_output_is_on_the_disk_before_the_old_one_is_deleted() {
    let keys = Keys::new();
    let site = Site::new(&keys, &[]);
    site.builds(&[]);
    site.append("profiles/worker.yaml", "files: {/etc/motd: {content: hello}}\n");
    let build = site.build(&[]);
    let mut strace = Command::new("strace");
    strace.args(["-f", "-y", "-qq", "-e", "trace=fsync,fdatasync,renameat2,unlink,unlinkat", "-o"]);
    strace.arg(site.path("trace")).arg(build.get_program()).args(build.get_args()).env("HOME", site.path("home"));
    succeeds(strace.current_dir(site.path("")));
    let trace = site.read("trace");
    let lines: Vec<&str> = trace.lines().collect();
    let exchanged = lines.iter().position(|line| line.contains("RENAME_EXCHANGE")).expect("exchanged");
    let synced = |range: &[&str], name: &str| range.iter().any(|line| line.contains("sync(") && line.contains(name));
    for name in ["pxe/vmlinuz>", "pxe/initramfs.cpio.zst>", "manifest.json>", "SHA256SUMS>", "pxe>", ".tmp>"] {
        assert!(synced(&lines[..exchanged], name), "{name} is not synced before the exchange:\n{trace}");
    }
    let deleted = lines.iter().position(|line| line.contains("unlink") && line.contains("manifest.json"));
    let deleted = deleted.expect("the old output is deleted");
    assert!(deleted > exchanged && synced(&lines[exchanged..deleted], "/out>"), "{trace}");
}

#[test]
fn a_killed_build_leaves_nothing_for_good() {
    let keys = Keys::new();
    let site = Site::new(&keys, &[]);
    let sums = site.builds(&[]);
    site.write("out/.kiln-worker.abcdef.tmp/disk.raw", "half");
    assert_eq!(site.builds(&[]), sums, "nothing changed");
    assert_eq!(fs::read_dir(site.path("out")).expect("listed").count(), 1);
}

#[test]
fn outputs_are_never_writable_for_everyone() {
    let keys = Keys::new();
    let site = Site::new(&keys, &[]);
    let mut open = Command::new("sh");
    let build = site.build(&[]);
    open.args(["-c", "umask 0; exec \"$@\"", "sh"]).arg(build.get_program()).args(build.get_args());
    succeeds(open.env_clear().env("HOME", site.path("home")).current_dir(site.path("")));
    for root in ["out", "cache", "profiles"] {
        for path in tree(&site.path(root)).into_keys() {
            let mode = fs::symlink_metadata(&path).expect("there").permissions().mode();
            assert_eq!(mode & 0o002, 0, "{} has mode {mode:o}", path.display());
        }
    }
}

#[test]
fn a_planted_link_is_not_written_through() {
    let keys = Keys::new();
    let site = Site::new(&keys, &[]);
    site.write("victim", "mine");
    symlink("../victim", site.path("out/.kiln-worker.lock")).expect("a link");
    let expected = "writing the output {dir}/out/.kiln-worker.lock: it is a symbolic link, which is not followed here*";
    let (mirror, out) = (site.mirror(), site.expand("{dir}/out/worker"));
    let mut build = site.kiln(&["build", "worker", "-o", &out, "--mirror", &mirror]);
    site.refuses_with(&mut build, 1, expected);
    assert_eq!(site.read("victim"), "mine");
}

#[test]
fn a_cached_package_is_not_believed_by_its_size() {
    let keys = Keys::new();
    let member = |bytes: Vec<u8>| [program("./usr/bin/victim", bytes)];
    let package = Package::new("victim", "", &member(noise(4096)));
    let site = Site::new(&keys, std::slice::from_ref(&package));
    site.replace("profiles/worker.yaml", "packages: [base]", "packages: [base, victim]");
    let sums = site.builds(&[]);
    // The same length: bytes after data.tar do not count.
    let members: Vec<_> = parents(&member(Vec::new())).into_iter().chain(member(b"#!/bin/evil\n".to_vec())).collect();
    let mut evil = deb(&control("victim", "1", ""), &members);
    assert!(evil.len() < package.bytes.len());
    evil.resize(package.bytes.len(), 0);
    let digest = Digest::of(&package.bytes).to_string();
    let blob = format!("cache/blobs/{}/{digest}", &digest[..2]);
    site.write(&blob, &evil);
    for gone in ["cache/derived", "out/worker"] {
        fs::remove_dir_all(site.path(gone)).expect("removed");
    }
    let output = site.build(&["--locked", "--offline"]).output().expect("kiln runs");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && !site.path("out/worker").exists(), "{stderr}");
    assert!(
        stderr.contains("was damaged or replaced") && stderr.contains("the cache lacks 1 of 4 inputs: victim 1"),
        "{stderr}"
    );
    site.write(&blob, &evil);
    let output = site.build(&["--locked"]).output().expect("kiln runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(site.sums(), sums);
}

#[test]
fn pipes_and_devices_in_the_place_of_files_neither_hang_nor_fill_memory() {
    let keys = Keys::new();
    let site = Site::new(&keys, &[]);
    let sums = site.builds(&[]);
    let rows: [(&str, &[&str]); 6] = [
        ("profiles/worker.yaml", &["plan", "profiles/worker.yaml"]),
        ("profiles/worker.lock", &["build", "worker", "--locked", "-o", "out/worker"]),
        ("kubelet", &["lock", "worker", "--allow-files-outside", "--mirror", "{mirror}"]),
        ("kubelet", &["build", "worker", "--locked", "--allow-files-outside", "-o", "out/worker"]),
        ("out/worker/manifest.json", &["inspect", "out/worker"]),
        ("out/worker/pxe/initramfs.cpio.zst", &["inspect", "out/worker", "usr/lib/os-release"]),
    ];
    for (name, args) in rows {
        let kept = fs::read(site.path(name)).expect("read");
        mkfifo(&site.path(name));
        let args: Vec<String> = args.iter().map(|arg| site.expand(arg)).collect();
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        eprintln!("{name} is a pipe: {args:?}");
        let output = promptly(&mut site.kiln(&args));
        failed(&output, 1, "*it is a named pipe, not a regular file*");
        fs::remove_file(site.path(name)).expect("removed");
        // A device without an end.
        symlink("/dev/zero", site.path(name)).expect("a link");
        let output = promptly(&mut site.kiln(&args));
        failed(&output, 1, "*it is a device, not a regular file*");
        fs::remove_file(site.path(name)).expect("removed");
        site.write(name, kept);
    }
    // In the cache, they count as absent.
    fs::remove_dir_all(site.path("cache/derived")).expect("removed");
    for path in tree(&site.path("cache/blobs")).into_keys().filter(|path| path.is_file()) {
        mkfifo(&path);
    }
    fs::remove_dir_all(site.path("out/worker")).expect("removed");
    let output = promptly(&mut site.build(&["--locked"]));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(site.sums(), sums);
}

#[test]
fn a_mirror_that_goes_back_in_time_is_rejected() {
    let keys = Keys::new();
    let site = Site::new(&keys, &[]);
    site.builds(&[]);
    let lock = site.read("profiles/worker.lock");
    let old = now() - 300 * 86_400;
    let release = keys.sign(&release_text(&packages_text(&node()), old, now() + 86_400));
    site.answer("/dists/sid/InRelease", Answer::Good(release));
    let mirror = site.mirror();
    let args = ["lock", "worker", "--mirror", &mirror];
    let expected = "profiles/worker.lock: the mirror has sid as of *, but the lock was made from it as of *: its packages would be 300 days older; use another mirror (--mirror, --security-mirror), or allow this with \"kiln lock worker --allow-older\"";
    site.refuses_with(&mut site.kiln(&args), 1, expected);
    // A build that has to pin anew.
    site.replace("profiles/worker.yaml", "packages: [base]", "packages: [base]\n  exclude: [absent]");
    site.refuses_with(&mut site.build(&[]), 1, expected);
    assert_eq!(site.read("profiles/worker.lock"), lock);
    succeeds(&mut site.kiln(&[&args[..], &["--allow-older"]].concat()));
    site.builds(&[]);
}

#[test]
fn a_lock_must_name_what_its_digests_are() {
    let keys = Keys::new();
    let other = Package::new("other", "", &[file("./usr/share/other", "x")]);
    let site = Site::new(&keys, std::slice::from_ref(&other));
    site.replace("profiles/worker.yaml", "packages: [base]", "packages: [base, other]");
    let sums = site.builds(&[]);
    let lock = site.read("profiles/worker.lock");
    let digest = Digest::of(&other.bytes).to_string();
    let from = "the lock names";
    for (old, new, expected) in [
        (
            "\"name\":\"other\",\"version\":\"1\"",
            "\"name\":\"other\",\"version\":\"2\"",
            format!(
                "{from} other 2 for amd64, but the package with its sha256 {digest} is \"other\" \"1\" for \"amd64\"; run \"kiln lock\"*"
            ),
        ),
        (
            "\"name\":\"other\"",
            "\"name\":\"openssl\"",
            format!("{from} openssl 1 for amd64, but the package with its sha256 {digest} is \"other\" \"1\"*"),
        ),
        (
            "\"name\":\"other\"",
            "\"name\":\"kernel\"",
            "profiles/worker.lock:*: package \"kernel\" is pinned twice; run \"kiln lock\" to write it again"
                .to_owned(),
        ),
        (
            "\"name\":\"other\"",
            "\"name\":\"\\u001b]0;x\\u0007\"",
            "profiles/worker.lock:*: package \"\\u{1b}]0;x\\u{7}\": it is not a name of a Debian package*".to_owned(),
        ),
    ] {
        assert!(lock.contains(old), "{lock}");
        site.write("profiles/worker.lock", lock.replace(old, new));
        site.refuses_with(&mut site.build(&["--locked"]), 1, &expected);
    }
    // An artifact with a digest in the profile, and with a version in the release.
    site.write("profiles/worker.lock", lock.replace("\"version\":\"1.36.4\"", "\"version\":\"1.36.5\""));
    let expected = "profiles/worker.lock is stale: it pins kubelet with the version \"1.36.5\", but the profile states \"1.36.4\", and --locked forbids making it*";
    site.refuses_with(&mut site.build(&["--locked"]), 1, expected);
    site.write("profiles/worker.lock", &lock);
    let stated = Digest::of(site.read("kubelet").as_bytes()).to_string();
    site.replace(
        "profiles/releases/test.yaml",
        "file: ../../kubelet",
        &format!("sha256: {{all: {stated}}}, file: ../../kubelet"),
    );
    let pinned = site.builds(&[]);
    let other_digest = Digest::of(b"evil").to_string();
    site.replace("profiles/worker.lock", &stated, &other_digest);
    let expected = format!(
        "profiles/worker.lock is stale: it pins kubelet with the sha256 \"{other_digest}\", but the profile states \"{stated}\", and --locked forbids making it*"
    );
    site.refuses_with(&mut site.build(&["--locked"]), 1, &expected);
    assert_eq!(site.builds(&[]), pinned);
    assert_eq!(pinned, sums);
}

#[test]
fn a_local_file_that_changed_is_pinned_again_or_reported() {
    let keys = Keys::new();
    let site = Site::new(&keys, &[]);
    let sums = site.builds(&[]);
    let lock = site.read("profiles/worker.lock");
    site.write("kubelet", "#!/bin/true\n".repeat(1000));
    let expected = "profiles/worker.lock is stale: artifact kubelet: *kubelet has changed since it was pinned, and --locked forbids pinning it again; run \"kiln lock worker\" first";
    site.refuses_with(&mut site.build(&["--locked"]), 1, expected);
    assert_eq!((site.sums(), site.read("profiles/worker.lock")), (sums.clone(), lock));
    // No mirror is needed for it.
    let new = site.builds(&["--offline"]);
    assert_ne!(new, sums);
    let inspect = ["inspect", "out/worker", "usr/bin/kubelet"];
    assert!(succeeds(&mut site.kiln(&inspect)).starts_with("#!/bin/true\n"));
    assert_eq!(site.builds(&["--locked", "--offline"]), new);
}

#[test]
fn a_chain_of_profiles_ends() {
    let keys = Keys::new();
    let site = Site::new(&keys, &[]);
    for number in 0..2000 {
        site.write(&format!("profiles/p{number}.yaml"), format!("extends: p{}\n", number + 1));
    }
    let mut plan = site.kiln(&["plan", "p0"]);
    site.refuses_with(&mut plan, 1, "profiles/p31.yaml:1:10: more than 32 files extend each other*");
}
