//! The partition table of a disk, and its record in the manifest.

use super::layout::Layout;
use crate::platform::Platform;
use kiln_format::gpt::{ATTRIBUTE_NO_AUTO, ATTRIBUTE_READ_ONLY, EMPTY, Partition, Table};
use kiln_format::guid::Guid;
use kiln_manifest::{DiskRecord, PartitionRecord};
use kiln_tree::Digest;
use std::ops::Range;

/// Partition type of an EFI system partition (UEFI 2.10, 5.3.3).
const ESP: Guid = Guid::from_u128(0xc12a7328_f81f_11d2_ba4b_00a0c93ec93b);

/// The manifest's record of a disk with this table.
pub(super) fn record(table: &Table, cmdline: String) -> DiskRecord {
    let partitions = table.partitions.iter().map(|partition| PartitionRecord {
        label: partition.name.clone(),
        kind: partition.type_guid.to_string(),
        uuid: partition.unique_guid.to_string(),
        start: partition.start,
        size: partition.size,
        read_only: partition.attributes & ATTRIBUTE_READ_ONLY != 0,
    });
    let uuid = table.disk_guid.to_string();
    DiskRecord { uuid, size: table.size, cmdline, partitions: partitions.collect() }
}

/// Makes the table. The GUIDs of the first slot are the halves of the root hash, by which the slot
/// is found. The second slot is free for systemd-sysupdate(8), which recognizes it by its label;
/// until then, it is not used as a root.
pub(super) fn table(layout: &Layout, image: (&str, &str), platform: &Platform, root_hash: &Digest) -> Table {
    let derived = |name: &str| Guid::derived(derive(image, &root_hash.to_string(), name).as_bytes());
    let (mut first, mut second) = ([0; 16], [0; 16]);
    first.copy_from_slice(&root_hash.as_bytes()[..16]);
    second.copy_from_slice(&root_hash.as_bytes()[16..]);
    let (_, version) = image;
    let partition = |type_guid, unique_guid, place: &Range<u64>, attributes, name: String| Partition {
        type_guid,
        unique_guid,
        start: place.start,
        size: place.end - place.start,
        attributes,
        name,
    };
    let Platform { root, root_verity, .. } = *platform;
    let [this, next] = &layout.slots;
    let partitions = vec![
        partition(ESP, derived("esp"), &layout.esp, 0, "esp".to_owned()),
        partition(root, Guid::from_bytes(first), &this.root, ATTRIBUTE_READ_ONLY, format!("kiln-root-{version}")),
        partition(
            root_verity,
            Guid::from_bytes(second),
            &this.verity,
            ATTRIBUTE_READ_ONLY,
            format!("kiln-verity-{version}"),
        ),
        partition(root, derived("root-b"), &next.root, ATTRIBUTE_NO_AUTO, EMPTY.to_owned()),
        partition(root_verity, derived("verity-b"), &next.verity, ATTRIBUTE_NO_AUTO, EMPTY.to_owned()),
    ];
    Table { disk_guid: derived("disk"), size: layout.size, partitions }
}

/// The serial number of the EFI system partition's file system.
pub(super) fn volume_id(image: (&str, &str)) -> u32 {
    let [a, b, c, d, ..] = *derive(image, "", "esp").as_bytes();
    u32::from_be_bytes([a, b, c, d])
}

/// A digest that is unique to this image and `name`.
fn derive((id, version): (&str, &str), root_hash: &str, name: &str) -> Digest {
    Digest::of(format!("kiln disk\0{id}\0{version}\0{root_hash}\0{name}").as_bytes())
}
