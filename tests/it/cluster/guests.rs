//! Nodes as virtual machines: the shipped worker, from the network or from a disk, with its own
//! seed.

use crate::cluster::channels::{Channel, Delivery, deliver};
use crate::cluster::control_plane::{ControlPlane, openssl};
use crate::cluster::joins::seed;
use crate::cluster::sources::run;
use crate::cluster::{state_disk, worker};
use crate::common::guest::Timed;
use kiln::boot::{Accelerator, Disk, DiskImage, Guest, Handout, Image, Machine, PxeSet, kvm_works};
use serde_json::Value;
use std::fs;
use std::io::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::thread;
use std::time::Duration;
use tempfile::TempDir;

/// The time limit from power-on to Ready: a minute and a half on four idle cores without KVM, ten
/// times that on busy ones.
const LIMIT: Duration = Duration::from_secs(1200);
/// Room on the disk in bytes; a node writes little.
const STATE: u64 = 2 << 30;
/// The group in kubeadm's RBAC rules.
const GROUP: &str = "system:bootstrappers:kubeadm:default-node-token";

/// Waits until kubelet is running.
const WAIT: &str = "until systemctl --quiet is-active kubelet.service; do sleep 0.5; done\n";

/// Reports what the agent did, and waits for a command from the host before it powers off.
const SCRIPT: &str = r#"
read -r seconds _ </proc/uptime; echo "kubelet $seconds"
journalctl -b -u kiln-agent -o short-monotonic --no-pager
echo "hostname $(cat /proc/sys/kernel/hostname)"
echo "boot $(cat /proc/sys/kernel/random/boot_id)"
conflist=/etc/cni/net.d/90-bridge.conflist
[ ! -f $conflist ] || while read -r line; do [[ $line != *subnet* ]] || echo "conflist $line"; done <$conflist
echo "ntp $(timedatectl show-timesync -p SystemNTPServers --value)"
echo "failed $(systemctl list-units --failed --plain --no-legend)"
while read -r line; do
  echo "certificate $line"
  [ "$line" != '-----END CERTIFICATE-----' ] || break
done </var/lib/kubelet/pki/kubelet-client-current.pem
echo end
read -r _ </dev/tcp/10.0.2.2/PORT
systemctl poweroff
"#;

