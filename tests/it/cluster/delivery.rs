//! The agent reads the output of `kiln seed`, and the cluster accepts its tokens.

use crate::cluster::agent::Machine;
use crate::cluster::control_plane::{ControlPlane, TOKEN};
use crate::cluster::joins::seed;
use crate::cluster::sources::run;
use std::fs;
use std::path::Path;
use std::process::Command;

pub(super) fn kiln(directory: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kiln"));
    let output = command.current_dir(directory).args(arguments).output().expect("kiln");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Boots a machine without a credential whose block device is `device`; returns the lines of the
/// agent.
fn boots_from(device: &Path) -> Vec<String> {
    let machine = Machine::new("");
    fs::remove_dir_all(machine.credentials()).expect("removed");
    fs::create_dir_all(machine.at("/sys/class/block/sr0")).expect("a directory");
    fs::create_dir_all(machine.at("/dev")).expect("a directory");
    fs::copy(device, machine.at("/dev/sr0")).expect("copied");
    let said = machine.join();
    assert!(machine.is_joined());
    said
}

#[test]
fn volumes_with_a_fresh_token() {
    let plane = ControlPlane::shared();
    let directory = tempfile::tempdir().expect("a directory");
    let at = |name: &str| directory.path().join(name);
    for kind in ["iso", "vfat"] {
        let text = seed(plane, &format!("delivered-{kind}"), TOKEN, "").replace(&format!("token: {TOKEN}\n"), "");
        fs::write(at("seed.yaml"), text).expect("written");
        kiln(directory.path(), &["seed", "seed.yaml", "--fresh-token", "secret.yaml", &format!("--{kind}"), kind]);
        plane.kubectl(&["apply", "-f", &at("secret.yaml").display().to_string()]);
        let said = boots_from(&at(kind));
        assert!(said[0].contains("NoCloud volume /dev/sr0"), "{said:#?}");
        assert_eq!(crate::cluster::agent::mode(&at(kind)), 0o600);
    }
    // Other tools can read them.
    run("fsck.vfat", "dosfstools", &["-n", &at("vfat").display().to_string()]);
    for name in ["iso", "vfat"] {
        let tested = Command::new("7z").arg("t").arg(at(name)).output().expect("install the Debian package p7zip-full");
        assert!(tested.status.success(), "{name}: {}", String::from_utf8_lossy(&tested.stdout));
    }
    run(
        "bsdtar",
        "libarchive-tools",
        &["-C", &directory.path().display().to_string(), "-xf", &at("iso").display().to_string()],
    );
    assert!(fs::read_to_string(at("user-data")).expect("the seed").contains("delivered-iso"));
}

#[test]
fn arguments_and_checks() {
    let plane = ControlPlane::shared();
    let directory = tempfile::tempdir().expect("a directory");
    let text = seed(plane, "argued", TOKEN, "");
    fs::write(directory.path().join("seed.yaml"), &text).expect("written");
    assert_eq!(kiln(directory.path(), &["seed", "--check", "seed.yaml"]), "seed.yaml is a valid seed for argued\n");
    let deliver = ["seed", "seed.yaml", "--qemu", "a,b", "--smbios", "table", "--url", "http://boot.example/argued"];
    let said = kiln(directory.path(), &deliver);
    let sha256 = &crate::cluster::control_plane::openssl(&["dgst", "-sha256", "-r"], text.as_bytes())[..64];
    // The token is in files that only their owner can read, and on no command line.
    let place = fs::canonicalize(directory.path()).expect("a directory").display().to_string();
    assert_eq!(
        said.replace(&directory.path().display().to_string(), &place),
        format!(
            "-fw_cfg name=opt/io.systemd.credentials/kiln.seed,file={place}/a,,b\n-smbios type=11,path={place}/table\n\
             kiln.seed=http://boot.example/argued kiln.seed_sha256={sha256}\n"
        )
    );
    let (seed, table) = (directory.path().join("a,b"), directory.path().join("table"));
    assert_eq!(fs::read_to_string(&seed).expect("the seed"), text);
    let table_text = fs::read_to_string(&table).expect("a table");
    assert!(table_text.starts_with("io.systemd.credential.binary:kiln.seed="), "{table_text}");
    assert_eq!([seed, table].map(|file| crate::cluster::agent::mode(&file)), [0o600; 2]);
    for (fields, complaint) in [
        ("nodename: x", "nodename: is not a field of a seed"),
        (
            "files: {/usr/bin/kubelet: {content: x}}",
            "files[\"/usr/bin/kubelet\"]: a seed can write only below /etc, /opt, /run, /srv, /var",
        ),
        (
            "files: {/etc/kubernetes/pki/ca.crt: {content: x}}",
            "files[\"/etc/kubernetes/pki/ca.crt\"]: a seed cannot write /etc/kubernetes/pki/ca.crt: the agent writes it",
        ),
        (
            "files: {/etc/x: {content: x, mode: \"4755\"}}",
            "files[\"/etc/x\"].mode: a seed cannot set the set-user-ID, set-group-ID or sticky bit; at most \"0777\"",
        ),
        (
            "files: {/etc/foo: {content: x}, /etc/foo/bar: {content: x}}",
            "files[\"/etc/foo/bar\"]: cannot exist beside /etc/foo, which is a file and no directory",
        ),
    ] {
        fs::write(directory.path().join("bad.yaml"), format!("kind: NodeSeed\n{fields}\n")).expect("written");
        let bad = Command::new(env!("CARGO_BIN_EXE_kiln"))
            .current_dir(directory.path())
            .args(["seed", "--check", "bad.yaml"])
            .output()
            .expect("kiln");
        assert_eq!(String::from_utf8(bad.stderr).expect("text"), format!("kiln: bad.yaml: {complaint}\n"));
        assert_eq!(bad.status.code(), Some(1), "{complaint}");
    }
}

#[test]
fn the_agent_is_the_one_in_images() {
    let directory = tempfile::tempdir().expect("a directory");
    kiln(directory.path(), &["agent", "--extract", "kiln-agent"]);
    let agent = directory.path().join("kiln-agent");
    assert_eq!(fs::read(&agent).expect("the agent"), kiln_programs::AGENT);
    assert_eq!(crate::cluster::agent::mode(&agent), 0o755);
    let size = fs::metadata(&agent).expect("the agent").len();
    assert!(size <= 2_500_000, "the agent has {size} bytes");
    // It does not contain the build directory, so that it is the same on every machine.
    let bytes = fs::read(&agent).expect("the agent");
    let home = std::env::var("HOME").expect("HOME is set");
    for place in [env!("CARGO_MANIFEST_DIR"), env!("CARGO_TARGET_TMPDIR"), &format!("{home}/.cargo")] {
        assert!(!bytes.windows(place.len()).any(|window| window == place.as_bytes()), "it contains {place}");
    }
}
