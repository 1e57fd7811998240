//! Errors in what users write: profiles, locks, overlays, the command line. (`profiles/bad.rs`
//! contains the long table of wrong keys and values.)

use crate::bad_input::site::{Keys, Site};

#[test]
fn profiles() {
    let keys = Keys::new();
    let site = Site::new(&keys, &[]);
    let good = site.read("profiles/worker.yaml");
    let profile = "profiles/worker.yaml";
    let rows: Vec<(String, &str)> = vec![
        (
            good.replace("cmdline", "cmdlin"),
            "profiles/worker.yaml:9:3: kernel: unknown key \"cmdlin\", did you mean \"cmdline\"?",
        ),
        (
            good.replace("[quiet]", "7"),
            "profiles/worker.yaml:9:12: kernel.cmdline: expected a list, found the number 7",
        ),
        (
            good.replace("release: test", "release: tset"),
            "profiles/worker.yaml:1:10: there is no release \"tset\", did you mean \"test\"?",
        ),
        (
            good.replace("release: test\n", ""),
            "profiles/worker.yaml:1:1: no release is named; add \"release: NAME\" (there are test)",
        ),
        (
            good.clone() + "extends: bsae\n",
            "profiles/worker.yaml:12:10: there is no profile \"bsae\" (valid is worker)",
        ),
        (
            good.clone() + "extends: worker\n",
            "profiles/worker.yaml:12:10: extends forms a cycle: profiles/worker.yaml → profiles/worker.yaml",
        ),
        (good.clone() + "\tx: [\n", "profiles/worker.yaml:*"),
        (good.clone() + "overlays: [nowhere]\n", "profiles/worker.yaml:12:12: there is no directory overlays/nowhere"),
        ("\u{0}".into(), "profiles/worker.yaml:*"),
    ];
    for (text, expected) in rows {
        site.write(profile, text);
        site.refuses(&[], expected);
    }
    site.write(profile, b"\xff\xfe");
    site.refuses(&[], "profiles/worker.yaml: is not UTF-8 (byte 0)");
    site.write(profile, good);
    site.write("profiles/releases/test.yaml", "kubernetes: 1.36\n");
    site.refuses(&[], "profiles/releases/test.yaml:1:1: release test: \"pauseImage\" is missing");
}

/// Errors that are detected only with packages, artifacts or the finished tree also name the line
/// of the profile.
#[test]
fn errors_that_are_detected_late() {
    let keys = Keys::new();
    let site = Site::new(&keys, &[]);
    let good = site.read("profiles/worker.yaml");
    let rows = [
        (
            "units:\n  states: {kublet.service: enabled}\n",
            "profiles/worker.yaml:13:12: units.states.kublet.service: no unit is called \"kublet.service\" (did you mean \"kubelet.service\"?)",
        ),
        (
            "units: {states: {'a.service?': masked, b.service: masked}}\n",
            "profiles/worker.yaml:12:40: units.states.b.service: no unit is called \"b.service\"*",
        ),
        (
            "units: {defaultTarget: none.target}\n",
            "profiles/worker.yaml:12:24: units.defaultTarget: no unit is called \"none.target\"*",
        ),
        (
            "users:\n  pods: {uid: 0}\n",
            "profiles/worker.yaml:13:15: users.pods.uid: the * 0 already belongs to \"root\": choose another",
        ),
        (
            "users: {pods: {uid: 900, groups: [none]}}\n",
            "profiles/worker.yaml:12:35: users.pods.groups: no group is called \"none\": declare it under groups",
        ),
        (
            "files: {/usr/bin/kubelet: {content: x}}\n",
            "profiles/worker.yaml:12:9: files: /usr/bin/kubelet already exists, from artifact *",
        ),
        (
            "alternatives: {/usr/bin/awk: /usr/bin/mawk}\n",
            "profiles/worker.yaml:12:30: alternatives./usr/bin/awk: the target /usr/bin/mawk is not in the tree*",
        ),
        (
            "images: {'a.b/c:1': {binary: {program: /usr/bin/none, entrypoint: /a}}}\n",
            "profiles/worker.yaml:12:10: images.a.b/c:1: the node has no /usr/bin/none; add *",
        ),
    ];
    for (text, expected) in rows {
        site.write("profiles/worker.yaml", good.clone() + text);
        site.refuses(&[], expected);
    }
    site.write("profiles/worker.yaml", good.replace("{plugin: none}", "{subnet: 10.1.0.0/16}"));
    site.refuses(&[], "profiles/worker.yaml:11:6: cni: the plugin bridge is neither in /opt/cni/bin nor *");
    // The error names the file that contains the value: a parent, or the profile that requests the
    // component.
    site.write("profiles/base.yaml", "units:\n  states:\n    a.service: enabled\n");
    site.write("profiles/worker.yaml", format!("extends: base\n{good}"));
    site.refuses(&[], "profiles/base.yaml:3:5: units.states.a.service: no unit is called \"a.service\"*");
    site.write("profiles/worker.yaml", &good);
    site.replace("profiles/releases/test.yaml", "/usr/bin/kubelet", "/opt/kubelet");
    site.refuses(&[], "profiles/worker.yaml:10:14: there is no kubelet in /usr/bin, *");
}

