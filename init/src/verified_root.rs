//! The root on a disk: finds it by its hash, lets the kernel verify every read, and enters it.

use crate::console::say;
use crate::disks::{Disk, device_number};
use crate::firmware;
use crate::ioctl::{Target, map_read_only};
use crate::mounts::{attach, directory, move_kernel_file_systems};
use crate::search::Search;
use kiln_init::choice::{Candidate, Choice, Fitness, Origin, Stage, choose};
use kiln_init::cmdline;
use kiln_init::gpt::{Guid, Partition, Table};
use kiln_init::place::Agreement;
use kiln_init::verity::{self, BLOCK_SIZE, Superblock};
use rustix::mount::{MountFlags, mount_move};
use rustix::process::{chdir, chroot};
use std::fs::{self, File};
use std::io::Read as _;

const SYSROOT: &str = "/sysroot";
/// The device-mapper device; `veritysetup status root` finds it by this name.
const NAME: &str = "root";

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

    let root = find(&hash, &expected)?;
    let device = verify(&root, &superblock, &hash)?;
    let kind = cmdline::value(cmdline, "rootfstype").unwrap_or("ext4");
    directory(SYSROOT)?;
    attach(&device, SYSROOT, kind, MountFlags::RDONLY, "")
        .map_err(|error| format!("mounting {device}, the verified root on /dev/{}, as {kind}: {error}", root.data))?;
    say(&format!("the root is {device}: /dev/{} verified with /dev/{}", root.data, root.hashes));
    switch()?;
    Ok(root.disk)
}

/// Finds the disk from which firmware started; without its word, the only one that has the root.
fn find(hash: &[u8; 32], expected: &[u8]) -> Result<RootPartitions, String> {
    let wanted = halves(hash);
    let [data, _] = wanted;
    let mut search = Search::begin()?;
    let origin = firmware::origin();
    loop {
        let (disks, stage) = search.look();
        let candidates = disks.iter().filter_map(|disk| candidate(disk, &origin, wanted, expected)).collect();
        match choose(candidates, stage) {
            Choice::Take(root, agreement) => {
                if let Some(doubt) = doubt(agreement) {
                    say(&format!("{doubt}; {} is the only disk with the root", root.disk.path()));
                }
                return Ok(root);
            }
            Choice::Unfit(reasons) => return Err(reasons.join("; ")),
            Choice::Several(names) => {
                return Err(format!(
                    "disks {} are copies of one image, and firmware does not say from which of them it started: \
                     detach all but this node's own",
                    names.join(" and ")
                ));
            }
            Choice::Wait if stage == Stage::Over => {
                return Err(format!("no disk has the root, partition {data}; {}", inventory(&disks)));
            }
            Choice::Wait => {
                search.wait(|| format!("waiting for a disk with the root, partition {data}; {}", inventory(&disks)));
            }
        }
    }
}

/// Why a disk is not certainly the one from which firmware started.
fn doubt(agreement: Agreement) -> Option<&'static str> {
    match agreement {
        Agreement::Same => None,
        Agreement::Possible => Some("firmware does not say from which disk it started"),
        Agreement::Other => Some("no disk with the root is the one from which firmware says it started"),
    }
}

/// The unique GUIDs of the root partition and of its hash partition (Discoverable Partitions
/// Specification).
fn halves(hash: &[u8; 32]) -> [Guid; 2] {
    let (halves, _) = hash.as_chunks::<16>();
    [Guid::from_text_order(halves[0]), Guid::from_text_order(halves[1])]
}

/// `disk` as a candidate, if its table has both partitions, or if it is the one that must have them.
fn candidate(
    disk: &Disk,
    origin: &Origin,
    [data, hashes]: [Guid; 2],
    expected: &[u8],
) -> Option<Candidate<RootPartitions>> {
    let table = disk.table().ok()?;
    let find = |unique| table.partitions.iter().find(|partition| partition.unique == unique);
    let agreement = origin.agreement(&table, disk.place().as_ref());
    let fitness = match (find(data), find(hashes)) {
        (Some(data), Some(hashes)) => fitness(disk, &table, data, hashes, expected),
        // Otherwise a copy would take its place.
        _ if agreement == Agreement::Same => {
            Fitness::Unfit(format!("firmware started from disk {}, which has no root, partition {data}", disk.path()))
        }
        _ => return None,
    };
    Some(Candidate { name: disk.path(), agreement, fitness })
}

/// Whether the root can be on `disk`, in these partitions.
fn fitness(
    disk: &Disk,
    table: &Table,
    data: &Partition,
    hashes: &Partition,
    expected: &[u8],
) -> Fitness<RootPartitions> {
    let needed = table.last_block.saturating_add(1).saturating_mul(table.block_size);
    if disk.size < needed {
        let (path, size) = (disk.path(), disk.size);
        let why = format!("disk {path} is smaller than the image on it: {size} bytes, not {needed}; enlarge it");
        return Fitness::Unfit(why);
    }
    let (Some(data), Some(hashes)) = (disk.partition_name(data), disk.partition_name(hashes)) else {
        return Fitness::Pending;
    };
    match check_superblock(&hashes, expected) {
        Ok(()) => Fitness::Fit(RootPartitions { disk: disk.clone(), data, hashes }),
        Err(why) => Fitness::Unfit(why),
    }
}

/// The present disks, for messages.
fn inventory(disks: &[Disk]) -> String {
    let describe = |disk: &Disk| {
        let table = match disk.table() {
            Ok(table) => format!("{} partitions", table.partitions.len()),
            Err(error) => error.to_string(),
        };
        format!("{} ({table})", disk.path())
    };
    let all: Vec<String> = disks.iter().map(describe).collect();
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
