//! Checks the rendered configuration of containerd with the containerd of each suite. `containerd
//! config dump` prints a file after defaults and migrations. It drops unknown keys, except those in
//! a runtime's options, which are free-form: tests with booted nodes cover these.

use crate::roles::debian_root::{Suite, stdout};
use crate::roles::own;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

/// The golden files for each suite's containerd: `edge` has metrics and a mirror, `gpu` a second
/// runtime.
const ASKED: [(&str, &[&str], &str); 3] = [
    ("bookworm", &["edge-debian-1.20.2", "gpu-debian-1.20.2"], "debian-1.20.2"),
    ("trixie", &["edge-debian-1.20.2", "gpu-debian-1.20.2"], "debian-1.20.2"),
    // Its containerd is 2.x.
    ("forky", &["gpu-v1.36.4"], "v1.36.4"),
];

/// Settings that both series must contain, for either address family.
const OWN: [(&str, &str); 2] = [
    ("containerd: {metrics: '127.0.0.1:1338'}\n", "\n[metrics]\naddress = \"127.0.0.1:1338\"\n"),
    ("containerd: {metrics: '[::1]:1338'}\n", "\n[metrics]\naddress = \"[::1]:1338\"\n"),
];

/// `config.toml` of a golden file, which `rendered.rs` compares with the rendered one.
fn rendered(golden: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/roles/{golden}.txt"));
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let (_, rest) = text.split_once("=== etc/containerd/config.toml 0644\n").expect("a configuration");
    rest.split("\n=== ").next().expect("its text").to_owned()
}

/// `[table] key` → value, for the subset of TOML that containerd and kiln write: one key per line.
fn settings(toml: &str) -> BTreeMap<String, String> {
    let mut table = String::new();
    let mut settings = BTreeMap::new();
    for line in toml.lines().map(|line| line.trim().replace('\'', "\"")).filter(|line| !line.starts_with('#')) {
        if let Some((key, value)) = line.split_once(" = ") {
            settings.insert(format!("[{table}] {key}"), value.to_owned());
        } else if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            table = name.to_owned();
        }
    }
    settings
}

#[test]
fn containerd_understands_every_key() {
    for (suite, goldens, release) in ASKED {
        let root = tempfile::tempdir().expect("a directory");
        Suite::new(suite).unpack(&["containerd", "libc6", "libseccomp2"], root.path());
        let dump = |config: &str| {
            let file = root.path().join("config.toml");
            fs::write(&file, config).expect("written");
            // The suite's own C library: this host's may be older.
            let mut command = Command::new(root.path().join("usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2"));
            command.arg("--library-path").arg(root.path().join("usr/lib/x86_64-linux-gnu"));
            command.arg(root.path().join("usr/bin/containerd")).arg("--config").arg(file).args(["config", "dump"]);
            settings(&stdout(&mut command, "containerd"))
        };
        let mut configs: Vec<_> = goldens.iter().map(|golden| (*golden, rendered(golden))).collect();
        for (own, expected) in OWN {
            let config = own::rendered(own, release, "etc/containerd/config.toml").expect("a configuration");
            assert!(config.contains(expected), "{own}: {config}");
            configs.push((own, config));
        }
        for (golden, config) in configs {
            let (ours, understood) = (settings(&config), dump(&config));
            assert!(ours.len() > 8 && understood.len() > 100, "{golden}: {} of {}", ours.len(), understood.len());
            for (key, value) in ours.iter().filter(|(key, _)| *key != "[] version") {
                assert_eq!(understood.get(key), Some(value), "{suite}: {golden}: {key}");
            }
            // Proves that the test works: a key with another name is lost.
            let broken = config.replace("conf_dir =", "config_dir =");
            let understood = dump(&broken);
            assert!(
                settings(&broken).iter().any(|(key, value)| understood.get(key) != Some(value)),
                "{suite}: {golden}"
            );
        }
    }
}
