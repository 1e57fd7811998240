//! Where a disk is attached, in terms that firmware and kernel share.
//!
//! All disks with one image have the same GUIDs, and whoever writes a disk chooses what is on it.
//! Where it is attached is what its contents cannot claim.

/// The place of a disk: a PCI function, and which of its disks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// `_UID` of the root bridge, if it is known and there are several.
    pub root: Option<u32>,
    /// Device and function numbers, from the root bridge to the function.
    pub pci: Vec<(u8, u8)>,
    /// The disk of that function; `None` if nobody says in terms that both sides share.
    pub unit: Option<Unit>,
}

/// A disk of a PCI function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// The only one, as with virtio-blk.
    Only,
    /// The namespace with this identifier.
    Nvme(u32),
    /// On this port, counted from 0.
    Sata(u16),
    /// With these numbers.
    Scsi {
        /// The target.
        target: u16,
        /// The logical unit.
        lun: u16,
    },
}

/// Whether a disk is the one from which firmware started, in the order in which disks are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Agreement {
    /// It is.
    Same,
    /// Nothing contradicts it.
    Possible,
    /// What firmware says does not fit.
    Other,
}

impl Place {
    /// Compares the place that firmware names with that of a disk.
    pub fn agreement(firmware: Option<&Self>, disk: Option<&Self>) -> Agreement {
        let Some(firmware) = firmware else { return Agreement::Possible };
        // Firmware names only places on PCI, and the kernel knows the place of each such disk.
        let Some(disk) = disk else { return Agreement::Other };
        let roots = firmware.root.zip(disk.root);
        if firmware.pci != disk.pci || roots.is_some_and(|(firmware, disk)| firmware != disk) {
            return Agreement::Other;
        }
        match (firmware.unit, disk.unit) {
            (Some(firmware), Some(disk)) if firmware == disk => Agreement::Same,
            (Some(firmware), Some(disk)) if std::mem::discriminant(&firmware) == std::mem::discriminant(&disk) => {
                Agreement::Other
            }
            _ => Agreement::Possible,
        }
    }

    /// The place of the disk that has the directory `device` in sysfs, links resolved; `None` if it
    /// is not on PCI. `read` reads a file of sysfs.
    pub fn of_disk(device: &str, read: &dyn Fn(&str) -> Option<String>) -> Option<Self> {
        let path = DevicePath::split(device)?;
        let root = number(read(&format!("{}/firmware_node/uid", path.up_to(path.root))));
        let pci = path.parts[path.root + 1..=path.function].iter().filter_map(|part| function(part)).collect();
        let unit = match path.link(read) {
            Some(Link::Only) => Some(Unit::Only),
            Some(Link::Nvme(namespace)) => Some(Unit::Nvme(namespace)),
            Some(Link::Ata { port }) => port.checked_sub(1).map(Unit::Sata),
            Some(Link::Scsi { known: true, channel: 0, target, lun }) => Some(Unit::Scsi { target, lun }),
            Some(Link::Scsi { .. }) | None => None,
        };
        Some(Self { root, pci, unit })
    }
}

/// The names of a disk in `/dev/disk/by-path`, as udev's `path_id` makes them of the kinds of disks
/// that it and this program know; none for others. Arguments as for [`Place::of_disk`].
pub fn by_path(device: &str, read: &dyn Fn(&str) -> Option<String>) -> Vec<String> {
    let Some(path) = DevicePath::split(device) else { return Vec::new() };
    let function = format!("pci-{}", path.parts[path.function]);
    match path.link(read) {
        Some(Link::Only) => vec![function],
        Some(Link::Nvme(namespace)) => vec![format!("{function}-nvme-{namespace}")],
        // The first is udev's older name.
        Some(Link::Ata { port }) => vec![format!("{function}-ata-{port}"), format!("{function}-ata-{port}.0")],
        Some(Link::Scsi { channel, target, lun, .. }) => {
            vec![format!("{function}-scsi-0:{channel}:{target}:{lun}")]
        }
        None => Vec::new(),
    }
}

/// The path of a disk's directory in sysfs.
struct DevicePath<'a> {
    parts: Vec<&'a str>,
    /// The positions of the root bridge and of the last PCI function.
    root: usize,
    function: usize,
}

