//! What users and hosts write: profiles, releases, locks, overlays, apt's sources.

use kiln_bake::lock::Lock;
use kiln_pack::layer::Overlay;
use kiln_profile::import::{Source, Wanted, import};
use kiln_profile::{Arch, Overrides, load, roles};
use kiln_source::deb::apt_sources;
use kiln_testing::fuzz::Fuzz;
use std::fs;
use std::path::Path;
use tempfile::TempDir;

const YAML: [&[u8]; 16] = [
    b"\n", b"  ", b": ", b"- ", b"[", b"]", b"{", b"}", b"&a ", b"*a", b"<<: ", b"!!int ", b"|\n", b"null", b"~", b"\"",
];

fn repair_nothing(_: &mut Vec<u8>) {}

fn shipped() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/profiles"))
}

/// A copy of the shipped profiles, to change one of.
fn copy() -> TempDir {
    let dir = tempfile::tempdir().expect("a temporary directory");
    for part in ["", "releases"] {
        fs::create_dir_all(dir.path().join("profiles").join(part)).expect("a directory");
        for entry in fs::read_dir(shipped().join(part)).expect("profiles are shipped").flatten() {
            if entry.path().extension().is_some_and(|extension| extension == "yaml") {
                fs::copy(entry.path(), dir.path().join("profiles").join(part).join(entry.file_name())).expect("copied");
            }
        }
    }
    dir
}

/// Fuzzes one file of the shipped profiles.
fn profile_file(name: &'static str, file: &str, words: &[&[u8]]) {
    let dir = copy();
    let profiles = dir.path().join("profiles");
    let target = profiles.join(file);
    let samples = vec![fs::read(&target).expect("a profile")];
    Fuzz { name, samples, words, repair: repair_nothing }.run(|bytes| {
        fs::write(&target, bytes).expect("written");
        let loaded = load(&profiles, "worker", &Overrides::default(), Some(Path::new("/home/x")), Arch::Amd64);
        if let Err(error) = &loaded {
            assert!(!error.to_string().contains('\n'), "more than one line: {error}");
        }
        loaded.is_ok()
    });
}

#[test]
fn profile() {
    assert!(roles(shipped()).expect("listed").iter().any(|role| role == "worker"));
    profile_file("profile", "worker.yaml", &YAML);
}

#[test]
fn profile_base() {
    profile_file("profile-base", "base.yaml", &YAML);
}

#[test]
fn release_file() {
    let dir = copy();
    let worker = fs::read_to_string(dir.path().join("profiles/worker.yaml")).expect("a profile");
    let release = worker.lines().find_map(|line| line.strip_prefix("release: ")).expect("a release");
    profile_file("release-file", &format!("releases/{release}.yaml"), &YAML);
}

#[test]
fn lock() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("worker.lock");
    let package = |name: &str| {
        let sha = "0123456789abcdef".repeat(4);
        format!(
            r#"{{"name":"{name}","version":"1","archive":"main","filename":"pool/{name}.deb","size":1,"sha256":"{sha}"}}"#
        )
    };
    let text = format!(
        "{{\n  \"version\": 1,\n  \"role\": \"worker\",\n  \"suite\": \"trixie\",\n  \"arch\": \"amd64\",\n  \"release\": \"v1\",\n  \
         \"request\": \"{}\",\n  \"epoch\": 7,\n  \"packages\": [\n    {},\n    {}\n  ],\n  \"artifacts\": []\n}}\n",
        "ab".repeat(32),
        package("aa"),
        package("bb")
    );
    let words: [&[u8]; 8] = [b"{", b"}", b"[", b"]", b"\"", b":", b",", b"\\u0000"];
    Fuzz { name: "lock", samples: vec![text.into_bytes()], words: &words, repair: repair_nothing }.run(|bytes| {
        fs::write(&path, bytes).expect("written");
        match Lock::read(&path) {
            // What is read is written as it is read.
            Ok(Some(lock)) => {
                fs::write(&path, lock.to_text()).expect("written");
                assert_eq!(Lock::read(&path).expect("its own text"), Some(lock));
                true
            }
            _ => false,
        }
    });
}

