//! Seeds from other sources than a credential: volumes made by other tools, and the kernel command
//! line.

use crate::cluster::agent::Machine;
use crate::cluster::control_plane::{ControlPlane, TOKEN, openssl};
use crate::cluster::joins::seed;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::thread;

pub(super) fn run(program: &str, package: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}: install the Debian package {package}"));
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A machine with a block device, which `make` fills from a directory that contains the seed of
/// `node` at `path`.
pub(super) fn with_volume(node: &str, path: &str, make: impl FnOnce(&Path, &str)) -> Machine {
    let machine = Machine::new("");
    fs::remove_dir_all(machine.credentials()).expect("removed");
    let content = machine.root().join("content");
    let file = content.join(path);
    fs::create_dir_all(file.parent().expect("a directory")).expect("a directory");
    fs::write(file, seed(ControlPlane::shared(), node, TOKEN, "")).expect("written");
    for name in ["vda", "vdb"] {
        fs::create_dir_all(machine.at(&format!("/sys/class/block/{name}"))).expect("a directory");
    }
    fs::create_dir_all(machine.at("/dev")).expect("a directory");
    fs::write(machine.at("/dev/vda"), [0; 4096]).expect("an empty disk");
    make(&content, &machine.at("/dev/vdb").display().to_string());
    fs::remove_dir_all(content).expect("removed");
    machine
}

/// Puts the volume `bytes` at the device `name`.
fn attach(machine: &Machine, name: &str, bytes: &[u8]) {
    fs::create_dir_all(machine.at(&format!("/sys/class/block/{name}"))).expect("a directory");
    fs::write(machine.at(&format!("/dev/{name}")), bytes).expect("written");
}

/// A NoCloud volume with `text` as its user data.
fn nocloud(text: &str) -> Vec<u8> {
    let directory = tempfile::tempdir().expect("a directory");
    let (content, volume) = (directory.path().join("content"), directory.path().join("volume"));
    fs::create_dir(&content).expect("a directory");
    fs::write(content.join("user-data"), text).expect("written");
    mkfs("12", "1024", "CIDATA", &content, &volume.display().to_string());
    fs::read(volume).expect("a volume")
}

/// The volume without its contents: an image that was cut off.
fn cut(volume: &[u8], content: &str) -> Vec<u8> {
    let at = volume.windows(content.len()).position(|window| window == content.as_bytes()).expect("the content");
    volume[..at].to_vec()
}

fn joins_from(machine: &Machine, source: &str) {
    let said = machine.join();
    assert!(said[0].contains(source), "{said:#?}");
    assert!(machine.is_joined());
    assert!(!has_token(machine), "the volume still has the token");
}

fn has_token(machine: &Machine) -> bool {
    let volume = fs::read(machine.at("/dev/vdb")).expect("a volume");
    volume.windows(TOKEN.len()).any(|window| window == TOKEN.as_bytes())
}

pub(super) fn mkfs(bits: &str, kib: &str, label: &str, content: &Path, device: &str) {
    run("mkfs.vfat", "dosfstools", &["-F", bits, "-n", label, "-C", device, kib]);
    let inside =
        fs::read_dir(content).expect("a directory").map(|entry| entry.expect("an entry").path().display().to_string());
    for path in inside {
        run("mcopy", "mtools", &["-s", "-i", device, &path, "::"]);
    }
}

#[test]
fn nocloud_on_every_fat() {
    for (bits, kib) in [("12", "1024"), ("16", "20480"), ("32", "102400")] {
        let node = format!("fat{bits}");
        let machine = with_volume(&node, "user-data", |content, device| mkfs(bits, kib, "CIDATA", content, device));
        joins_from(&machine, "NoCloud volume /dev/vdb");
    }
}

#[test]
fn nocloud_on_iso9660() {
    for (node, extensions) in [("joliet", "!rockridge,joliet"), ("rockridge", "rockridge,!joliet")] {
        let machine = with_volume(node, "user-data", |content, device| {
            let options = format!("iso9660:volume-id=cidata,{extensions}")
                .replace(",!", ",iso9660:!")
                .replace(",joliet", ",iso9660:joliet")
                .replace(",rockridge", ",iso9660:rockridge");
            run(
                "bsdtar",
                "libarchive-tools",
                &[
                    "--format",
                    "iso9660",
                    "--options",
                    &options,
                    "-C",
                    &content.display().to_string(),
                    "-cf",
                    device,
                    ".",
                ],
            );
        });
        joins_from(&machine, "NoCloud volume /dev/vdb");
    }
}