/// How a disk belongs to its PCI function, according to the kernel.
enum Link {
    Only,
    Nvme(u32),
    /// The port is counted from 1.
    Ata {
        port: u16,
    },
    /// `known`: firmware has the same numbers.
    Scsi {
        known: bool,
        channel: u16,
        target: u16,
        lun: u16,
    },
}

/// Drivers of SCSI hosts whose targets have the same numbers in UEFI; those of other controllers
/// number disks as they like.
const SAME_NUMBERS: [&str; 2] = ["virtio_scsi", "vmw_pvscsi"];

impl<'a> DevicePath<'a> {
    fn split(device: &'a str) -> Option<Self> {
        let parts: Vec<&str> = device.split('/').collect();
        let root = parts.iter().position(|part| part.strip_prefix("pci").is_some_and(|rest| rest.contains(':')))?;
        let functions = parts[root + 1..].iter().take_while(|part| function(part).is_some()).count();
        (functions > 0).then_some(Self { parts, root, function: root + functions })
    }

    fn up_to(&self, at: usize) -> String {
        self.parts[..=at].join("/")
    }

    fn link(&self, read: &dyn Fn(&str) -> Option<String>) -> Option<Link> {
        let host = |at: usize, host: &str| {
            let driver = read(&format!("{}/scsi_host/{host}/proc_name", self.up_to(self.function + at)));
            driver.is_some_and(|driver| SAME_NUMBERS.contains(&driver.trim()))
        };
        match self.parts[self.function + 1..] {
            [virtio, "block", _] if virtio.starts_with("virtio") => Some(Link::Only),
            ["nvme", _, name] => number(read(&format!("/sys/block/{name}/nsid"))).map(Link::Nvme),
            [ata, _, _, address, "block", _] if ata.starts_with("ata") => {
                let port = format!("{}/ata_port/{ata}/port_no", self.up_to(self.function + 1));
                // Other addresses are behind a port multiplier, or share a cable.
                (scsi_address(address)? == [0, 0, 0]).then_some(Link::Ata { port: number(read(&port))? })
            }
            [virtio, name, _, address, "block", _] if virtio.starts_with("virtio") && name.starts_with("host") => {
                let [channel, target, lun] = scsi_address(address)?;
                Some(Link::Scsi { known: host(2, name), channel, target, lun })
            }
            [name, _, address, "block", _] if name.starts_with("host") => {
                let [channel, target, lun] = scsi_address(address)?;
                Some(Link::Scsi { known: host(1, name), channel, target, lun })
            }
            _ => None,
        }
    }
}

/// Device and function of `domain:bus:device.function`.
fn function(part: &str) -> Option<(u8, u8)> {
    let (rest, function) = part.split_once('.')?;
    let fields: Vec<&str> = rest.split(':').collect();
    let [domain, bus, device] = fields[..] else { return None };
    for field in [domain, bus] {
        u32::from_str_radix(field, 16).ok()?;
    }
    Some((u8::from_str_radix(device, 16).ok()?, u8::from_str_radix(function, 16).ok()?))
}

/// Channel, target and unit of `host:channel:target:unit`.
fn scsi_address(address: &str) -> Option<[u16; 3]> {
    let numbers: Option<Vec<u16>> = address.split(':').skip(1).map(|number| number.parse().ok()).collect();
    numbers?.try_into().ok()
}

