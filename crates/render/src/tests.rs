use super::fixture::{debian_tree, worker};
use super::*;
use kiln_profile::{Arch, Cni, ContainerdSeries, Cri, InlineFile, KubeletConfigSource, SeedSource};

fn render_text(profile: &Profile, tree: &FileTree, path: &str) -> String {
    let rendered = render(profile, tree).expect("rendered");
    let (_, entry) = rendered.iter().find(|(at, _)| at.as_str() == path).unwrap_or_else(|| panic!("no {path}"));
    String::from_utf8(entry.inline().expect("a file").to_vec()).expect("text")
}

fn rejection(profile: &Profile) -> String {
    render(profile, &debian_tree()).expect_err("it must be rejected").to_string()
}

const FLAGS: &str = "var/lib/kubelet/kubeadm-flags.env";
const CONFIG: &str = "var/lib/kubelet/config.yaml";

/// Formats all rendered entries: a line for each entry, followed by the text of files.
fn dump(rendered: &[(TreePath, Entry)]) -> String {
    let mut text = String::new();
    for (path, entry) in rendered {
        let mode = entry.meta.mode;
        match (entry.link_target(), entry.inline()) {
            (Some(target), _) => text.push_str(&format!("=== {path} -> {target}\n")),
            // The contents of a program are too large to print.
            (_, Some(bytes)) if bytes.starts_with(b"\x7fELF") => text.push_str(&format!("=== {path} {mode:04o} ELF\n")),
            (_, Some(bytes)) => text.push_str(&format!("=== {path} {mode:04o}\n{}", String::from_utf8_lossy(bytes))),
            _ => text.push_str(&format!("=== {path}/ {mode:04o}\n")),
        }
    }
    text
}

/// Compares with `testdata/<name>`; if `UPDATE_SNAPSHOTS` is set, writes it instead, for review
/// with git diff.
fn compare(name: &str, rendered: &[(TreePath, Entry)]) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/testdata").join(name);
    let dump = dump(rendered);
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        std::fs::write(&path, &dump).expect("written");
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(dump == expected, "it differs from {}; it is now:\n{dump}", path.display());
}

#[test]
fn a_worker_has_these_files() {
    let render = |minor, series| render(&worker(minor, series), &debian_tree()).expect("rendered");
    compare("worker-1.20-containerd-1.txt", &render(20, ContainerdSeries::V1));
    compare("worker-1.36-containerd-2.txt", &render(36, ContainerdSeries::V2));
}

#[test]
fn docker_engine_serves_kubelet_by_cri_dockerd() {
    let mut profile = worker(36, ContainerdSeries::V2);
    profile.cri = Cri::CriDockerd;
    profile.kubelet.config.insert("containerLogMaxSize".into(), "50Mi".into());
    let error = render(&profile, &debian_tree()).expect_err("there is no dockerd");
    assert!(error.to_string().contains("docker.io"), "{error}");
    let mut tree = debian_tree();
    for program in ["usr/sbin/dockerd", "usr/bin/cri-dockerd"] {
        let entry = Entry::file("", 0o755, Origin::Package("some=1".into()));
        tree.insert(TreePath::new(program).expect("a path"), entry).expect("inserted");
    }
    compare("worker-1.36-cri-dockerd.txt", &render(&profile, &tree).expect("rendered"));
    // kubelet uses the socket of cri-dockerd, and dockerd the log limits of kubelet.
    assert!(
        render_text(&profile, &tree, CONFIG).contains("containerRuntimeEndpoint: \"unix:///run/cri-dockerd.sock\"")
    );
    assert!(render_text(&profile, &tree, "etc/docker/daemon.json").contains("\"max-size\": \"50m\""));
}

