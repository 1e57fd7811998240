//! EFI variables that say from which disk firmware started, as efivarfs shows them: four bytes of
//! attributes, and then the value.

use crate::gpt::Guid;
use crate::place::{Place, Unit};

/// The largest variable that is read, in bytes.
pub const MAX_SIZE: u64 = 64 << 10;

/// The partition from which systemd-boot was started, as text (systemd's Boot Loader Interface).
pub const LOADER_PARTITION: &str = "LoaderDevicePartUUID-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f";

/// The number of the boot option that firmware started (UEFI specification 2.10, section 3.3).
pub const BOOT_CURRENT: &str = "BootCurrent-8be4df61-93ca-11d2-aa0d-00e098032b8c";

/// The variable with boot option `number`.
pub fn boot_option(number: u16) -> String {
    format!("Boot{number:04X}-8be4df61-93ca-11d2-aa0d-00e098032b8c")
}

/// The GUID in [`LOADER_PARTITION`].
pub fn loader_partition(variable: &[u8]) -> Option<Guid> {
    let (units, _) = value(variable)?.as_chunks::<2>();
    let units = units.iter().map(|unit| u16::from_le_bytes(*unit)).take_while(|&unit| unit != 0);
    // No GUID is longer.
    let text: Option<String> = char::decode_utf16(units.take(37)).map(Result::ok).collect();
    Guid::parse(&text?)
}

/// The number in [`BOOT_CURRENT`].
pub fn boot_current(variable: &[u8]) -> Option<u16> {
    Some(u16::from_le_bytes(value(variable)?.try_into().ok()?))
}

/// The place of the disk in a boot option (`EFI_LOAD_OPTION`, section 3.1.3); `None` if its path
/// does not begin with a PCI root bridge.
///
/// Firmware that boots a disk because it is there writes the full path. An entry that an operating
/// system made names only a partition by its GUID, which copies of a disk share.
pub fn boot_device(variable: &[u8]) -> Option<Place> {
    let option = value(variable)?;
    let length = usize::from(u16_at(option, 4)?);
    let (description, _) = option.get(6..)?.as_chunks::<2>();
    let end = description.iter().position(|unit| unit == &[0, 0])?;
    let start = 6 + 2 * (end + 1);
    place(option.get(start..start + length)?)
}

fn value(variable: &[u8]) -> Option<&[u8]> {
    variable.get(4..)
}

/// The place that a device path names (chapter 10).
fn place(mut path: &[u8]) -> Option<Place> {
    /// `PNP0A03` and `PNP0A08`, compressed: root bridges of PCI and of PCI Express.
    const ROOT_BRIDGES: [u32; 2] = [0x0a03_41d0, 0x0a08_41d0];
    let ([2, subtype @ (1 | 2)], bridge) = node(&mut path)? else { return None };
    if !ROOT_BRIDGES.contains(&u32_at(bridge, 0)?) {
        return None;
    }
    // In the expanded form, a text may take the place of the number.
    let root = if subtype == 1 { u32_at(bridge, 4) } else { None };
    let mut pci = Vec::new();
    let unit = loop {
        match node(&mut path)? {
            ([1, 1], &[function, device]) => pci.push((device, function)),
            // The end, or the partition of a disk.
            ([0x7f, _] | [4, 1], _) => break Some(Unit::Only),
            ([3, 23], body) => break u32_at(body, 0).map(Unit::Nvme),
            ([3, 18], body) => {
                // Without this bit there is a port multiplier.
                let direct = u16_at(body, 2).is_some_and(|multiplier| multiplier & 0x8000 != 0);
                break u16_at(body, 0).filter(|_| direct).map(Unit::Sata);
            }
            ([3, 2], body) => {
                break u16_at(body, 0).zip(u16_at(body, 2)).map(|(target, lun)| Unit::Scsi { target, lun });
            }
            _ => break None,
        }
    };
    (!pci.is_empty()).then_some(Place { root, pci, unit })
}

