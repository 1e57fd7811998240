//! The root on a disk: finds it by its hash, lets the kernel verify every read, and enters it.

use crate::console::say;
use crate::disks::{Disk, device_number, disks};
use crate::drivers::Drivers;
use crate::ioctl::{Target, map_read_only};
use crate::mounts::{attach, directory, move_kernel_file_systems};
use kiln_init::cmdline;
use kiln_init::gpt::{Guid, Table};
use kiln_init::verity::{self, BLOCK_SIZE, Superblock};
use rustix::mount::{MountFlags, mount_move};
use rustix::process::{chdir, chroot};
use std::fs::{self, File};
use std::io::Read as _;
use std::thread;
use std::time::{Duration, Instant};

const SYSROOT: &str = "/sysroot";
/// The device-mapper device; `veritysetup status root` finds it by this name.
const NAME: &str = "root";

/// The interval between searches for devices: short enough not to delay a boot.
const POLL: Duration = Duration::from_millis(20);
/// The time after which the console shows the reason for the wait.
const PATIENCE: Duration = Duration::from_secs(5);
/// The time limit of the wait. Controllers with many disks need more than half a minute.
const LIMIT: Duration = Duration::from_secs(120);

/// The two partitions of a root, with the kernel's names.
struct RootPartitions {
    disk: Disk,
    data: String,
    hashes: String,
}

/// Makes the root with the hash in `cmdline` the root file system of the process; returns its disk.
pub(crate) fn enter(cmdline: &str) -> Result<Disk, String> {
    let hash = cmdline::value(cmdline, "roothash").ok_or("the kernel command line has no roothash=")?;
    let hash = verity::root_hash(hash).ok_or_else(|| format!("roothash={hash} is not 64 hexadecimal digits"))?;
    let expected =
        fs::read(format!("/{}", verity::FILE)).map_err(|error| format!("reading /{}: {error}", verity::FILE))?;
    let superblock = Superblock::parse(&expected).map_err(|error| format!("/{}: {error}", verity::FILE))?;

    let root = find(&hash)?;
    check_superblock(&root.hashes, &expected)?;
    let device = verify(&root, &superblock, &hash)?;
    let kind = cmdline::value(cmdline, "rootfstype").unwrap_or("ext4");
    directory(SYSROOT)?;
    attach(&device, SYSROOT, kind, MountFlags::RDONLY, "")
        .map_err(|error| format!("mounting {device}, the verified root on /dev/{}, as {kind}: {error}", root.data))?;
    say(&format!("the root is {device}: /dev/{} verified with /dev/{}", root.data, root.hashes));
    switch()?;
    Ok(root.disk)
}

/// Loads drivers until a disk has both partitions.
fn find(hash: &[u8; 32]) -> Result<RootPartitions, String> {
    let [data, hashes] = halves(hash);
    let mut drivers = Drivers::read()?;
    drivers.load_always();
    let start = Instant::now();
    let mut told = false;
    loop {
        drivers.load_for_devices();
        for disk in disks() {
            if let Ok(table) = disk.table()
                && let Some(root) = on_disk(&disk, &table, data, hashes)?
            {
                return Ok(root);
            }
        }
        if start.elapsed() > LIMIT {
            return Err(format!("no disk has the root, partition {data}; {}", inventory()));
        }
        if start.elapsed() > PATIENCE && !told {
            say(&format!("waiting for a disk with the root, partition {data}; {}", inventory()));
            told = true;
        }
        thread::sleep(POLL);
    }
}

/// The unique GUIDs of the root partition and of its hash partition (Discoverable Partitions
/// Specification).
fn halves(hash: &[u8; 32]) -> [Guid; 2] {
    let (halves, _) = hash.as_chunks::<16>();
    [Guid::from_text_order(halves[0]), Guid::from_text_order(halves[1])]
}

/// The root on `disk`; `None` until the kernel has both partitions.
fn on_disk(disk: &Disk, table: &Table, data: Guid, hashes: Guid) -> Result<Option<RootPartitions>, String> {
    let find = |unique| table.partitions.iter().find(|partition| partition.unique == unique);
    let (Some(data), Some(hashes)) = (find(data), find(hashes)) else { return Ok(None) };
    let needed = table.last_block.saturating_add(1).saturating_mul(table.block_size);
    if disk.size < needed {
        let size = disk.size;
        let name = &disk.name;
        return Err(format!(
            "disk /dev/{name} is smaller than the image on it: {size} bytes, not {needed}; enlarge it"
        ));
    }
    let (Some(data), Some(hashes)) = (disk.partition_name(data), disk.partition_name(hashes)) else { return Ok(None) };
    Ok(Some(RootPartitions { disk: disk.clone(), data, hashes }))
}

/// The present disks, for messages.
fn inventory() -> String {
    let describe = |disk: Disk| {
        let table = match disk.table() {
            Ok(table) => format!("{} partitions", table.partitions.len()),
            Err(error) => error.to_string(),
        };
        format!("/dev/{} ({table})", disk.name)
    };
    let all: Vec<String> = disks().into_iter().map(describe).collect();
    if all.is_empty() { "there is no disk at all".to_owned() } else { format!("there are: {}", all.join(", ")) }
}

/// Compares the superblock on the disk, and the rest of its block, with the image's copy.
fn check_superblock(hashes: &str, expected: &[u8]) -> Result<(), String> {
    let path = format!("/dev/{hashes}");
    let mut block = Vec::new();
    File::open(&path)
        .and_then(|file| file.take(BLOCK_SIZE).read_to_end(&mut block))
        .map_err(|error| format!("reading the verity superblock of {path}: {error}"))?;
    let differs =
        block.iter().zip(expected.iter().chain(std::iter::repeat(&0))).position(|(found, wanted)| found != wanted);
    match differs {
        Some(at) => {
            Err(format!("verity: the superblock of {path} is damaged: byte {at} is not as this image was built"))
        }
        None => Ok(()),
    }
}

/// Sets up dm-verity and returns the verified device.
fn verify(root: &RootPartitions, superblock: &Superblock, hash: &[u8; 32]) -> Result<String, String> {
    let sectors = superblock.sectors().ok_or("verity: the superblock counts too many blocks")?;
    let params = superblock.table(&device_number(&root.data)?, &device_number(&root.hashes)?, hash);
    // The format of cryptsetup, whose tools detect the device's type by it.
    let uuid = format!("CRYPT-VERITY-{}-{NAME}", verity::hex(&superblock.uuid));
    let target = Target { sectors, kind: "verity", params: &params };
    let minor = map_read_only(NAME, &uuid, &target)
        .map_err(|error| format!("verity: setting up /dev/{} with /dev/{}: {error}", root.data, root.hashes))?;
    Ok(format!("/dev/dm-{minor}"))
}

/// Enters the root like switch_root(8); frees the memory of the initramfs.
fn switch() -> Result<(), String> {
    let failed = |what: &'static str| move |error: rustix::io::Errno| format!("{what}: {error}");
    move_kernel_file_systems(SYSROOT)?;
    fs::remove_dir_all("/usr").and_then(|()| fs::remove_file("/init")).ok();
    chdir(SYSROOT).map_err(failed("entering the root"))?;
    mount_move(".", "/").map_err(failed("moving the root to /"))?;
    chroot(".").map_err(failed("making the root the process' root"))?;
    chdir("/").map_err(failed("entering /"))
}
