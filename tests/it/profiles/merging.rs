//! `extends`, options, and search paths.

use super::{Profiles, RELEASE};
use kiln_profile::{Arch, ArtifactFormat, ArtifactSource, Cni, Output, Overrides};
use std::path::PathBuf;

const BASE: &[u8] = b"
release: v1
components: {kubelet: required, runc: required, crictl: optional}
debian:
  packages: [bash, socat, a1=1]
  exclude: [perl]
  suites:
    trixie: {packages: [systemd-repart], exclude: [cpio]}
    bookworm: {packages: [usrmerge]}
kernel:
  cmdline: [console=ttyS0]
  sysctls: {net.ipv4.ip_forward: 1, kernel.panic: 10}
  modules: {keep: [virtio*]}
kubelet:
  config: {maxPods: 110, evictionHard: {memory.available: 100Mi}, clusterDNS: [10.0.0.10]}
units:
  states: {a.service: enabled, b.service: masked}
cni: {subnet: 10.1.0.0/16}
";

#[test]
fn a_child_overrides_its_parent() {
    let worker = b"
extends: base
components: {runc: omitted}
debian: {packages: [perl, a1=2], exclude: [socat]}
kernel:
  cmdline: [quiet]
  sysctls: {kernel.panic: 30, net.ipv4.ip_forward: null}
  modules: {keep: null}
kubelet:
  config: {maxPods: 64, evictionHard: {nodefs.available: 5%}, clusterDNS: [10.0.0.11]}
units:
  states: {a.service: null, b.service: disabled}
cni: {plugin: none}
";
    let profile = Profiles::new(BASE, worker).load().expect("a good profile");
    assert_eq!(profile.release.components.keys().collect::<Vec<_>>(), ["kubelet"]);
    assert!(profile.release.packages.is_empty());
    // A child's packages and exclusions override those of its parent.
    assert_eq!(profile.debian.packages.iter().collect::<Vec<_>>(), ["a1=2", "bash", "perl", "systemd-repart"]);
    assert_eq!(profile.debian.exclude.iter().collect::<Vec<_>>(), ["cpio", "socat"]);
    assert_eq!(profile.kernel.cmdline, ["console=ttyS0", "quiet"]);
    assert_eq!(profile.kernel.sysctls.into_iter().collect::<Vec<_>>(), [("kernel.panic".to_owned(), "30".to_owned())]);
    assert!(profile.kernel.modules_keep.is_empty());
    assert_eq!(
        serde_json::Value::from(profile.kubelet.config),
        serde_json::json!({
            "maxPods": 64,
            "evictionHard": {"memory.available": "100Mi", "nodefs.available": "5%"},
            "clusterDNS": ["10.0.0.10", "10.0.0.11"],
        })
    );
    assert!(profile.units.enable.is_empty() && profile.units.mask.is_empty());
    assert_eq!(profile.units.disable.iter().collect::<Vec<_>>(), ["b.service"]);
    assert_eq!(profile.cni, Cni::None);
}

#[test]
fn unset_values_have_their_defaults() {
    let profile = Profiles::worker("").load().expect("a good profile");
    assert_eq!((profile.role.as_str(), profile.arch), ("worker", Arch::Amd64));
    assert_eq!((profile.image.id.as_str(), profile.image.version.as_str()), ("kiln-worker", "1.30.0"));
    assert_eq!(
        (profile.debian.suite.as_str(), profile.debian.components.as_slice()),
        ("trixie", &["main".to_owned()][..])
    );
    assert_eq!(profile.kernel.package, "linux-image-cloud-amd64");
    assert_eq!(profile.containerd.snapshotter, "overlayfs");
    assert_eq!(
        profile.cni,
        Cni::Bridge { name: "cbr0".into(), subnet: "10.88.0.0/16".into(), assigned: true, mtu: None }
    );
    assert_eq!(profile.units.default_target, "multi-user.target");
    assert_eq!(profile.outputs, [Output::Pxe].into());
}

#[test]
fn options_override_the_profile() {
    let profiles = Profiles::new(BASE, b"extends: base\ndebian: {mirrors: ['http://one/']}\narch: amd64\n");
    profiles.write("profiles/releases/v2.yaml", RELEASE.replace("1.30.0", "1.31.0"));
    profiles.write("site/rootfs/x", "");
    let overrides = Overrides {
        release: Some("v2".into()),
        cluster: None,
        arch: Some(Arch::Arm64),
        suite: Some("bookworm".into()),
        mirrors: vec!["http://two/{snapshot}".into()],
        security_mirrors: vec!["http://three".into()],
        snapshot: Some("20261101T000000Z".into()),
        image_version: Some("7".into()),
        outputs: [Output::Pxe].into(),
        overlays: vec![profiles.0.path().join("site")],
        files_outside: false,
    };
    let profile = profiles.load_with("worker", &overrides).expect("a good profile");
    assert_eq!((profile.release.name.as_str(), profile.release.kubernetes.to_string().as_str()), ("v2", "1.31.0"));
    assert_eq!(profile.debian.mirrors, ["http://two/{snapshot}".into()]);
    assert_eq!(profile.debian.security_mirrors, ["http://three".into()]);
    assert_eq!(profile.debian.snapshot.as_deref(), Some("20261101T000000Z"));
    assert_eq!(profile.kernel.package, "linux-image-cloud-arm64");
    assert_eq!(profile.image.version, "7");
    // The other suite's packages.
    assert!(profile.debian.packages.contains("usrmerge") && !profile.debian.packages.contains("systemd-repart"));
    assert_eq!(
        profile.release.components["kubelet"].source,
        ArtifactSource::Url("https://example.org/arm64/kubelet".into())
    );
    assert!(profile.overlays[0].ends_with("site"));
}