#[test]
fn command_lines() {
    let keys = Keys::new();
    let site = Site::new(&keys, &[]);
    let rows: [(&[&str], i32, &str); 7] = [
        (&["build", "wroker"], 1, "there is no role \"wroker\" in profiles, did you mean \"worker\"?"),
        (
            &["build", "worker", "--profiles", "nowhere"],
            1,
            "reading nowhere: No such file or directory (os error 2); run kiln where the profiles are, or name their directory with --profiles",
        ),
        (&["build", "nowhere/worker.yaml"], 1, "reading nowhere/worker.yaml: No such file or directory (os error 2)*"),
        (&["build", "worker", "--release", "v9"], 1, "--release: there is no release \"v9\" (valid is test)"),
        (
            &["build", "worker", "--suite", "jessie"],
            1,
            "--suite: debian.suite: unknown suite \"jessie\" (known are bookworm, sid, trixie; another one needs an entry under debian.suites) (see sources.list(5), deb-version(7), Debian Policy 7.1)",
        ),
        (
            &["inspect", "out/nowhere"],
            1,
            "reading out/nowhere/manifest.json; is out/nowhere the output of \"kiln build\"?: No such file or directory (os error 2)",
        ),
        (&["cache", "trim"], 1, "say what to remove: --max-size 5G, --unused-days 30 or --all"),
    ];
    for (args, code, expected) in rows {
        site.refuses_with(&mut site.kiln(args), code, expected);
    }
    // clap's own errors have more than one line: the error, and the usage.
    for args in [
        &["biuld"][..],
        &["build"],
        &["build", "worker", "--jobs", "0"],
        &["build", "worker", "--arch", "mips"],
        &["build", "worker", "--stall-timeout", "soon"],
    ] {
        let output = site.kiln(args).output().expect("kiln runs");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {stderr}");
        assert!(
            output.stdout.is_empty() && stderr.starts_with("error: ") && stderr.contains("--help"),
            "{args:?}: {stderr}"
        );
    }
}