#[test]
fn an_ssh_server_has_its_host_keys_in_the_state() {
    let mut tree = debian_tree();
    let profile = worker(36, ContainerdSeries::V2);
    let about_ssh = |(path, _): &(TreePath, Entry)| path.as_str().contains("ssh");
    assert!(!render(&profile, &tree).expect("rendered").iter().any(about_ssh));
    let sshd = Entry::file("", 0o755, Origin::Package("openssh-server=1".into()));
    tree.insert(TreePath::new("usr/sbin/sshd").expect("a path"), sshd).expect("inserted");
    let unit = render_text(&profile, &tree, "usr/lib/systemd/system/kiln-ssh-host-keys.service");
    let config = render_text(&profile, &tree, "etc/ssh/sshd_config.d/10-kiln.conf");
    let keys = config
        .lines()
        .filter_map(|line| line.strip_prefix("HostKey /var/lib/kiln/ssh/ssh_host_")?.strip_suffix("_key"));
    let keys: Vec<&str> = keys.collect();
    assert_eq!(keys.len(), config.lines().count());
    assert!(unit.contains(&format!("for kind in {};", keys.join(" "))), "{unit}");
    for by in ["ssh.service", "ssh.socket"] {
        let wants = format!("usr/lib/systemd/system/{by}.wants/kiln-ssh-host-keys.service");
        assert!(render(&profile, &tree).expect("rendered").iter().any(|(path, _)| path.as_str() == wants), "{wants}");
    }
}

#[test]
fn paths_are_sorted_and_unique() {
    let rendered = render(&worker(36, ContainerdSeries::V2), &debian_tree()).expect("rendered");
    assert!(rendered.windows(2).all(|pair| pair[0].0 < pair[1].0));
}

#[test]
fn flags_and_fields_move_with_the_release() {
    let tree = debian_tree();
    let flags = |minor| render_text(&worker(minor, ContainerdSeries::V1), &tree, FLAGS);
    assert_eq!(
        flags(20),
        "KUBELET_KUBEADM_ARGS=\"--container-runtime=remote \
         --container-runtime-endpoint=unix:///run/containerd/containerd.sock \
         --node-labels=node.kubernetes.io/nodetype=app --pod-infra-container-image=registry.k8s.io/pause:3.2 \
         --register-with-taints=dedicated=app:NoSchedule --v=2\"\n"
    );
    assert!(!flags(24).contains("--container-runtime=") && flags(24).contains("--container-runtime-endpoint="));
    assert!(!flags(23).contains("--register-with-taints"));
    assert_eq!(flags(27), "KUBELET_KUBEADM_ARGS=\"--node-labels=node.kubernetes.io/nodetype=app --v=2\"\n");
    assert_eq!(flags(36), flags(27));
}

#[test]
fn a_containerd_without_a_unit_gets_one() {
    let mut tree = debian_tree();
    let unit = "usr/lib/systemd/system/containerd.service";
    let with = render(&worker(36, ContainerdSeries::V2), &tree).expect("rendered");
    assert!(with.iter().all(|(path, _)| path.as_str() != unit));
    tree.remove(unit);
    assert!(render_text(&worker(36, ContainerdSeries::V2), &tree, unit).contains("\nExecStart=/usr/bin/containerd\n"));
}

#[test]
fn mirrors_come_before_the_registry() {
    let mut profile = worker(20, ContainerdSeries::V1);
    profile.containerd.mirrors.insert("docker.io".into(), vec!["https://a".into(), "http://b:5000".into()]);
    assert_eq!(
        render_text(&profile, &debian_tree(), "etc/containerd/certs.d/docker.io/hosts.toml"),
        "server = \"https://registry-1.docker.io\"\n\n[host.\"https://a\"]\ncapabilities = [\"pull\", \"resolve\"]\n\n\
         [host.\"http://b:5000\"]\ncapabilities = [\"pull\", \"resolve\"]\n"
    );
    // For a Harbor project, the API's path is in the URL.
    let harbor = ["https://harbor.example/v2/proxy-cache", "https://c.example/proxy", "https://d.example/v2/"];
    profile.containerd.mirrors.insert("quay.io".into(), harbor.map(Into::into).to_vec());
    assert_eq!(
        render_text(&profile, &debian_tree(), "etc/containerd/certs.d/quay.io/hosts.toml"),
        "server = \"https://quay.io\"\n\n[host.\"https://harbor.example/v2/proxy-cache\"]\n\
         capabilities = [\"pull\", \"resolve\"]\noverride_path = true\n\n\
         [host.\"https://c.example/proxy\"]\ncapabilities = [\"pull\", \"resolve\"]\n\n\
         [host.\"https://d.example/v2/\"]\ncapabilities = [\"pull\", \"resolve\"]\n"
    );
    profile.containerd.mirrors.insert("../../etc".into(), vec![]);
    assert!(rejection(&profile).contains("is not a registry's host name"));
}