/// Searches for the token in all files that a node without disks could have written, one planted
/// file among them. An image has no grep.
const SEARCH: &str = r#"
shopt -s globstar dotglob nullglob
secret='HALF''OTHER'
echo "$secret" >/run/kiln/planted
for file in /etc/{cni,kubernetes}/** /run/{kiln,log}/** /tmp/** /var/lib/{kiln,kubelet,systemd}/** /var/log/**; do
  [ ! -f "$file" ] || [[ $(tr -d '\0' <"$file") != *$secret* ]] || echo "secret $file"
done
"#;

/// What a machine boots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// From the network, all of it in memory.
    Diskless,
    /// From the network, with its state on a disk.
    StateDisk,
    /// From its disk.
    Disk,
}

/// The worker for the network and for disks, and the accelerator of this host.
fn images() -> &'static (PxeSet, DiskImage, Accelerator) {
    static IMAGES: OnceLock<(PxeSet, DiskImage, Accelerator)> = OnceLock::new();
    IMAGES.get_or_init(|| {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("nodes");
        fs::remove_dir_all(&directory).ok();
        fs::create_dir_all(&directory).expect("a directory");
        let out = worker::build(&directory, "worker", "trixie", "pxe,disk");
        let set = PxeSet::open(&out).expect("a PXE set");
        let accelerator = if kvm_works(&set).expect("QEMU") { Accelerator::Kvm } else { Accelerator::Tcg };
        (set, DiskImage::open(&out).expect("a disk"), accelerator)
    })
}

enum Boots {
    Pxe(PxeSet),
    Disk(Disk),
}

/// A machine that will become a Node.
pub(super) struct Node {
    pub name: String,
    secret: String,
    boots: Boots,
    machine: Machine,
    handout: Handout,
    /// The disk that it writes to.
    disk: Option<PathBuf>,
    /// The volume with its seed.
    pub volume: Option<PathBuf>,
    /// The command to power off.
    power: TcpListener,
    directory: TempDir,
}

/// A booted node whose kubelet is running.
pub(super) struct Booted<'a> {
    node: &'a Node,
    guest: Guest,
    lines: Vec<String>,
    _timed: Timed,
}

impl Node {
    /// Makes a machine of this kind, with a token that the cluster knows, and a delivered seed.
    pub(super) fn new(plane: &ControlPlane, kind: Kind, channel: Channel) -> Self {
        let name = format!("{kind:?}-{channel:?}").to_lowercase();
        let directory = tempfile::tempdir().expect("a directory");
        // Unlike the tokens of other tests, this one does not resemble anything in programs.
        let digest = openssl(&["dgst", "-sha256", "-r"], name.as_bytes());
        let secret = digest[6..22].to_owned();
        let token = format!("{}.{secret}", &digest[..6]);
        plane.token(&token, GROUP, None);
        // A node with a disk gets it from the cluster.
        let pod_cidr = if kind == Kind::Disk { "" } else { ", podCIDR: 10.77.0.0/24" };
        let fields = format!(
            "kubelet: {{labels: {{example.org/pool: blue}}, taints: [{{key: example.org/new, value: \"yes\", effect: NoSchedule}}], \
             providerID: \"test://{name}\"{pod_cidr}}}\nntpServers: [10.0.2.77]\n"
        );
        // In the guest, 10.0.2.2 is the host's loopback; the API server's certificate contains it.
        let text = seed(plane, &name, &token, &fields).replace("127.0.0.1", "10.0.2.2");
        let Delivery { arguments, cmdline, volume } = deliver(channel, &text, directory.path());
        let (set, image, accelerator) = images();
        let mut machine = Machine { more: arguments, ..Machine::new(*accelerator) };
        let (boots, disk) = match kind {
            Kind::Disk => {
                let path = directory.path().join("disk.qcow2");
                let disk = Disk::create(image, &path, image.size + STATE).expect("a disk");
                if let Some(words) = cmdline {
                    // The boot loader contains the command line, and gets more parameters from the
                    // firmware.
                    let words = format!("type=11,value=io.systemd.stub.kernel-cmdline-extra={words}");
                    machine.more.extend(["-smbios".into(), words.into()]);
                }
                (Boots::Disk(disk), Some(path))
            }
            Kind::StateDisk | Kind::Diskless => {
                let mut set = set.clone();
                set.cmdline.extend(cmdline.into_iter().flat_map(|words| [" ".into(), words]));
                let path = (kind == Kind::StateDisk).then(|| directory.path().join("state.raw"));
                if let Some(path) = &path {
                    state_disk::make(path, run);
                    set.cmdline.extend([" ", state_disk::NAMED]);
                    machine.disk = Some(path.clone());
                }
                (Boots::Pxe(set), path)
            }
        };
        let power = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = power.local_addr().expect("an address").port().to_string();
        let (half, other) = secret.split_at(8);
        let search = if kind == Kind::Diskless { SEARCH } else { "" };
        let script =
            format!("{WAIT}{search}{SCRIPT}").replace("HALF", half).replace("OTHER", other).replace("PORT", &port);
        let handout = Handout::none().script(script);
        Self { name, secret, boots, machine, handout, disk, volume, power, directory }
    }

    /// Powers on; returns when kubelet is running.
    pub(super) fn boot(&self) -> Booted<'_> {
        let image: Image<'_> = match &self.boots {
            Boots::Pxe(set) => set.into(),
            Boots::Disk(disk) => disk.into(),
        };
        let timed = Timed::start();
        let mut guest = Guest::start(&self.machine, image, &self.handout).expect("QEMU");
        let lines = guest.lines_until("end", LIMIT).unwrap_or_else(|error| panic!("{error}\n{}", guest.console()));
        println!("{}:\n  {}", self.name, lines.join("\n  "));
        Booted { node: self, guest, lines, _timed: timed }
    }

    /// Searches all bytes of its disk and of the volume with its seed; returns those that contain
    /// the token.
    pub(super) fn disks_with_the_token(&self) -> Vec<&Path> {
        let raw = self.directory.path().join("searched.raw");
        let disk = self.disk.as_deref().expect("a disk");
        if matches!(self.boots, Boots::Disk(_)) {
            let files = [disk, &raw].map(|path| path.display().to_string());
            run("qemu-img", "qemu-utils", &["convert", "-f", "qcow2", "-O", "raw", &files[0], &files[1]]);
        } else {
            fs::rename(disk, &raw).expect("renamed");
        }
        assert!(holds(&raw, "example.org/pool=blue"), "the search does not even find kubelet's flags");
        let disk = holds(&raw, &self.secret).then_some(disk);
        fs::remove_file(raw).expect("removed");
        let volume = self.volume.as_deref().filter(|volume| holds(volume, &self.secret));
        disk.into_iter().chain(volume).collect()
    }
}

/// Whether a file of any size contains `text`.
fn holds(file: &Path, text: &str) -> bool {
    // Lines that end with NUL, because most bytes of a disk are NUL.
    let output =
        Command::new("grep").args(["--null-data", "--text", "--quiet", "--fixed-strings", text]).arg(file).status();
    match output.expect("install the Debian package grep").code() {
        Some(0) => true,
        Some(1) => false,
        code => panic!("grep: {code:?}"),
    }
}

impl Booted<'_> {
    /// The values that it reported for `key`.
    pub(super) fn all(&self, key: &str) -> Vec<&str> {
        self.lines.iter().filter_map(|line| line.strip_prefix(key)).map(str::trim).collect()
    }

    /// Whether the agent printed `text`.
    pub(super) fn agent_said(&self, text: &str) -> bool {
        self.lines.iter().any(|line| line.contains("kiln-agent: ") && line.contains(text))
    }

    /// Waits until the Node is Ready since this boot; returns it.
    pub(super) fn wait_until_ready(&self, plane: &ControlPlane) -> Value {
        let boot = self.all("boot ");
        loop {
            let text = plane.kubectl(&["get", "node", &self.node.name, "--ignore-not-found", "-o", "json"]);
            let node: Value = serde_json::from_str(&text).unwrap_or_default();
            let conditions = node["status"]["conditions"].as_array().map(Vec::as_slice).unwrap_or_default();
            let ready =
                conditions.iter().any(|condition| condition["type"] == "Ready" && condition["status"] == "True");
            if ready && [node["status"]["nodeInfo"]["bootID"].as_str().unwrap_or_default()] == boot[..] {
                println!("{}: Ready {:.1} s after power-on", self.node.name, self.guest.uptime().as_secs_f64());
                return node;
            }
            assert!(self.guest.uptime() < LIMIT, "{} is not Ready: {text}\n{}", self.node.name, self.guest.console());
            thread::sleep(Duration::from_millis(500));
        }
    }

    /// Shuts down, so that its disks contain everything it has written.
    pub(super) fn power_off(mut self) {
        let (mut listening, _) = self.node.power.accept().expect("the script asks");
        listening.write_all(b"\n").expect("written");
        self.guest
            .wait(self.guest.uptime() + LIMIT)
            .unwrap_or_else(|error| panic!("{error}\n{}", self.guest.console()));
    }
}
