//! Every file that is rendered for each role on each shipped release, compared whole with
//! `tests/golden/roles`. Rendering is a function of the profile and of the paths in the tree, so
//! neither packages nor binaries are needed: the tree in this test contains the paths that
//! rendering looks for. The module `upstream` has two workers from complete builds.

use kiln_agent::seed::Seed;
use kiln_profile::{Arch, Overrides, Profile};
use kiln_tree::{Entry, FileTree, Origin, TreePath};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

const RELEASES: [&str; 2] = ["v1.36.4", "debian-1.20.2"];
const SUITES: [&str; 2] = ["trixie", "bookworm"];

/// The plugins of the CNI project in Debian's package and upstream's archive.
const PLUGINS: [&str; 17] = [
    "bandwidth",
    "bridge",
    "dhcp",
    "dummy",
    "firewall",
    "host-device",
    "host-local",
    "ipvlan",
    "loopback",
    "macvlan",
    "portmap",
    "ptp",
    "sbr",
    "static",
    "tuning",
    "vlan",
    "vrf",
];

/// The paths that rendering looks for, as in Debian's packages or upstream's archives.
pub(super) fn tree(release: &str) -> FileTree {
    let debian = release.starts_with("debian-");
    let plugins = if debian { "usr/lib/cni" } else { "opt/cni/bin" };
    let mut paths: Vec<String> = PLUGINS.iter().map(|name| format!("{plugins}/{name}")).collect();
    paths.extend(
        [
            "usr/bin/containerd",
            "usr/bin/kubelet",
            "usr/bin/kube-proxy",
            "usr/sbin/runc",
            "usr/sbin/ipset",
            // The file in the package; usr/sbin/iptables is a link that is made later.
            "usr/sbin/iptables-nft",
        ]
        .map(str::to_owned),
    );
    if debian {
        paths.push("usr/lib/systemd/system/containerd.service".to_owned());
    }
    let mut tree = FileTree::new();
    for path in paths {
        let entry = Entry::file("", 0o755, Origin::Package("some=1".into()));
        tree.insert(TreePath::new(&path).expect("a path"), entry).expect("inserted");
    }
    tree
}

/// All rendered entries as text: a line for each entry, followed by the text of files.
fn dump(profile: &Profile, tree: &FileTree) -> String {
    let mut text = String::new();
    for (path, entry) in kiln_render::render(profile, tree).unwrap_or_else(|error| panic!("{}: {error}", profile.role))
    {
        let mode = entry.meta.mode;
        match (entry.link_target(), entry.inline()) {
            (Some(target), _) => writeln!(text, "=== {path} -> {target}"),
            // The program kiln-agent changes with every change of its source.
            (_, Some(bytes)) if bytes.starts_with(b"\x7fELF") => writeln!(text, "=== {path} {mode:04o} program"),
            (_, Some(bytes)) => write!(text, "=== {path} {mode:04o}\n{}", String::from_utf8_lossy(bytes)),
            _ => writeln!(text, "=== {path}/ {mode:04o}"),
        }
        .expect("written");
    }
    text
}

/// Compares with `tests/golden/roles/NAME.txt`; with `UPDATE_SNAPSHOTS` set, writes it instead, for
/// review with git diff.
fn compare(name: &str, actual: &str) -> Result<(), String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/roles").join(format!("{name}.txt"));
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        fs::write(&path, actual).expect("written");
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    if actual == expected {
        return Ok(());
    }
    let different = expected.lines().zip(actual.lines()).position(|(old, new)| old != new);
    let line = different.unwrap_or(expected.lines().count().min(actual.lines().count()));
    Err(format!(
        "{}:{}: {:?} is now {:?}",
        path.display(),
        line + 1,
        expected.lines().nth(line),
        actual.lines().nth(line)
    ))
}

fn load(dir: &Path, role: &str, overrides: &Overrides) -> Profile {
    kiln_profile::load(dir, role, overrides, Some(Path::new("/home/user")), Arch::Amd64)
        .unwrap_or_else(|error| panic!("{error}"))
}

pub(super) fn shipped() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("profiles")
}

#[test]
fn every_role_on_every_release_has_these_files() {
    let mut wrong = Vec::new();
    for role in kiln_profile::roles(&shipped()).expect("roles").iter().filter(|role| *role != "base") {
        for release in RELEASES {
            // Suites differ in their packages; the rendered files are the same.
            for suite in SUITES {
                let overrides =
                    Overrides { release: Some(release.into()), suite: Some(suite.into()), ..Overrides::default() };
                let dump = dump(&load(&shipped(), role, &overrides), &tree(release));
                wrong.extend(compare(&format!("{role}-{release}"), &dump).err());
            }
        }
    }
    assert!(wrong.is_empty(), "if the change is intended, run the test with UPDATE_SNAPSHOTS=1:\n{}", wrong.join("\n"));
}