#[test]
fn plugins_from_a_tarball_need_no_links() {
    let mut tree = debian_tree();
    tree.remove("usr/lib/cni");
    let profile = worker(36, ContainerdSeries::V2);
    let error = render(&profile, &tree).expect_err("no plugins").to_string();
    assert!(error.starts_with("cni: the plugin bridge is neither in /opt/cni/bin"), "{error}");
    for name in ["bridge", "host-local", "loopback", "portmap"] {
        let path = TreePath::new(&format!("opt/cni/bin/{name}")).expect("a path");
        tree.insert(path, Entry::file("", 0o755, origin("test"))).expect("inserted");
    }
    let rendered = render(&profile, &tree).expect("rendered");
    assert!(rendered.iter().all(|(path, _)| !path.as_str().starts_with("opt/cni/bin/")));
}

#[test]
fn without_a_pod_network_there_is_no_file() {
    let mut profile = worker(20, ContainerdSeries::V1);
    profile.cni = Cni::None;
    let rendered = render(&profile, &debian_tree()).expect("rendered");
    assert!(rendered.iter().all(|(path, _)| !path.as_str().starts_with("etc/cni/net.d/")));
}

/// Nothing is restarted when another program sets the clock.
#[test]
fn a_seeds_time_servers_are_for_timesyncd() {
    let mut tree = debian_tree();
    let profile = worker(36, ContainerdSeries::V2);
    let about_ntp = |(path, _): &&(TreePath, Entry)| path.as_str().contains("kiln-ntp");
    assert_eq!(render(&profile, &tree).expect("rendered").iter().filter(about_ntp).count(), 0);
    let unit = Entry::file("", 0o644, Origin::Package("systemd-timesyncd=1".into()));
    tree.insert(TreePath::new("usr/lib/systemd/system/systemd-timesyncd.service").expect("a path"), unit)
        .expect("inserted");
    assert_eq!(render(&profile, &tree).expect("rendered").iter().filter(about_ntp).count(), 3);
}

#[test]
fn fields_that_a_cluster_shares_are_kubelets() {
    let mut profile = worker(20, ContainerdSeries::V1);
    let fields = render_text(&profile, &debian_tree(), "usr/lib/kiln/kubelet-config-fields.json");
    let fields: serde_json::Value = serde_json::from_str(&fields).expect("JSON");
    for path in fields.as_object().expect("an object").keys() {
        let name = path.trim_start_matches('/').replace('/', ".");
        assert!(kiln_kubernetes::kubelet_config::field(&name).is_some(), "{name}");
    }
    assert_eq!(fields.as_object().map(serde_json::Map::len), Some(7));
    assert_eq!(fields["/authorization/mode"], "Webhook", "what is not set has its default");
    assert_eq!(fields["/serverTLSBootstrap"], false, "or is nothing");
    profile.kubelet_config = KubeletConfigSource::Baked;
    let rendered = render(&profile, &debian_tree()).expect("rendered");
    assert!(!rendered.iter().any(|(path, _)| path.as_str().contains("kubelet-config-fields")));
}

/// The agent then cannot even open a block device.
#[test]
fn the_agent_learns_which_sources_of_seeds_the_image_accepts() {
    let mut profile = worker(20, ContainerdSeries::V1);
    let unit = "usr/lib/systemd/system/kiln-agent.service";
    let sources = "usr/lib/kiln/seed-sources";
    let rendered = render(&profile, &debian_tree()).expect("rendered");
    assert!(!rendered.iter().any(|(path, _)| path.as_str() == sources), "the agent has defaults");
    assert!(render_text(&profile, &debian_tree(), unit).contains("\nDeviceAllow=block-* rw\n"));
    profile.seed.sources = [SeedSource::Credential, SeedSource::Cmdline].into();
    assert_eq!(render_text(&profile, &debian_tree(), sources), "cmdline\ncredential\n");
    assert!(!render_text(&profile, &debian_tree(), unit).contains("DeviceAllow="));
    profile.seed.sources = [SeedSource::ConfigDrive].into();
    assert!(render_text(&profile, &debian_tree(), unit).contains("\nDeviceAllow=block-* rw\n"));
}

