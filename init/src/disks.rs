//! Disks and their partitions in sysfs.

use kiln_init::gpt::{GptError, Partition, Table};
use kiln_init::place::{self, Place};
use std::fs::{self, File};
use std::path::Path;

/// The unit of sizes in sysfs in bytes, whatever the disk's block size is.
const SECTOR: u64 = 512;

/// A whole disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Disk {
    /// Its name in `/dev`.
    pub name: String,
    /// Its size in bytes.
    pub size: u64,
    block_size: u64,
}

/// The present disks by name, without those that cannot have a partition table.
pub(crate) fn disks() -> Vec<Disk> {
    let entries = fs::read_dir("/sys/block").into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.retain(|name| !["loop", "dm-", "ram", "zram", "sr", "fd"].iter().any(|prefix| name.starts_with(prefix)));
    names.sort();
    names.iter().filter_map(|name| Disk::named(name)).filter(|disk| disk.size > 0).collect()
}

impl Disk {
    /// The disk called `name`, with its current size.
    pub(crate) fn named(name: &str) -> Option<Self> {
        let size = number(&format!("/sys/block/{name}/size"))?.checked_mul(SECTOR)?;
        let block_size = number(&format!("/sys/block/{name}/queue/logical_block_size"))?;
        Some(Self { name: name.to_owned(), size, block_size })
    }

    /// Its device file.
    pub(crate) fn path(&self) -> String {
        format!("/dev/{}", self.name)
    }

    /// Reads its partition table.
    pub(crate) fn table(&self) -> Result<Table, GptError> {
        let mut file = File::open(self.path()).map_err(GptError::Io)?;
        Table::read(&mut file, self.block_size, self.size)
    }

    /// Its place; `None` if it is not on PCI.
    pub(crate) fn place(&self) -> Option<Place> {
        let place = Place::of_disk(&self.device()?, &text)?;
        // With one root bridge its number decides nothing, and some firmware has another one.
        let bridges = fs::read_dir("/sys/devices").into_iter().flatten().flatten();
        let several = bridges.filter(|entry| entry.file_name().to_string_lossy().starts_with("pci")).count() > 1;
        Some(Place { root: place.root.filter(|_| several), ..place })
    }

    /// Its names in `/dev/disk/by-path`.
    pub(crate) fn by_path(&self) -> Vec<String> {
        self.device().map(|device| place::by_path(&device, &text)).unwrap_or_default()
    }

    /// Its directory below `/sys/devices`.
    fn device(&self) -> Option<String> {
        let mut path = fs::canonicalize(format!("/sys/block/{}", self.name)).ok()?;
        // A namespace of NVMe that several controllers may lead to is below none of them.
        if path.starts_with("/sys/devices/virtual/nvme-subsystem") {
            let mut entries = fs::read_dir(path.parent()?).ok()?.flatten();
            let controller = entries.find(|entry| {
                let name = entry.file_name();
                let number = name.to_str().and_then(|name| name.strip_prefix("nvme"));
                number.is_some_and(|number| number.parse::<u32>().is_ok())
            })?;
            path = fs::canonicalize(controller.path()).ok()?.join(&self.name);
        }
        path.into_os_string().into_string().ok()
    }

    /// The kernel's name for one of its partitions, `None` until it has one.
    pub(crate) fn partition_name(&self, partition: &Partition) -> Option<String> {
        let entries = fs::read_dir(format!("/sys/block/{}", self.name)).into_iter().flatten().flatten();
        let is =
            |path: &Path| number(&path.join("partition").to_string_lossy()) == u64::try_from(partition.number).ok();
        entries.filter(|entry| is(&entry.path())).find_map(|entry| entry.file_name().into_string().ok())
    }

    /// The number of bytes after the last partition.
    pub(crate) fn free_behind(&self, table: &Table) -> u64 {
        let end = table.partitions.iter().map(|partition| partition.last_lba).max().unwrap_or(0);
        self.size.saturating_sub(end.saturating_add(1).saturating_mul(table.block_size))
    }
}

/// `major:minor` of the block device called `name`.
pub(crate) fn device_number(name: &str) -> Result<String, String> {
    let path = format!("/sys/class/block/{name}/dev");
    fs::read_to_string(&path).map(|text| text.trim().to_owned()).map_err(|error| format!("reading {path}: {error}"))
}

fn number(path: &str) -> Option<u64> {
    text(path)?.trim().parse().ok()
}

/// The contents of a file in sysfs.
fn text(path: &str) -> Option<String> {
    fs::read_to_string(path).ok()
}