#[test]
fn a_unit_has_the_state_the_child_gives_it_with_or_without_a_question_mark() {
    let base = b"release: v1\nunits: {states: {a.service?: masked, b.service: disabled, c.service?: disabled}}\n";
    let worker = b"extends: base\nunits: {states: {a.service: enabled, b.service?: masked}}\n";
    let units = Profiles::new(base, worker).load().expect("a good profile").units;
    assert_eq!(units.enable.into_iter().collect::<Vec<_>>(), ["a.service"]);
    assert_eq!(units.mask.into_iter().collect::<Vec<_>>(), ["b.service"]);
    assert_eq!(units.disable.into_iter().collect::<Vec<_>>(), ["c.service"]);
    assert_eq!(units.optional.into_iter().collect::<Vec<_>>(), ["b.service", "c.service"]);
}

#[test]
fn three_generations_and_a_removed_list() {
    let profiles = Profiles::new(BASE, b"extends: middle\nkernel: {cmdline: [c]}\n");
    profiles.write("profiles/middle.yaml", "extends: base\nkernel: {cmdline: null}\n");
    assert_eq!(profiles.load().expect("a good profile").kernel.cmdline, ["c"]);
}

#[test]
fn a_role_may_be_a_path_and_paths_start_at_their_file() {
    let profiles = Profiles::new(b"release: v1\n", b"");
    profiles.write("mine/edge.yaml", "extends: ../profiles/base.yaml\noverlays: [./over, site]\nartifacts:\n  a: {version: 1, file: 'bin/{arch}/a-{version}', install: /a}\n  b: {version: 1, file: ~/b.tar, extract: {bin: /opt/bin, .: /}}\n");
    profiles.write("mine/over/rootfs/x", "");
    profiles.write("overlays/site/rootfs/x", "");
    let path = profiles.0.path().join("mine/edge.yaml");
    let trusted = Overrides { files_outside: true, ..Overrides::default() };
    let error = profiles.error_with(path.to_str().expect("UTF-8"), &trusted);
    assert_eq!(error, "mine/edge.yaml:5:62: artifacts.b: \"/\" is the root itself, name something below it");

    profiles.write("mine/edge.yaml", "extends: base\noverlays: [./over, site]\nartifacts:\n  a: {version: 1, file: 'bin/{arch}/a-{version}', install: /a}\n  b: {version: 1, file: ~/b.tar, extract: {bin: /opt/bin}}\n");
    let profile = profiles.load_with(path.to_str().expect("UTF-8"), &trusted).expect("a good profile");
    assert_eq!(profile.role, "edge");
    assert_eq!(profile.overlays, [profiles.0.path().join("mine/./over"), profiles.0.path().join("overlays/site")]);
    let sources: Vec<_> = profile.artifacts.iter().map(|artifact| artifact.source.clone()).collect();
    assert_eq!(
        sources,
        [
            ArtifactSource::File(profiles.0.path().join("mine/bin/amd64/a-1")),
            ArtifactSource::File(PathBuf::from("/home/user/b.tar"))
        ]
    );
    assert!(matches!(&profile.artifacts[0].format, ArtifactFormat::Raw { mode: 0o755, .. }));
}