/// The token is removed, also after a power cut just before that; the rest of the volume is
/// unchanged, and its placeholder requires another token.
#[test]
fn the_token_is_removed_from_a_volume() {
    let machine = with_volume("left", "user-data", |content, device| mkfs("16", "20480", "CIDATA", content, device));
    let device = machine.at("/dev/vdb");
    let before = fs::read(&device).expect("a volume");
    let said = machine.join();
    assert!(said.iter().any(|line| line.contains("the token on /dev/vdb is overwritten")), "{said:#?}");
    let after = fs::read(&device).expect("a volume");
    let changed = before.iter().zip(&after).filter(|(before, after)| before != after).count();
    assert!(before.len() == after.len() && changed <= TOKEN.len(), "{changed} bytes changed");
    run("fsck.vfat", "dosfstools", &["-n", &device.display().to_string()]);

    fs::write(&device, &before).expect("written");
    machine.join();
    assert!(has_token(&machine), "nothing is to be done on a node");
    fs::remove_file(machine.at("/etc/kubernetes/kubelet.conf")).expect("removed");
    let said = machine.join();
    assert!(said.iter().any(|line| line.contains("the client certificate is valid")), "{said:#?}");
    assert_eq!(fs::read(&device).expect("a volume"), after);

    for path in ["/etc", "/var"] {
        fs::remove_dir_all(machine.at(path)).expect("removed");
    }
    let mut agent = machine.boot();
    agent.wait_for("the seed has no token");
    assert_eq!(machine.status("state"), "needs-token");
}

#[test]
fn an_openstack_config_drive() {
    let path = "openstack/latest/user_data";
    let machine = with_volume("openstack", path, |content, device| mkfs("16", "20480", "config-2", content, device));
    joins_from(&machine, "OpenStack config drive /dev/vdb");
}

/// Serves `body` to every request.
pub(super) fn serve(body: String) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let _ = stream.read(&mut [0; 4096]);
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
            stream.write_all(format!("{head}{body}").as_bytes()).ok();
        }
    });
    port
}

#[test]
fn an_address_on_the_command_line() {
    let plane = ControlPlane::shared();
    let text = seed(plane, "by-url", TOKEN, "");
    let sha256 = openssl(&["dgst", "-sha256", "-r"], text.as_bytes())[..64].to_owned();
    let port = serve(text);
    let machine = Machine::new("");
    fs::remove_dir_all(machine.credentials()).expect("removed");
    let boot = |cmdline: String| {
        fs::create_dir_all(machine.at("/proc")).expect("a directory");
        fs::write(machine.at("/proc/cmdline"), cmdline).expect("written");
        machine.boot()
    };
    boot(format!("quiet kiln.seed=http://127.0.0.1:{port}/seed\n")).wait_for("the document must be pinned");
    let wrong = "0".repeat(64);
    boot(format!("kiln.seed=http://127.0.0.1:{port}/seed kiln.seed_sha256={wrong}\n"))
        .wait_for("not the one of kiln.seed_sha256");
    assert!(!machine.is_joined());
    let (code, said) = boot(format!("kiln.seed=http://127.0.0.1:{port}/seed kiln.seed_sha256={sha256}\n")).end();
    assert_eq!(code, Some(0), "{said:#?}");
}

#[test]
fn no_seed_at_all() {
    let machine = Machine::new("");
    fs::remove_dir_all(machine.credentials()).expect("removed");
    let said = machine.join();
    assert!(said.iter().any(|line| line.contains("there is no seed")), "{said:#?}");
    assert_eq!(machine.status("state"), "no-seed");
    assert!(!machine.is_joined());
}

#[test]
fn an_invalid_seed() {
    let machine = Machine::new("kind: NodeSeed\nnodename: x\n");
    let (code, said) = machine.boot().end();
    assert_eq!(code, Some(3), "{said:#?}");
    assert_eq!(
        machine.status("error"),
        "the seed from systemd credential kiln.seed: nodename: is not a field of a seed"
    );
}

/// Volumes of others with the same label, before and behind the real one.
#[test]
fn decoys_beside_the_volume() {
    let machine = with_volume("decoyed", "user-data", |content, device| mkfs("16", "20480", "CIDATA", content, device));
    let script = "#!/bin/sh\n";
    attach(&machine, "sda", &cut(&nocloud(script), script));
    attach(&machine, "sdb", &nocloud("#cloud-config\nhostname: x\n"));
    attach(&machine, "sdc", &nocloud("kind: NodeSeed\nfiles: {/usr/bin/kubelet: {content: x}}\n"));
    attach(&machine, "vdc", &nocloud(""));
    joins_from(&machine, "NoCloud volume /dev/vdb");
}

/// It could belong to somebody else, so it keeps no other source from being asked.
#[test]
fn a_damaged_volume_before_the_config_drive() {
    let path = "openstack/latest/user_data";
    let machine = with_volume("undamaged", path, |content, device| mkfs("16", "20480", "config-2", content, device));
    let text = "kind: NodeSeed\n";
    attach(&machine, "vda", &cut(&nocloud(text), text));
    let said = machine.join();
    assert!(said[0].contains("OpenStack config drive /dev/vdb"), "{said:#?}");
    assert!(said[1].contains("passed over: NoCloud volume: reading /dev/vda"), "{said:#?}");
    fs::remove_file(machine.at("/dev/vdb")).expect("removed");
    for path in ["/etc", "/var"] {
        fs::remove_dir_all(machine.at(path)).expect("removed");
    }
    machine.boot().wait_for("NoCloud volume: reading /dev/vda");
    assert_eq!(machine.status("state"), "waiting");
}