/// A site's own role with settings that the shipped ones do not have: a cluster, kube-proxy, a
/// mirror, metrics.
#[test]
fn a_role_of_ones_own_for_a_cluster_has_these_files() {
    let site = tempfile::tempdir().expect("a directory");
    fs::create_dir_all(site.path().join("profiles/releases")).expect("a directory");
    fs::create_dir(site.path().join("clusters")).expect("a directory");
    for file in ["base.yaml", "worker.yaml", "ingress.yaml", "releases/debian-1.20.2.yaml"] {
        fs::copy(shipped().join(file), site.path().join("profiles").join(file)).expect("copied");
    }
    fs::write(site.path().join("profiles/edge.yaml"), include_str!("edge.yaml")).expect("written");
    fs::write(site.path().join("clusters/prod.yaml"), include_str!("prod.yaml")).expect("written");
    let overrides =
        Overrides { release: Some("debian-1.20.2".into()), cluster: Some("prod".into()), ..Overrides::default() };
    let profile = load(&site.path().join("profiles"), "edge", &overrides);
    assert!(profile.debian.packages.contains("ipset") && profile.units.enable.contains("kube-proxy.service"));
    assert!(profile.kernel.modules_keep.iter().any(|name| name == "ip_vs_wlc"));
    let mut tree = tree("debian-1.20.2");
    compare("edge-debian-1.20.2", &dump(&profile, &tree)).unwrap_or_else(|wrong| panic!("{wrong}"));

    let rendered = kiln_render::render(&profile, &tree).expect("rendered");
    let seed =
        rendered.iter().find(|(path, _)| path.as_str() == "usr/lib/kiln/cluster.yaml").and_then(|(_, it)| it.inline());
    let seed = Seed::parse(seed.expect("a file")).expect("the agent reads it");
    assert_eq!(seed.api_servers.len(), 2);
    assert_eq!(seed.discovery.ca_certificates, profile.cluster.as_ref().map(|cluster| cluster.ca_certificates.clone()));

    tree.remove("usr/sbin/iptables-nft");
    let missing = kiln_render::render(&profile, &tree).expect_err("refused").to_string();
    assert!(
        missing.starts_with("there is no iptables in") && missing.contains("add the package iptables"),
        "{missing}"
    );
}

/// The unit of kube-proxy waits for the site's kubeconfig, and without dual stack kube-proxy has
/// only one of the cluster's networks.
#[test]
fn kube_proxy_by_its_configuration() {
    let site = tempfile::tempdir().expect("a directory");
    let (profiles, clusters) = (site.path().join("profiles"), site.path().join("clusters"));
    fs::create_dir_all(profiles.join("releases")).expect("a directory");
    fs::create_dir(&clusters).expect("a directory");
    for file in ["base.yaml", "worker.yaml", "releases/debian-1.20.2.yaml"] {
        fs::copy(shipped().join(file), profiles.join(file)).expect("copied");
    }
    fs::write(clusters.join("prod.yaml"), include_str!("prod.yaml")).expect("written");
    let overrides =
        Overrides { release: Some("debian-1.20.2".into()), cluster: Some("prod".into()), ..Overrides::default() };
    let load = |config: &str| {
        let role = format!("extends: worker\ncomponents: {{kube-proxy: required}}\nkubeProxy: {{config: {config}}}\n");
        fs::write(profiles.join("proxy.yaml"), role).expect("written");
        kiln_profile::load(&profiles, "proxy", &overrides, Some(Path::new("/home/user")), Arch::Amd64)
    };
    let rendered = |config: &str| {
        let profile = load(config).unwrap_or_else(|error| panic!("{config}: {error}"));
        let rendered =
            kiln_render::render(&profile, &tree("debian-1.20.2")).unwrap_or_else(|error| panic!("{config}: {error}"));
        ["etc/kube-proxy/config.yaml", "usr/lib/systemd/system/kube-proxy.service"].map(|path| {
            let (_, entry) = rendered.iter().find(|(at, _)| at.as_str() == path).expect("a file");
            String::from_utf8_lossy(entry.inline().expect("its text")).into_owned()
        })
    };
    let waits = |unit: &str, path: &str| unit.contains(&format!("\nConditionPathExists={path}\n"));

    for config in ["{}", "{clientConnection: {kubeconfig: ''}}", "{clientConnection: null}"] {
        let [file, unit] = rendered(config);
        assert!(waits(&unit, "/etc/kubernetes/kube-proxy.conf"), "{unit}");
        assert!(file.contains("\n  kubeconfig: /etc/kubernetes/kube-proxy.conf\n"), "{file}");
        assert!(file.contains("\nclusterCIDR: \"10.244.0.0/16\"\n"), "{file}");
    }
    let [file, unit] =
        rendered("{clientConnection: {qps: 7, kubeconfig: /srv/50%/proxy.conf}, clusterCIDR: 'fd00:2::/48'}");
    assert!(waits(&unit, "/srv/50%%/proxy.conf"), "{unit}");
    assert!(
        file.contains("kubeconfig: \"/srv/50%/proxy.conf\"\n") && file.contains("clusterCIDR: \"fd00:2::/48\"\n"),
        "{file}"
    );
    let [file, _] = rendered("{featureGates: {IPv6DualStack: true}}");
    assert!(file.contains("\nclusterCIDR: \"10.244.0.0/16,fd00:2::/48\"\n"), "{file}");
    for (config, said) in [
        ("{clusterCIDR: '10.244.0.0/16,fd00:2::/48'}", "clusterCIDR has two networks, and kube-proxy 1.20 accepts one"),
        ("{clusterCIDR: 10.245.0.0/16}", "clusterCIDR is \"10.245.0.0/16\", and pods of cluster prod are in"),
        (
            "{featureGates: {IPv6DualStack: true}, clusterCIDR: 10.244.0.0/16}",
            "clusterCIDR is \"10.244.0.0/16\", and pods",
        ),
    ] {
        let refused = load(config).expect_err(config).to_string();
        assert!(refused.contains(said), "{config}: {refused}");
    }
    let broken =
        load(r#"{clientConnection: {kubeconfig: "/a\nExecStart=/b"}}"#).expect("only its unit could not be written");
    let refused = kiln_render::render(&broken, &tree("debian-1.20.2")).expect_err("refused").to_string();
    assert!(refused.contains("cannot be written to a unit"), "{refused}");
}