#[test]
fn a_profile_names_no_file_outside_of_its_project() {
    let profiles = Profiles::worker("");
    profiles.write("profiles/v0.yaml", "release: v1\n");
    profiles.write(".git/config", "a token");
    profiles.write("overlays/site/x", "");
    let elsewhere = tempfile::tempdir().expect("a directory");
    for (path, text) in [("rootfs/x", ""), ("w.yaml", "release: v1\n"), ("ca.crt", "a secret"), ("keyring.gpg", "")] {
        let path = elsewhere.path().join(path);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        std::fs::write(path, text).expect("written");
    }
    std::os::unix::fs::symlink(elsewhere.path(), profiles.0.path().join("profiles/link")).expect("a link");
    std::os::unix::fs::symlink(elsewhere.path().join("w.yaml"), profiles.0.path().join("profiles/lost.yaml"))
        .expect("a link");
    std::os::unix::fs::symlink(elsewhere.path().join("rootfs"), profiles.0.path().join("overlays/site/rootfs"))
        .expect("a link");
    let outside = elsewhere.path().display().to_string();
    let artifact = |file: &str| format!("artifacts: {{a: {{version: 1, file: '{file}', install: /a}}}}\n");
    let image = |kind: &str| format!("images: {{'a.b/c:1': {kind}}}\n");
    let up = "../".repeat(20);
    for (text, place) in [
        (artifact("/proc/self/environ"), "2:35: artifacts.a: /proc/self/environ "),
        (artifact("~/.docker/config.json"), "2:35: artifacts.a: /home/user/.docker/config.json "),
        (artifact("~/.cache/kiln-test/../../b"), "2:35: artifacts.a: "),
        (artifact(&format!("{outside}/ca.crt")), "2:35: artifacts.a: "),
        (artifact("link/ca.crt"), "2:35: artifacts.a: profiles/link/ca.crt leads to "),
        (
            artifact("../.git/config"),
            "2:35: artifacts.a: profiles/../.git/config leads to .git/config, which is hidden",
        ),
        (artifact(&format!("{up}etc/shadow")), "2:35: artifacts.a: profiles/../"),
        (image("{archive: {file: /etc/shadow}}"), "2:38: images.a.b/c:1.archive: /etc/shadow is outside of "),
        (
            image("{binary: {file: /etc/shadow, entrypoint: /a}}"),
            "2:37: images.a.b/c:1.binary: /etc/shadow is outside of ",
        ),
        (format!("debian: {{keyring: {outside}/keyring.gpg}}\n"), "2:19: debian.keyring: "),
        (format!("overlays: [{outside}]\n"), "2:12: overlays: "),
        ("overlays: [./link]\n".to_owned(), "2:12: overlays: "),
        ("overlays: [site]\n".to_owned(), "2:12: overlays: overlays/site/rootfs leads to "),
        (format!("release: {outside}/w.yaml\n"), "2:10: "),
    ] {
        profiles.write("profiles/worker.yaml", format!("extends: base\n{text}"));
        let error = profiles.error();
        assert!(error.starts_with(&format!("profiles/worker.yaml:{place}")), "{text}: {error}");
        assert!(error.ends_with("or accept it with --allow-files-outside"), "{text}: {error}");
        assert!(!error.contains("token") && !error.contains("a secret"), "{text}: {error}");
        let trusted = Overrides { files_outside: true, ..Overrides::default() };
        let error = profiles.load_with("worker", &trusted).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(!error.contains("--allow-files-outside"), "{text}: {error}");
    }
    // Neither by a name, nor as a parent.
    profiles.write("profiles/worker.yaml", "extends: lost\n");
    assert!(profiles.error().starts_with("profiles/lost.yaml leads to "), "{}", profiles.error());
    profiles.write("profiles/worker.yaml", format!("extends: {outside}/w.yaml\n"));
    assert!(profiles.error().starts_with("profiles/worker.yaml:1:10: "), "{}", profiles.error());
    // What the command line names is the user's choice, but not where links in it lead.
    profiles.write("profiles/worker.yaml", "extends: base\n");
    let named = |overlay: std::path::PathBuf| Overrides { overlays: vec![overlay], ..Overrides::default() };
    profiles.load_with("worker", &named(elsewhere.path().to_owned())).expect("a good profile");
    let error = profiles.error_with("worker", &named(profiles.0.path().join("overlays/site")));
    assert!(error.starts_with("--overlay: overlays: overlays/site/rootfs leads to "), "{error}");
    let role = elsewhere.path().join("w.yaml");
    profiles.load_with(role.to_str().expect("UTF-8"), &Overrides::default()).expect("a good profile");
}

#[test]
fn an_overlay_of_the_command_line_is_named_as_in_a_profile() {
    let profiles = Profiles::worker("overlays: [first]\n");
    profiles.write("overlays/first/rootfs/x", "");
    profiles.write("overlays/site/rootfs/x", "");
    let overlays = vec!["site".into(), profiles.0.path().join("overlays/first")];
    let profile = profiles.load_with("worker", &Overrides { overlays, ..Overrides::default() });
    let places = profile.expect("a good profile").overlays;
    assert_eq!(places, ["first", "site", "first"].map(|name| profiles.0.path().join("overlays").join(name)));
}

#[test]
fn numbers_are_taken_as_they_are_written() {
    let profile =
        Profiles::worker("image: {version: 1.10}\nkubelet: {args: {v: 2}}\nfiles: {/a: {content: 1e3, mode: 0600}}\n")
            .load()
            .expect("a good profile");
    assert_eq!(profile.image.version, "1.10");
    assert_eq!(profile.kubelet.args["v"], "2");
    let file = profile.files.values().next().expect("a file");
    assert_eq!((file.content.as_str(), file.mode), ("1e3", 0o600));
}

#[test]
fn an_overlay_may_bring_the_file_that_pods_take_name_servers_from() {
    let profiles = Profiles::worker("overlays: [site]\nkubelet: {config: {resolvConf: /etc/resolv.conf}}\n");
    // A file beside rootfs does not reach the image.
    profiles.write("overlays/site/etc/resolv.conf", "nameserver 192.0.2.53\n");
    assert!(profiles.error().contains("resolvConf is /etc/resolv.conf, which names systemd-resolved's stub"));
    profiles.write("overlays/site/rootfs/etc/resolv.conf", "nameserver 192.0.2.53\n");
    profiles.load().expect("a good profile");
}
