//! The only partition that a node writes to, mounted at `/var`.
//!
//! systemd-repart makes it at the first boot, in the space of the disk after the image, according
//! to `/usr/lib/repart.d`. A power loss at any moment is safe: the partition gets its file system
//! before its entry in the partition table, so an existing partition is complete. It is never made
//! a second time.

use crate::console::say;
use crate::disks::Disk;
use crate::ioctl::grow_ext4;
use crate::mounts::{attach, directory};
use crate::search::Search;
use crate::seed;
use kiln_init::STATE_MIN_BYTES;
use kiln_init::choice::{Candidate, Choice, Fitness, Stage, choose};
use kiln_init::ext4;
use kiln_init::gpt::{Guid, Partition, Table};
use kiln_init::state_name::{self, StateName};
use rustix::fs::{Mode, chmod};
use rustix::mount::{MountFlags, mount_bind, mount_move};
use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

/// The name of the partition.
const LABEL: &str = "kiln-state";
/// The mount point of the partition until the image's `/var` is no longer needed.
const STAGING: &str = "/run/kiln-state";
/// The free space after the partition, in bytes, above which it is grown; alignment leaves less
/// than this.
const WORTH_GROWING: u64 = 16 << 20;
const MIB: u64 = 1 << 20;

/// Debian's PATH for root; the kernel starts the first process without one.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin";

/// Directories whose changes survive a boot: the place below `/var` that keeps them, and the
/// directory with the image's files.
const KEPT: [(&str, &str); 2] =
    [("/var/lib/kiln/cni/net.d", "/etc/cni/net.d"), ("/var/lib/kiln/cni/bin", "/opt/cni/bin")];

/// The time limit for a partition in the table to get its device.
const DEVICE_LIMIT: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(20);

/// Makes, grows, checks and mounts the state on the disk that the root is on.
pub(crate) fn on_root_disk(disk: &Disk) -> Result<(), String> {
    let path = disk.path();
    let before = disk.table().map_err(|error| format!("disk {path}: {error}"))?;
    let free = disk.free_behind(&before);
    let existed = find(&before).is_some();
    if !existed && free < STATE_MIN_BYTES {
        return Err(format!(
            "disk {path} has {} MiB behind the image, and the state of the node needs {} MiB at least: enlarge the disk",
            free / MIB,
            STATE_MIN_BYTES / MIB
        ));
    }
    if !existed || free >= WORTH_GROWING {
        run("systemd-repart", &["--dry-run=no", "--seed=random", "--no-pager", "--no-legend", &path], &[0])?;
    }
    let table = disk.table().map_err(|error| format!("disk {path}: {error}"))?;
    let partition = find(&table).ok_or_else(|| format!("systemd-repart made no partition {LABEL} on disk {path}"))?;
    let size = partition.blocks().saturating_mul(table.block_size);
    if !existed {
        say(&format!("made the partition {LABEL} on disk {path}: {} MiB", size / MIB));
    } else if find(&before).is_some_and(|before| before.blocks() < partition.blocks()) {
        say(&format!("grew the partition {LABEL} on disk {path} to {} MiB", size / MIB));
    }
    mount(disk, partition, size)
}

/// Checks and mounts the state of a network-booted node: the partition that `kiln.state=` names.
///
/// A label would not do: whoever attaches a disk to the machine can write one.
pub(crate) fn named(name: &str) -> Result<(), String> {
    let wanted = StateName::parse(name)?;
    let mut search = Search::begin()?;
    loop {
        let (disks, stage) = search.look();
        if wanted == StateName::Unnamed && stage >= Stage::Settled {
            return Err(format!(
                "kiln.state=disk does not name the partition: write {}; {}",
                state_name::FORMS,
                labelled(&disks)
            ));
        }
        let candidates = disks.iter().flat_map(|disk| candidates(disk, &wanted)).collect();
        match choose(candidates, stage) {
            Choice::Take((disk, partition, size), _) => return mount(disk, &partition, size),
            Choice::Unfit(reasons) => return Err(reasons.join("; ")),
            Choice::Several(names) => {
                return Err(format!(
                    "kiln.state={name} names several partitions, on {}: detach all disks but this node's own, or \
                     name the partition by its place",
                    names.join(" and ")
                ));
            }
            Choice::Wait if stage == Stage::Over => {
                return Err(format!("kiln.state={name}: no disk has this partition; {}", labelled(&disks)));
            }
            Choice::Wait => {
                search.wait(|| format!("waiting for the partition kiln.state={name}; {}", labelled(&disks)))
            }
        }
    }
}

/// The partitions of `disk` with the name `wanted`.
fn candidates<'a>(disk: &'a Disk, wanted: &StateName) -> Vec<Candidate<(&'a Disk, Partition, u64)>> {
    let Ok(table) = disk.table() else { return Vec::new() };
    let by_path = disk.by_path();
    let candidate = |partition: Partition| {
        let agreement = wanted.agreement(&partition, &by_path)?;
        let size = partition.blocks().saturating_mul(table.block_size);
        Some(Candidate { name: disk.path(), agreement, fitness: Fitness::Fit((disk, partition, size)) })
    };
    table.partitions.into_iter().filter_map(candidate).collect()
}

/// The partitions that look like a state, and what to write to name them, for messages.
fn labelled(disks: &[Disk]) -> String {
    let describe = |disk: &Disk| {
        let table = disk.table().ok()?;
        let partition = find(&table)?;
        let names = state_name::names(partition, &disk.by_path());
        Some(format!("partition {} of {} ({names})", partition.number, disk.path()))
    };
    let all: Vec<String> = disks.iter().filter_map(describe).collect();
    match &all[..] {
        [] => format!("no partition is called {LABEL}"),
        _ => format!("called {LABEL}: {}", all.join(", ")),
    }
}