#[test]
fn locks() {
    let keys = Keys::new();
    let site = Site::new(&keys, &[]);
    let lock = "profiles/worker.lock";
    site.refuses(
        &["--locked"],
        "profiles/worker.lock does not exist, and --locked forbids making it; run \"kiln lock worker\" first",
    );
    site.refuses(
        &["--offline"],
        "profiles/worker.lock does not exist, and --offline forbids making it; run \"kiln lock worker\" first",
    );
    crate::bad_input::site::succeeds(&mut site.kiln(&["lock", "worker", "--mirror", &site.mirror()]));
    let good = site.read(lock);
    let first = good.lines().position(|line| line.contains("\"name\":\"base\"")).expect("a package") + 1;
    let sha = good.find(",\"sha256\":").expect("a digest");
    let without = format!("{}{}", &good[..sha], &good[sha + 76..]);
    let rows: Vec<(String, String)> = vec![
        (good[..good.len() / 2].into(), "profiles/worker.lock:*: *; run \"kiln lock\" to write it again".into()),
        (String::new(), "profiles/worker.lock:*: *; run \"kiln lock\" to write it again".into()),
        ("not JSON".into(), "profiles/worker.lock:1:*: *; run \"kiln lock\" to write it again".into()),
        (without, format!("profiles/worker.lock:{first}:*: missing field `sha256`; run \"kiln lock\" to write it again")),
        (
            good.replacen("\"sha256\":\"", "\"sha256\":\"x", 1),
            format!("profiles/worker.lock:{first}:*: *; run \"kiln lock\" to write it again"),
        ),
        (
            good.replace("\"version\": 1", "\"version\": 9"),
            "profiles/worker.lock:1:1: its format has version 9, but this kiln reads version 1; run \"kiln lock\" to write it again".into(),
        ),
    ];
    for (text, expected) in rows {
        site.write(lock, text);
        site.refuses(&["--locked"], &expected);
    }
    site.write(lock, &good);
    site.replace("profiles/worker.yaml", "[base]", "[base, aa]");
    site.refuses(&["--locked"], "profiles/worker.lock is stale: the profile's packages, artifacts or images have changed since, and --locked forbids making it; run \"kiln lock worker\" first");
}

#[test]
fn overlays() {
    let keys = Keys::new();
    let site = Site::new(&keys, &[]);
    let build = ["--overlay", "./site"];
    site.refuses(&build, "--overlay: there is no directory ./site");
    site.write("site/etc/motd", "forgot rootfs");
    site.refuses(&["--overlay", "site"], "--overlay: there is no directory overlays/site; write \"./site\" for site");
    site.refuses(&build, "overlay *site has no folder rootfs; the files of an overlay belong in *site/rootfs/");
    site.write("site/rootfs/etc/motd", "hello");
    let rows = [
        (
            "replaces: [etc/motd]\n",
            "./site/overlay.yaml:1:1: unknown field `replaces`, expected one of entries, replace, remove, notForProduction",
        ),
        (
            "entries: {etc/motd: {mode: \"9\"}}\n",
            "*overlay.yaml:1:*: *\"9\" is not a mode; write it in octal and in quotes, \"0644\"*",
        ),
        (
            "entries: {etc/mtod: {mode: \"0600\"}}\n",
            "*overlay.yaml: entries names /etc/mtod, which is not in its rootfs",
        ),
        ("entries: {../etc/motd: {}}\n", "./site/overlay.yaml:1:11: \"../etc/motd\" leaves the tree through \"..\""),
        ("[\n", "./site/overlay.yaml:1:1: unclosed bracket '['"),
        ("notForProduction: ' '\n", "./site/overlay.yaml:1:*: the reason is empty"),
    ];
    for (text, expected) in rows {
        site.write("site/overlay.yaml", text);
        site.refuses(&build, expected);
    }
    site.write("site/overlay.yaml", "");
    site.write("site/rootfs/usr/bin/containerd", "mine");
    site.refuses(&build, "overlay site: /usr/bin/containerd is in overlay site and in package base=1; if the overlay must replace it, name the path under \"replace:\" in its overlay.yaml");
    std::fs::remove_file(site.path("site/rootfs/usr/bin/containerd")).expect("removed");
    let socket = std::os::unix::net::UnixListener::bind(site.path("site/rootfs/etc/socket")).expect("a socket");
    site.refuses(
        &build,
        "overlay *site/rootfs/etc/socket: only files, directories, symlinks and named pipes can be overlaid",
    );
    drop(socket);
}
