//! Which partition is the state of a network-booted node, as `kiln.state=` on its command line says.

use crate::gpt::{Guid, Partition};
use crate::place::Agreement;

/// Where udev names disks by their place.
const BY_PATH: &str = "/dev/disk/by-path/";
/// What this program accepts, for messages.
pub const FORMS: &str = "kiln.state=PARTUUID=GUID or kiln.state=/dev/disk/by-path/NAME-partN";

/// The name of a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StateName {
    /// By its unique GUID.
    PartUuid(Guid),
    /// By its disk's place and its number: a name in `/dev/disk/by-path`.
    ByPath(String),
    /// `disk`, which once meant any partition with the right label.
    Unnamed,
}

impl StateName {
    /// Parses the value of `kiln.state=`.
    ///
    /// # Errors
    /// A message for a value that is none of these.
    pub fn parse(value: &str) -> Result<Self, String> {
        if value == "disk" {
            return Ok(Self::Unnamed);
        }
        if let Some(guid) = value.strip_prefix("PARTUUID=").and_then(Guid::parse) {
            return Ok(Self::PartUuid(guid));
        }
        match value.strip_prefix(BY_PATH) {
            // udev's older name of virtio disks.
            Some(name) if name.contains("-part") => {
                Ok(Self::ByPath(name.strip_prefix("virtio-").unwrap_or(name).to_owned()))
            }
            _ => Err(format!("kiln.state={value} names no partition: write {FORMS}")),
        }
    }

    /// Whether `partition` has this name, and how much that proves; `by_path` are the names of its
    /// disk.
    ///
    /// Everybody who reads the command line can make a partition with a GUID, so that one must be
    /// the only one. Nobody can choose the place of a disk by its contents.
    pub fn agreement(&self, partition: &Partition, by_path: &[String]) -> Option<Agreement> {
        match self {
            Self::PartUuid(unique) => (*unique == partition.unique).then_some(Agreement::Possible),
            Self::ByPath(name) => by_path.iter().any(|disk| *name == on(disk, partition)).then_some(Agreement::Same),
            Self::Unnamed => None,
        }
    }
}

/// What to write to name `partition` of a disk with the names `by_path`.
pub fn names(partition: &Partition, by_path: &[String]) -> String {
    let place = by_path.first().map(|disk| format!(", {BY_PATH}{}", on(disk, partition)));
    format!("PARTUUID={}{}", partition.unique, place.unwrap_or_default())
}

fn on(disk: &str, partition: &Partition) -> String {
    format!("{disk}-part{}", partition.number)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "4d21b016-b534-45c2-a9fb-5c16e091fd2d";

    fn partition(unique: Guid) -> Partition {
        let name = "kiln-state".into();
        Partition { number: 2, partition_type: Guid::VARIABLE_DATA, unique, name, first_lba: 1, last_lba: 2 }
    }

    #[test]
    fn a_partition_has_the_names_that_messages_show() {
        let partition = partition(Guid::VARIABLE_DATA);
        let disk = ["pci-0000:00:1f.2-ata-1", "pci-0000:00:1f.2-ata-1.0"].map(str::to_owned);
        assert_eq!(names(&partition, &[]), format!("PARTUUID={TEXT}"));
        let shown = format!("PARTUUID={TEXT}, /dev/disk/by-path/pci-0000:00:1f.2-ata-1-part2");
        assert_eq!(names(&partition, &disk), shown);
        for (name, agreement) in shown.split(", ").zip([Agreement::Possible, Agreement::Same]) {
            let name = StateName::parse(name).expect("a name");
            assert_eq!(name.agreement(&partition, &disk), Some(agreement), "{name:?}");
            assert_eq!(
                name.agreement(&Partition { number: 1, unique: Guid([0; 16]), ..partition.clone() }, &disk),
                None
            );
        }
        let newer = StateName::parse("/dev/disk/by-path/pci-0000:00:1f.2-ata-1.0-part2").expect("a name");
        assert_eq!(newer.agreement(&partition, &disk), Some(Agreement::Same));
        let older = StateName::parse("/dev/disk/by-path/virtio-pci-0000:00:04.0-part2").expect("a name");
        assert_eq!(older.agreement(&partition, &["pci-0000:00:04.0".into()]), Some(Agreement::Same));
    }

    #[test]
    fn a_label_is_no_name() {
        let name = StateName::parse("disk").expect("a value");
        assert_eq!(name, StateName::Unnamed);
        assert_eq!(name.agreement(&partition(Guid::VARIABLE_DATA), &["pci-0000:00:04.0".into()]), None);
    }

    #[test]
    fn other_values_are_errors_that_say_what_to_write() {
        for bad in
            ["", "memory", "PARTUUID=", "PARTLABEL=kiln-state", "/dev/vda1", "/dev/disk/by-path/pci-0000:00:04.0"]
        {
            let error = StateName::parse(bad).expect_err(bad);
            assert!(
                error.starts_with(&format!("kiln.state={bad} names no partition")) && error.contains(FORMS),
                "{error}"
            );
        }
    }
}