fn find(table: &Table) -> Option<&Partition> {
    table.partitions.iter().find(|partition| partition.partition_type == Guid::VARIABLE_DATA && partition.name == LABEL)
}

/// Mounts the partition at `/var`, with the image's contents.
fn mount(disk: &Disk, partition: &Partition, size: u64) -> Result<(), String> {
    let start = Instant::now();
    let device = loop {
        match disk.partition_name(partition) {
            Some(name) => break format!("/dev/{name}"),
            None if start.elapsed() > DEVICE_LIMIT => {
                return Err(format!("partition {} of disk {} has no device", partition.number, disk.path()));
            }
            None => thread::sleep(POLL),
        }
    };
    // 0: clean; 1: repaired; 2: repaired, and a mounted file system would need a restart.
    run("e2fsck", &["-p", &device], &[0, 1, 2])?;
    directory(STAGING)?;
    attach(&device, STAGING, "ext4", MountFlags::NOSUID | MountFlags::NODEV, "")
        .map_err(|error| format!("mounting {device}, the state of this node: {error}"))?;
    grow(&device, size)?;
    chmod(STAGING, Mode::from_raw_mode(0o755)).map_err(|error| format!("{STAGING}: {error}"))?;
    seed::copy("/var", STAGING)?;
    mount_move(STAGING, "/var").map_err(|error| format!("moving {STAGING} to /var: {error}"))?;
    fs::remove_dir(STAGING).map_err(|error| format!("removing {STAGING}: {error}"))?;
    // If the directory exists, the journal is kept; in memory it would only take space.
    directory("/var/log/journal")?;
    directory("/var/lib/kiln")?;
    machine_id()?;
    for (kept, place) in KEPT {
        keep(kept, place)?;
    }
    say(&format!("the state is {device}: {} MiB", size / MIB));
    Ok(())
}

/// Grows the file system to the size of the partition, if the partition was grown now or before the
/// last power loss.
fn grow(device: &str, size: u64) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("growing {device}: {error}");
    let mut superblock = [0; ext4::SUPERBLOCK_SIZE];
    File::open(device).and_then(|file| file.read_exact_at(&mut superblock, ext4::SUPERBLOCK_OFFSET)).map_err(failed)?;
    let ext4::Size { blocks, block_size } =
        ext4::size(&superblock).ok_or_else(|| format!("growing {device}: it has no ext4 superblock"))?;
    let wanted = size / block_size;
    if wanted <= blocks {
        return Ok(());
    }
    let point = File::open(STAGING).map_err(failed)?;
    grow_ext4(&point, wanted).map_err(|error| failed(error.into()))
}

/// Sets the node's identity: the one stored in the state, or a new one, which is stored before it
/// is used.
fn machine_id() -> Result<(), String> {
    const KEPT: &str = "/var/lib/kiln/machine-id";
    let failed = |what: &str, error: &dyn std::fmt::Display| format!("{what}: {error}");
    let valid =
        |id: &str| id.len() == 33 && id.ends_with('\n') && id[..32].bytes().all(|byte| byte.is_ascii_hexdigit());
    let id = match fs::read_to_string(KEPT) {
        Ok(id) if valid(&id) => id,
        _ => {
            let mut bytes = [0; 16];
            rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())
                .map_err(|error| failed("making a machine id", &error))?;
            // The version and variant of a random UUID, see machine-id(5).
            bytes[6] = bytes[6] & 0x0f | 0x40;
            bytes[8] = bytes[8] & 0x3f | 0x80;
            let id = format!("{}\n", kiln_init::verity::hex(&bytes));
            seed::write(KEPT, id.as_bytes(), 0o444).map_err(|error| failed(KEPT, &error))?;
            id
        }
    };
    const PLACE: &str = "/etc/machine-id";
    fs::remove_file(PLACE).ok();
    let mut file = File::create(PLACE).map_err(|error| failed(PLACE, &error))?;
    file.write_all(id.as_bytes())
        .and_then(|()| file.set_permissions(fs::Permissions::from_mode(0o444)))
        .map_err(|error| failed(PLACE, &error))
}

/// Mounts an overlay over `place` whose changes are stored in `kept`.
fn keep(kept: &str, place: &str) -> Result<(), String> {
    let work = format!("{kept}.work");
    for path in [kept, &work] {
        fs::create_dir_all(path).map_err(|error| format!("making {path}: {error}"))?;
    }
    let options = format!("lowerdir={place},upperdir={kept},workdir={work}");
    attach("kiln-state", place, "overlay", MountFlags::NOSUID | MountFlags::NODEV, &options)
        .map_err(|error| format!("mounting an overlay over {place}: {error}"))
}

/// Binds `/etc/kubernetes` to the directory that keeps it: in the state, or in memory like
/// everything else.
pub(crate) fn bind() -> Result<(), String> {
    const KEPT: &str = "/var/lib/kubernetes";
    const PLACE: &str = "/etc/kubernetes";
    directory(KEPT)?;
    seed::copy(PLACE, KEPT)?;
    mount_bind(KEPT, PLACE).map_err(|error| format!("binding {PLACE} to {KEPT}: {error}"))
}

/// Runs a program of the root; on failure, its output is the reason in the error.
fn run(program: &str, arguments: &[&str], good: &[i32]) -> Result<(), String> {
    let mut command = Command::new(program);
    let output =
        command.args(arguments).env("PATH", PATH).output().map_err(|error| format!("running {program}: {error}"))?;
    if output.status.code().is_some_and(|code| good.contains(&code)) {
        return Ok(());
    }
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    let lines: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    Err(format!("{program} {}: {}: {}", arguments.last().unwrap_or(&""), output.status, lines.join("; ")))
}
