//! A disk made by kiln: the purpose of each partition (Discoverable Partitions Specification,
//! UAPI.2).

use super::blocks::{Blocks, Part};
use super::ext4::Ext4Root;
use super::fat::Fat;
use super::gpt::{Guid, Partition, Table};
use super::{ImageRoot, ReadError, Visit, Xattrs, uki};
use std::collections::BTreeMap;
use std::sync::Arc;

/// EFI system partition.
const ESP: &str = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b";
/// Root partitions of x86-64 and of AArch64.
const ROOT: [&str; 2] = ["4f68bce3-e8cd-4db1-96e7-fbcaf984b709", "b921b045-1df0-41c3-af44-4c6f280d3fae"];
/// The hash partitions of the same architectures.
const ROOT_VERITY: [&str; 2] = ["2c7357ed-ebd2-46d9-aec1-23d437ec2bf5", "df3300ce-d69f-4c92-978c-9bfb0f38d820"];
/// Attribute: the partition is not mounted automatically by its type.
const NO_AUTO: u64 = 1 << 63;

/// The contents of an EFI system partition.
#[derive(Debug, Clone)]
pub struct Boot {
    /// The number of files.
    pub files: usize,
    /// Whether both copies of the file allocation table are equal.
    pub tables_agree: bool,
    /// Programs that are not kernel images, by path.
    pub loaders: BTreeMap<String, Vec<u8>>,
    /// Path of the kernel image.
    pub uki_path: String,
    /// The kernel image.
    pub uki: Vec<u8>,
}

/// A disk whose partition table was read.
#[derive(Debug, Clone)]
pub struct Disk {
    /// Its bytes.
    pub blocks: Arc<dyn Blocks>,
    /// The table.
    pub table: Table,
}

impl Disk {
    /// Reads the partition table of `blocks`: the primary table, or the backup if the primary is
    /// damaged.
    ///
    /// # Errors
    /// [`ReadError::Damaged`] when both are damaged.
    pub fn open(blocks: Arc<dyn Blocks>) -> Result<Self, ReadError> {
        let table = Table::primary(&*blocks).or_else(|error| Table::backup(&*blocks).map_err(|_| error))?;
        Ok(Self { blocks, table })
    }

    /// The EFI system partition.
    ///
    /// # Errors
    /// [`ReadError::Damaged`] when there is none or it extends past the disk's end.
    pub fn esp(&self) -> Result<Part, ReadError> {
        self.part(self.find(&[ESP], "EFI system partition")?)
    }

    /// The root partition that the disk boots.
    ///
    /// # Errors
    /// Like [`Disk::esp`].
    pub fn root(&self) -> Result<Part, ReadError> {
        self.part(self.root_entry()?)
    }

    /// The partition with the root's hash tree.
    ///
    /// # Errors
    /// Like [`Disk::esp`].
    pub fn verity(&self) -> Result<Part, ReadError> {
        self.part(self.verity_entry()?)
    }

    /// The unique GUIDs of the root and hash partitions.
    ///
    /// # Errors
    /// When there are no such partitions.
    pub fn root_guids(&self) -> Result<(Guid, Guid), ReadError> {
        Ok((self.root_entry()?.unique_guid, self.verity_entry()?.unique_guid))
    }

    /// Reads the EFI system partition.
    ///
    /// # Errors
    /// [`ReadError::Damaged`], also when it does not have exactly one kernel image.
    pub fn boot(&self) -> Result<Boot, ReadError> {
        let esp = self.esp()?;
        let fat = Fat::open(&esp)?;
        let is_kernel = |path: &str| path.starts_with("EFI/Linux/") && path.ends_with(".efi");
        let mut kernels = fat.files.iter().filter(|(path, _)| is_kernel(path));
        let (Some((uki_path, uki)), None) = (kernels.next(), kernels.next()) else {
            return Err(ReadError::damaged(
                "its EFI system partition does not have exactly one kernel image in EFI/Linux",
            ));
        };
        let programs = fat.files.iter().filter(|(path, _)| path.to_lowercase().ends_with(".efi") && !is_kernel(path));
        Ok(Boot {
            files: fat.files.len(),
            tables_agree: fat.copies_agree,
            loaders: programs
                .map(|(path, file)| Ok((path.clone(), fat.read(file)?)))
                .collect::<Result<_, ReadError>>()?,
            uki_path: uki_path.clone(),
            uki: fat.read(uki)?,
        })
    }

    /// A section of the kernel image.
    fn section(&self, name: &str) -> Option<Vec<u8>> {
        let boot = self.boot().ok()?;
        Some(uki::sections(&boot.uki).ok()?.get(name)?.to_vec())
    }

    /// The partitions reserved for the next version.
    pub fn reserved(&self) -> impl Iterator<Item = &Partition> {
        self.table.partitions.iter().filter(|partition| partition.attributes & NO_AUTO != 0)
    }

    /// The bytes of a partition.
    ///
    /// # Errors
    /// [`ReadError::Damaged`] when they extend past the disk's end.
    pub fn part(&self, partition: &Partition) -> Result<Part, ReadError> {
        Part::new(Arc::clone(&self.blocks), partition.start, partition.size)
    }

    fn root_entry(&self) -> Result<&Partition, ReadError> {
        self.find(&ROOT, "root partition")
    }

    fn verity_entry(&self) -> Result<&Partition, ReadError> {
        self.find(&ROOT_VERITY, "hash partition")
    }

    fn find(&self, types: &[&str], what: &str) -> Result<&Partition, ReadError> {
        let of_type = |partition: &&Partition| {
            partition.attributes & NO_AUTO == 0 && types.contains(&partition.type_guid.to_string().as_str())
        };
        let mut found = self.table.partitions.iter().filter(of_type);
        match (found.next(), found.next()) {
            (Some(one), None) => Ok(one),
            (None, _) => Err(ReadError::damaged(format!("it has no {what}"))),
            _ => Err(ReadError::damaged(format!("it has more than one {what}"))),
        }
    }
}

/// The root file system of a disk.
impl ImageRoot for Disk {
    fn walk(&self, visit: &mut Visit<'_>) -> Result<Xattrs, ReadError> {
        Ext4Root::new(Arc::new(self.root()?)).walk(visit)
    }

    fn kernel(&self) -> Option<Vec<u8>> {
        self.section(".linux")
    }

    fn cmdline(&self) -> Option<String> {
        let text = self.section(".cmdline")?;
        Some(String::from_utf8_lossy(&text).trim_end_matches(['\0', '\n']).to_owned())
    }
}