/// A range that the profile gives is not assigned by the cluster.
#[test]
fn the_cluster_is_asked_for_a_range_only_if_none_is_given() {
    let unit = |(path, _): &(TreePath, Entry)| {
        path.as_str().contains("kiln-pod-cidr") || path.as_str().contains("kiln/90-bridge")
    };
    let mut profile = worker(20, ContainerdSeries::V1);
    assert_eq!(render(&profile, &debian_tree()).expect("rendered").iter().filter(|entry| unit(entry)).count(), 3);
    profile.cni = Cni::Bridge { name: "cbr0".into(), subnet: "10.9.0.0/24".into(), assigned: false, mtu: None };
    assert!(!render(&profile, &debian_tree()).expect("rendered").iter().any(unit));
    profile.cni = Cni::None;
    assert!(!render(&profile, &debian_tree()).expect("rendered").iter().any(unit));
}

#[test]
fn a_file_of_the_profile_replaces_another_only_on_request() {
    let mut profile = worker(20, ContainerdSeries::V1);
    let path = || TreePath::new(CONFIG).expect("a path");
    let file = |replace| InlineFile { content: "x".into(), mode: 0o600, uid: 1, gid: 2, replace };
    profile.files.insert(path(), file(false));
    let error = rejection(&profile);
    assert!(error.contains("/var/lib/kubelet/config.yaml already exists, from rendered kubelet"), "{error}");
    profile.files.insert(path(), file(true));
    assert_eq!(render_text(&profile, &debian_tree(), CONFIG), "x");
}

#[test]
fn invalid_settings_are_rejected() {
    let base = || worker(20, ContainerdSeries::V1);
    let mut tree = debian_tree();
    tree.remove("usr/bin/kubelet");
    let error = render(&base(), &tree).expect_err("no kubelet").to_string();
    assert!(error.starts_with("there is no kubelet in /usr/bin"), "{error}");

    let mut profile = base();
    profile.kernel.sysctls.insert("a.b".into(), "1\nc.d = 2".into());
    assert!(rejection(&profile).contains("is not one line"));

    let mut profile = base();
    profile.kernel.modules_load.insert("a b".into());
    assert!(rejection(&profile).contains("is not one word"));

    for (name, value, part) in [
        ("node-labels", "a=b c", "no blanks"),
        ("x", "$HOME", "dollars"),
        ("x", "a\"", "quotes"),
        ("--v", "2", "without the leading --"),
    ] {
        let mut profile = base();
        profile.kubelet.args.insert(name.into(), value.into());
        assert!(rejection(&profile).contains(part), "{}", rejection(&profile));
    }
}

#[test]
fn the_initramfs_lists_extended_attributes() {
    let (own, foreign) =
        if cfg!(target_arch = "x86_64") { (Arch::Amd64, Arch::Arm64) } else { (Arch::Arm64, Arch::Amd64) };
    let mut tree = debian_tree();
    if let Some(entry) = tree.get_mut("usr/sbin/runc") {
        entry.meta.xattrs.insert("security.capability".into(), vec![1, 0, 0, 2]);
    }
    let entries = initramfs_entries(own, &tree).expect("entries");
    let listed = entries.iter().find(|(path, _)| path.as_str() == "usr/lib/kiln/xattrs").and_then(|(_, e)| e.inline());
    assert_eq!(listed, Some(&b"usr/sbin/runc\tsecurity.capability\t01000002\n"[..]));
    assert_eq!(initramfs_entries(own, &debian_tree()).expect("entries").len(), 3);
    let error = initramfs_entries(foreign, &tree).expect_err("another architecture").to_string();
    assert!(
        error.contains(&format!("this kiln contains kiln-init for {}, not for {}:", own.as_str(), foreign.as_str())),
        "{error}"
    );
}