fn number<T: std::str::FromStr>(text: Option<String>) -> Option<T> {
    text?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUS: &str = "/sys/devices/pci0000:00";

    /// sysfs of a machine with one disk of each kind.
    fn read(path: &str) -> Option<String> {
        let text = match path.strip_prefix(BUS).unwrap_or(path) {
            "/firmware_node/uid" => "0",
            "/sys/block/nvme0n2/nsid" => "2",
            "/0000:00:1f.2/ata3/ata_port/ata3/port_no" => "3",
            "/0000:00:05.0/virtio2/host6/scsi_host/host6/proc_name" => "virtio_scsi",
            "/0000:00:15.0/0000:03:00.0/host0/scsi_host/host0/proc_name" => "vmw_pvscsi",
            "/0000:00:01.0/0000:01:00.0/host1/scsi_host/host1/proc_name" => "megaraid_sas",
            _ => return None,
        };
        Some(format!("{text}\n"))
    }

    fn place(path: &str) -> Option<Place> {
        Place::of_disk(&format!("{BUS}/{path}"), &read)
    }

    fn at(pci: &[(u8, u8)], unit: Option<Unit>) -> Place {
        Place { root: Some(0), pci: pci.to_vec(), unit }
    }

    #[test]
    fn disks_have_a_place_and_udevs_names() {
        let scsi = |target, lun| Some(Unit::Scsi { target, lun });
        let cases: [(&str, Place, &[&str]); 9] = [
            ("0000:00:04.0/virtio1/block/vda", at(&[(4, 0)], Some(Unit::Only)), &["pci-0000:00:04.0"]),
            (
                "0000:00:02.1/0000:0a:00.0/nvme/nvme0/nvme0n2",
                at(&[(2, 1), (0, 0)], Some(Unit::Nvme(2))),
                &["pci-0000:0a:00.0-nvme-2"],
            ),
            (
                "0000:00:1f.2/ata3/host2/target2:0:0/2:0:0:0/block/sda",
                at(&[(0x1f, 2)], Some(Unit::Sata(2))),
                &["pci-0000:00:1f.2-ata-3", "pci-0000:00:1f.2-ata-3.0"],
            ),
            (
                "0000:00:05.0/virtio2/host6/target6:0:1/6:0:1:3/block/sdb",
                at(&[(5, 0)], scsi(1, 3)),
                &["pci-0000:00:05.0-scsi-0:0:1:3"],
            ),
            (
                "0000:00:15.0/0000:03:00.0/host0/target0:0:0/0:0:0:0/block/sda",
                at(&[(0x15, 0), (0, 0)], scsi(0, 0)),
                &["pci-0000:03:00.0-scsi-0:0:0:0"],
            ),
            // A controller that numbers its disks as it likes.
            (
                "0000:00:01.0/0000:01:00.0/host1/target1:2:0/1:2:0:0/block/sdc",
                at(&[(1, 0), (0, 0)], None),
                &["pci-0000:01:00.0-scsi-0:2:0:0"],
            ),
            // Behind a port multiplier, on USB, and behind Intel's volume management device.
            ("0000:00:1f.2/ata3/host2/target2:1:0/2:1:0:0/block/sdd", at(&[(0x1f, 2)], None), &[]),
            ("0000:00:14.0/usb1/1-1/1-1:1.0/host7/target7:0:0/7:0:0:0/block/sde", at(&[(0x14, 0)], None), &[]),
            ("0000:00:0e.0/pci10000:e0/10000:e0:06.0/nvme/nvme1/nvme1n1", at(&[(0xe, 0)], None), &[]),
        ];
        for (path, expected, names) in cases {
            assert_eq!(place(path), Some(expected), "{path}");
            assert_eq!(by_path(&format!("{BUS}/{path}"), &read), names, "{path}");
        }
        for path in ["/sys/devices/vbd-51712/block/xvda", "/sys/devices/pci0000:00", "", "/sys/devices/pci0000:00/x.y"]
        {
            assert_eq!(Place::of_disk(path, &read), None, "{path}");
            assert_eq!(by_path(path, &read), [""; 0], "{path}");
        }
    }

    #[test]
    fn a_place_that_firmware_names_is_one_disk() {
        let firmware = at(&[(4, 0)], Some(Unit::Nvme(1)));
        let agreement = |disk: &Place| Place::agreement(Some(&firmware), Some(disk));
        assert_eq!(agreement(&firmware), Agreement::Same);
        assert_eq!(agreement(&Place { root: None, ..firmware.clone() }), Agreement::Same);
        assert_eq!(agreement(&Place { root: Some(1), ..firmware.clone() }), Agreement::Other);
        assert_eq!(agreement(&at(&[(5, 0)], Some(Unit::Nvme(1)))), Agreement::Other);
        assert_eq!(agreement(&at(&[(4, 0), (4, 0)], Some(Unit::Nvme(1)))), Agreement::Other);
        assert_eq!(agreement(&at(&[(4, 0)], Some(Unit::Nvme(2)))), Agreement::Other);
        // Firmware and kernel count in different terms.
        assert_eq!(agreement(&at(&[(4, 0)], Some(Unit::Only))), Agreement::Possible);
        assert_eq!(agreement(&at(&[(4, 0)], None)), Agreement::Possible);
        assert_eq!(Place::agreement(Some(&firmware), None), Agreement::Other);
        assert_eq!(Place::agreement(None, Some(&firmware)), Agreement::Possible);
        assert_eq!(Place::agreement(None, None), Agreement::Possible);
    }
}