#[test]
fn overlay() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    fs::create_dir_all(dir.path().join("rootfs/etc")).expect("a directory");
    fs::write(dir.path().join("rootfs/etc/motd"), "hello").expect("written");
    let text = "entries:\n  etc/motd: {mode: \"0640\", uid: 7, gid: 8, xattrs: {user.a: \"00ff\"}}\nreplace: [etc/motd]\nremove: [usr/share/doc]\n";
    Fuzz { name: "overlay", samples: vec![text.into(), "{}\n".into()], words: &YAML, repair: repair_nothing }.run(
        |bytes| {
            fs::write(dir.path().join("overlay.yaml"), bytes).expect("written");
            Overlay::read(dir.path()).map(|overlay| overlay.digest()).is_ok()
        },
    );
}

#[test]
fn apt_sources_files() {
    let list = "# comment\ndeb [arch=amd64 lang=en] http://mirror.example/debian trixie main # more\ndeb-src http://s.example/debian trixie main\n";
    let deb822 = "Types: deb\nURIs: http://mirror.example/debian\nSuites: trixie trixie-updates\nComponents: main\nSigned-By: /usr/share/keyrings/debian-archive-keyring.gpg\n\nEnabled: no\nTypes: deb\nURIs: http://e.example/debian\nSuites: sid\nComponents: main\n";
    for (name, file, text) in
        [("apt-list", "sources.list", list), ("apt-deb822", "sources.list.d/debian.sources", deb822)]
    {
        let root = tempfile::tempdir().expect("a temporary directory");
        let path = root.path().join("etc/apt").join(file);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        let words: [&[u8]; 11] = [
            b"signed-by=/k.gpg",
            b"Signed-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n",
            b"deb ",
            b"[",
            b"]",
            b"=",
            b"\n ",
            b"\n\n",
            b"Types: ",
            b"http://",
            b"%20",
        ];
        Fuzz { name, samples: vec![text.into()], words: &words, repair: repair_nothing }.run(|bytes| {
            fs::write(&path, bytes).expect("written");
            apt_sources::read(root.path()).is_ok()
        });
    }
}

#[test]
fn imported_files() {
    const PROXY: &[u8] = b"KubeProxyConfiguration";
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/import/samples");
    let read = |name: &str| fs::read(directory.join(name)).expect("a sample");
    let samples = [
        "aks/kubelet",
        "aks/kubelet.service",
        "eks/kubelet-config.json",
        "every-flag/kubelet.txt",
        "gke/kubelet-config.yaml",
        "kube-proxy/config.conf",
        "kubeadm/init-v1beta4.yaml",
        "kubeadm/join-v1beta2.yaml",
    ]
    .map(read);
    let overrides = Overrides { release: Some("debian-1.20.2".into()), ..Overrides::default() };
    let parent = load(shipped(), "base", &overrides, Some(Path::new("/home/x")), Arch::Amd64).expect("a profile");
    let mut words = YAML.to_vec();
    words.extend([
        &b"--"[..],
        b"=",
        b",",
        b"${",
        b"$KUBELET_FLAGS ",
        b"\\\n",
        b"'",
        b"[Service]\n",
        b"ExecStart=",
        b"Environment=",
        b"EnvironmentFile=-/a\n",
        b"---\n",
    ]);
    Fuzz { name: "import", samples: samples.into(), words: &words, repair: repair_nothing }.run(|bytes| {
        let source = Source { name: "a/file".into(), bytes: bytes.to_vec() };
        let kube_proxy = bytes.windows(PROXY.len()).any(|word| word == PROXY);
        let made = import(&[source], &parent, "base", Wanted { kube_proxy, ..Wanted::default() });
        if let Err(error) = &made {
            assert!(!error.to_string().contains('\n'), "more than one line: {error}");
        }
        made.is_ok()
    });
}