#[test]
fn of_two_different_seeds_none_is_taken() {
    let machine = with_volume("doubled", "user-data", |content, device| mkfs("16", "20480", "CIDATA", content, device));
    let foreign = nocloud(&seed(ControlPlane::shared(), "foreign", TOKEN, ""));
    attach(&machine, "vda", &foreign);
    let mut agent = machine.boot();
    agent.wait_for("NoCloud volume: /dev/vda and /dev/vdb have different contents");
    assert_eq!(machine.status("state"), "waiting");
    assert!(!machine.is_joined() && agent.runs());
    assert!(has_token(&machine), "nothing is overwritten");
    // The owner detaches the other one.
    fs::remove_file(machine.at("/dev/vda")).expect("removed");
    let (code, said) = agent.end();
    assert_eq!(code, Some(0), "{said:#?}");
    assert_eq!(machine.read("/etc/hostname"), "doubled\n");
}

/// A volume does not beat the seed that the command line names, and is left alone.
#[test]
fn a_volume_beside_a_pinned_seed() {
    let machine = with_volume("tenant", "user-data", |content, device| mkfs("16", "20480", "CIDATA", content, device));
    let before = fs::read(machine.at("/dev/vdb")).expect("a volume");
    let text = seed(ControlPlane::shared(), "pinned", TOKEN, "");
    let sha256 = openssl(&["dgst", "-sha256", "-r"], text.as_bytes())[..64].to_owned();
    let words = format!("kiln.seed=http://127.0.0.1:{}/seed kiln.seed_sha256={sha256}\n", serve(text));
    fs::create_dir_all(machine.at("/proc")).expect("a directory");
    fs::write(machine.at("/proc/cmdline"), words).expect("written");
    let said = machine.join();
    assert!(said[0].contains("seed for pinned from kernel command line"), "{said:#?}");
    assert_eq!(machine.read("/etc/hostname"), "pinned\n");
    assert_eq!(fs::read(machine.at("/dev/vdb")).expect("a volume"), before);
}

#[test]
fn a_volume_that_the_image_does_not_accept() {
    let machine = with_volume("barred", "user-data", |content, device| mkfs("16", "20480", "CIDATA", content, device));
    fs::create_dir_all(machine.at("/usr/lib/kiln")).expect("a directory");
    let accept = |names: &str| fs::write(machine.at("/usr/lib/kiln/seed-sources"), names).expect("written");
    accept("cmdline\ncredential\n");
    let said = machine.join();
    let asked = "there is no seed (asked: kernel command line, systemd credential kiln.seed)";
    assert!(said.iter().any(|line| line.contains(asked)), "{said:#?}");
    assert!(!machine.is_joined() && has_token(&machine));
    accept("nocloud\n");
    joins_from(&machine, "NoCloud volume /dev/vdb");
}

/// A file that cannot be written ends a join before it has a certificate.
#[test]
fn a_file_in_the_way_of_a_directory() {
    let plane = ControlPlane::shared();
    let machine = Machine::new(&seed(plane, "in-the-way", TOKEN, "files: {/etc/site/x: {content: x}}\n"));
    fs::create_dir_all(machine.at("/etc")).expect("a directory");
    fs::write(machine.at("/etc/site"), "a file of the image").expect("written");
    let (code, said) = machine.boot().end();
    assert_eq!(code, Some(3), "{said:#?}");
    let error = machine.status("error");
    assert!(error.starts_with("a file of the seed: ") && error.ends_with("; change the seed (files)"), "{error}");
    assert!(plane.requests("in-the-way").is_empty());
    assert!(!machine.is_joined() && !machine.at("/var/lib/kubelet/pki").exists());
}

/// A node that joined with an older agent may have a file that no seed may bring now: it stays a
/// node, without the file.
#[test]
fn a_stored_seed_with_a_file_of_the_image() {
    let (user, group) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    let file = |path: &str| format!("files: {{{path}: {{content: x, uid: {user}, gid: {group}}}}}\n");
    let machine = Machine::new(&seed(ControlPlane::shared(), "stored", TOKEN, &file("/etc/motd")));
    machine.join();
    let stored = machine.read("/var/lib/kiln/node.json");
    let older = stored.replace("\"/etc/motd\"", "\"/etc/passwd\"");
    assert_ne!(older, stored);
    fs::write(machine.at("/var/lib/kiln/node.json"), older).expect("written");
    let said = machine.join();
    assert!(said[0].contains("the seed's file is left out: files[\"/etc/passwd\"]: a seed cannot write"), "{said:#?}");
    assert!(said.iter().any(|line| line.contains("the client certificate is valid")), "{said:#?}");
    assert!(machine.is_joined() && !machine.at("/etc/passwd").exists());
}