/// Takes the next node of a device path: its type and subtype, and what follows its header.
fn node<'a>(path: &mut &'a [u8]) -> Option<([u8; 2], &'a [u8])> {
    let length = usize::from(u16_at(path, 2)?);
    let (node, rest) = path.split_at_checked(length)?;
    *path = rest;
    Some(([*node.first()?, *node.get(1)?], node.get(4..)?))
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Boot service and runtime access.
    const ATTRIBUTES: [u8; 4] = [6, 0, 0, 0];

    fn utf16(text: &str) -> Vec<u8> {
        text.encode_utf16().flat_map(u16::to_le_bytes).collect()
    }

    /// A boot option with the device path `nodes`, and optional data as OVMF adds it.
    fn option(nodes: &[&[u8]]) -> Vec<u8> {
        let path = nodes.concat();
        let length = u16::try_from(path.len()).expect("short").to_le_bytes();
        [&ATTRIBUTES[..], &1_u32.to_le_bytes(), &length, &utf16("UEFI Misc Device\0"), &path, &[0x4e, 0xac]].concat()
    }

    const ROOT: &[u8] = &[2, 1, 12, 0, 0xd0, 0x41, 0x03, 0x0a, 0, 0, 0, 0];
    const PCI_4: &[u8] = &[1, 1, 6, 0, 0, 4];
    const PCI_1F_2: &[u8] = &[1, 1, 6, 0, 2, 0x1f];
    const SATA_1: &[u8] = &[3, 18, 10, 0, 1, 0, 0xff, 0xff, 0, 0];
    const SATA_MULTIPLIED: &[u8] = &[3, 18, 10, 0, 1, 0, 0, 0, 0, 0];
    const SCSI_1_2: &[u8] = &[3, 2, 8, 0, 1, 0, 2, 0];
    const NVME_1: &[u8] = &[3, 23, 16, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    const USB: &[u8] = &[3, 5, 6, 0, 1, 0];
    const END: &[u8] = &[0x7f, 0xff, 4, 0];

    fn hd() -> Vec<u8> {
        [&[4, 1, 42, 0][..], &[7; 38]].concat()
    }

    #[test]
    fn the_partition_of_the_boot_loader_is_parsed() {
        let text = "4D21B016-b534-45c2-a9fb-5c16e091fd2d";
        let variable = |text: &str| [&ATTRIBUTES[..], &utf16(text)].concat();
        for good in [variable(text), variable(&format!("{text}\0")), variable(&format!("{text}\0rest"))] {
            assert_eq!(loader_partition(&good), Some(Guid::VARIABLE_DATA));
        }
        for bad in [&b""[..], &[6, 0, 0], &ATTRIBUTES, &variable("no"), &variable(&format!("{text}0"))] {
            assert_eq!(loader_partition(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn the_place_in_a_full_path_is_parsed() {
        let place = |nodes: &[&[u8]]| boot_device(&option(nodes)).map(|place| (place.root, place.pci, place.unit));
        let at = |pci: &[(u8, u8)], unit| Some((Some(0), pci.to_vec(), unit));
        assert_eq!(place(&[ROOT, PCI_4, END]), at(&[(4, 0)], Some(Unit::Only)));
        assert_eq!(place(&[ROOT, PCI_4, &hd(), END]), at(&[(4, 0)], Some(Unit::Only)));
        assert_eq!(place(&[ROOT, PCI_1F_2, PCI_4, NVME_1, END]), at(&[(0x1f, 2), (4, 0)], Some(Unit::Nvme(1))));
        assert_eq!(place(&[ROOT, PCI_1F_2, SATA_1, &hd(), END]), at(&[(0x1f, 2)], Some(Unit::Sata(1))));
        assert_eq!(place(&[ROOT, PCI_1F_2, SATA_MULTIPLIED, END]), at(&[(0x1f, 2)], None));
        assert_eq!(place(&[ROOT, PCI_4, SCSI_1_2, END]), at(&[(4, 0)], Some(Unit::Scsi { target: 1, lun: 2 })));
        assert_eq!(place(&[ROOT, PCI_4, USB, END]), at(&[(4, 0)], None));
    }

    #[test]
    fn what_names_no_place_is_none() {
        let other_root: &[u8] = &[2, 1, 12, 0, 0xd0, 0x41, 0x0a, 0x0a, 0, 0, 0, 0];
        for nodes in [&[&hd()[..], END][..], &[END], &[ROOT, END], &[other_root, PCI_4, END], &[ROOT, PCI_4], &[PCI_4]]
        {
            assert_eq!(boot_device(&option(nodes)), None, "{nodes:?}");
        }
        let full = option(&[ROOT, PCI_4, END]);
        // Each cut takes away a part of the path; the last two bytes are optional data.
        for end in 0..full.len() - 2 {
            assert_eq!(boot_device(&full[..end]), None, "{end}");
        }
    }

    #[test]
    fn the_current_boot_option_is_a_variable_too() {
        assert_eq!(boot_current(&[6, 0, 0, 0, 0x0f, 0x1a]), Some(0x1a0f));
        assert_eq!(boot_current(&[6, 0, 0, 0, 0x0f]), None);
        assert_eq!(boot_option(0x1a0f), "Boot1A0F-8be4df61-93ca-11d2-aa0d-00e098032b8c");
    }

    proptest! {
        #[test]
        fn arbitrary_variables_never_panic(
            bytes in prop::collection::vec(any::<u8>(), 0..200),
            changes in prop::collection::vec((0usize..200, any::<u8>()), 0..8),
        ) {
            let mut option = option(&[ROOT, PCI_1F_2, SATA_1, &hd(), END]);
            for (at, byte) in changes {
                if let Some(place) = option.get_mut(at) {
                    *place = byte;
                }
            }
            for variable in [&bytes, &option] {
                boot_device(variable);
                boot_current(variable);
                loader_partition(variable);
            }
        }
    }
}
