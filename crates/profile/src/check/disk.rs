//! Sizes of disks.

use super::super::key::{Field, fields};
use super::super::model::{Disk, MAX_DISK_SIZE};
use super::super::place::{At, Fault};
use super::super::raw::RawDisk;
use super::names;

const MIB: u64 = 1 << 20;
const UNITS: [(&str, u64); 3] = [("MiB", MIB), ("GiB", MIB << 10), ("TiB", MIB << 20)];
/// Room for two kernels, two initrds and the boot loader, as they are today.
const ESP_SIZE: u64 = 256 * MIB;

pub(super) fn disk(raw: &RawDisk) -> Result<Disk, Fault> {
    let RawDisk { esp_size, root_size, size } = raw;
    let esp = match esp_size {
        Some(value) => value.check(fields::DISK_ESP_SIZE, |text| self::size(text, None))?.unwrap_or(ESP_SIZE),
        None => ESP_SIZE,
    };
    let word = |value: &Option<At<String>>, key: Field, word| match value {
        Some(value) => value.check(key, |text| self::size(text, Some(word))),
        None => Ok(None),
    };
    let disk = Disk {
        esp_size: esp,
        root_size: word(root_size, fields::DISK_ROOT_SIZE, "fit")?,
        size: word(size, fields::DISK_SIZE, "minimal")?,
    };
    if let (Some(written), Some(size), Some(root)) = (size, disk.size, disk.root_size)
        && size <= esp + 2 * root
    {
        return Err(written.fault_of(
            fields::DISK_SIZE,
            format!(
                "{:?} has no room for two root partitions of {}MiB and an EFI system partition of {}MiB",
                written.value,
                root / MIB,
                esp / MIB
            ),
        ));
    }
    Ok(disk)
}

/// The bytes of `256MiB`; `None` for `word`.
fn size(text: &str, word: Option<&str>) -> Result<Option<u64>, String> {
    if Some(text) == word {
        return Ok(None);
    }
    let parsed = UNITS.iter().find_map(|(unit, bytes)| {
        let digits = text.strip_suffix(unit)?;
        let number: u64 = digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())??;
        Some(number.saturating_mul(*bytes))
    });
    match parsed {
        Some(size) if size > MAX_DISK_SIZE => Err(format!(
            "{:?} is larger than {}GiB, the largest image; a node extends its disk when it boots",
            names::short(text),
            MAX_DISK_SIZE >> 30
        )),
        Some(size) if size > 0 => Ok(Some(size)),
        _ => {
            let what = match word {
                Some(word) => format!("neither {word:?} nor"),
                None => "not".to_owned(),
            };
            let examples = "such as \"256MiB\" or \"2GiB\"";
            Err(format!("{:?} is {what} a size in whole mebibytes, {examples}", names::short(text)))
        }
    }
}
