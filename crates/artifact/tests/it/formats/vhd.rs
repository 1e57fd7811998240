//! Tests of fixed VHD with qemu-img and against its specification.

use crate::formats::disks::{Disk, NAMING, REAL, assert_same, assert_same_by_7z, qemu_img};
use crate::formats::tools::{run, tool};
use kiln_profile::Output;
use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

const MIB: u64 = 1 << 20;

fn footer(path: &Path) -> [u8; 512] {
    let file = File::open(path).expect("opened");
    let mut footer = [0; 512];
    file.read_exact_at(&mut footer, file.metadata().expect("there").len() - 512).expect("a footer");
    footer
}

/// Checks that `path` equals `disk`, padded to whole mebibytes.
pub(super) fn judge(disk: &Disk, path: &Path) {
    let size = disk.size.next_multiple_of(MIB);
    let info = qemu_img(&["info", "-f", "vpc"], path);
    assert_eq!(info["virtual-size"], size, "{info}");
    assert_eq!(fs::metadata(path).expect("there").len(), size + 512);
    assert_same(&disk.raw(), path, "vpc");
}

#[test]
fn qemu_reads_it() {
    let encoded = REAL.encode(Output::Vhd, "vhd", 4);
    let path = encoded.path(".vhd");
    judge(&REAL, &path);
    assert_same_by_7z(&REAL.raw(), &path, "vhd");
    let on_disk = fs::metadata(&path).expect("there").blocks() * 512;
    assert!(on_disk <= REAL.data + MIB, "{on_disk} bytes for {} of data", REAL.data);
    let footer = footer(&path);
    assert_eq!(&footer[..8], b"conectix");
    assert_eq!(footer[24..28], (NAMING.epoch - 946_684_800).to_be_bytes());
    assert_eq!(&footer[28..32], b"win ");
    assert_eq!(footer[68..84], NAMING.uuid);
}

#[test]
fn footers_differ_from_those_of_qemu_only_in_the_creator() {
    for mib in [1, 3, 40, 71, 129, 200, 517, 2048, 8000] {
        let disk = Disk::new(mib * MIB, |_, _| ());
        let ours = footer(&disk.encode(Output::Vhd, "vhd", 1).path(".vhd"));
        let path = disk.directory.join("qemu.vhd");
        let mut create = tool("qemu-img", "qemu-utils");
        create.args(["create", "-q", "-f", "vpc", "-o", "subformat=fixed"]).arg(&path);
        run(create.arg(format!("{mib}M")));
        let mut qemus = footer(&path);
        // qemu-img makes the disk larger to fit the geometry: this compares how the geometry
        // follows from the size.
        let larger = u64::from_be_bytes(qemus[48..56].try_into().expect("eight bytes"));
        let disk = Disk::new(larger.next_multiple_of(MIB), |_, _| ());
        let ours =
            if larger.is_multiple_of(MIB) { footer(&disk.encode(Output::Vhd, "again", 1).path(".vhd")) } else { ours };
        qemus[24..36].copy_from_slice(&ours[24..36]);
        for field in [40..56, 64..84] {
            qemus[field.clone()].copy_from_slice(&ours[field]);
        }
        assert_eq!(ours[..56], qemus[..56], "{mib} MiB");
    }
}
