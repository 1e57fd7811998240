//! How a volume is divided, and the sectors that describe it.

use super::{FatError, ROOT_CLUSTER};

/// Bytes of a sector.
pub(super) const SECTOR: u64 = 512;
/// The number of copies of the allocation table.
pub(super) const FATS: u32 = 2;
/// Sectors before the first table: a multiple of 4 KiB, like everything before the clusters.
const RESERVED_SECTORS: u32 = 32;
/// Tables are rounded up to this many sectors, so that two of them end at a multiple of 4 KiB.
const FAT_ALIGNMENT: u64 = 4;
/// A volume with fewer clusters is FAT16, whatever its fields say.
const MIN_CLUSTERS: u64 = 65_525;
/// The largest cluster size that is used: that of the page cache and of most media.
const MAX_CLUSTER_SECTORS: u64 = 8;
/// The most clusters that 28 bits can number, without the special values.
const MAX_CLUSTERS: u64 = 0x0fff_fff5;
const FSINFO_SECTOR: u16 = 1;
const BACKUP_BOOT_SECTOR: u16 = 6;
/// The media type: not removable.
const MEDIA: u8 = 0xf8;

/// The layout of a volume, in sectors and clusters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Geometry {
    sectors: u32,
    cluster_sectors: u32,
    fat_sectors: u32,
    pub clusters: u32,
}

impl Geometry {
    /// Divides `size` bytes into the largest clusters of which there are enough for FAT32.
    pub(super) fn new(size: u64) -> Result<Self, FatError> {
        let sectors = size / SECTOR;
        let too_large = || FatError::TooLarge { size, most: most() };
        for cluster_sectors in [MAX_CLUSTER_SECTORS, 4, 2, 1] {
            let Some((fat_sectors, clusters)) = divide(sectors, cluster_sectors) else { continue };
            if clusters > MAX_CLUSTERS {
                return Err(too_large());
            }
            if clusters >= MIN_CLUSTERS {
                let narrow = |value: u64| u32::try_from(value).map_err(|_| too_large());
                return Ok(Self {
                    sectors: narrow(sectors)?,
                    cluster_sectors: narrow(cluster_sectors)?,
                    fat_sectors: narrow(fat_sectors)?,
                    clusters: narrow(clusters)?,
                });
            }
        }
        Err(FatError::TooSmall { size, least: least() })
    }

    /// Bytes of a cluster.
    pub(super) fn cluster_size(&self) -> u64 {
        u64::from(self.cluster_sectors) * SECTOR
    }

    /// The size of all clusters in bytes.
    pub(super) fn room(&self) -> u64 {
        u64::from(self.clusters) * self.cluster_size()
    }

    /// The byte offset of cluster number `cluster`.
    pub(super) fn cluster_offset(&self, cluster: u32) -> u64 {
        self.fat_offset(FATS) + u64::from(cluster.saturating_sub(ROOT_CLUSTER)) * self.cluster_size()
    }

    /// The byte offset of copy number `copy` of the table.
    pub(super) fn fat_offset(&self, copy: u32) -> u64 {
        (u64::from(RESERVED_SECTORS) + u64::from(copy) * u64::from(self.fat_sectors)) * SECTOR
    }

    /// Boot sector and FSInfo, followed by their copies.
    pub(super) fn boot_sectors(&self, id: u32, label: &[u8; 11], free: u32, next_free: u32) -> Vec<u8> {
        let boot = self.boot_sector(id, label);
        let info = fsinfo(free, next_free);
        let mut bytes = [boot.as_slice(), &info].concat();
        bytes.resize(usize::from(BACKUP_BOOT_SECTOR) * SECTOR as usize, 0);
        bytes.extend([boot, info].concat());
        bytes
    }

    fn boot_sector(&self, id: u32, label: &[u8; 11]) -> Vec<u8> {
        let mut sector = Vec::new();
        let mut put = |bytes: &[u8]| sector.extend_from_slice(bytes);
        // BS_jmpBoot: jumps over the parameters to code that does not exist; UEFI does not run it.
        put(&[0xeb, 0x58, 0x90]);
        // BS_OEMName: what the specification recommends.
        put(b"MSWIN4.1");
        put(&512_u16.to_le_bytes()); // BPB_BytsPerSec
        put(&self.cluster_sectors.to_le_bytes()[..1]); // BPB_SecPerClus
        put(&RESERVED_SECTORS.to_le_bytes()[..2]); // BPB_RsvdSecCnt
        put(&FATS.to_le_bytes()[..1]); // BPB_NumFATs
        put(&[0; 4]); // BPB_RootEntCnt, BPB_TotSec16
        put(&[MEDIA, 0, 0]); // BPB_Media, BPB_FATSz16
        put(&63_u16.to_le_bytes()); // BPB_SecPerTrk
        put(&255_u16.to_le_bytes()); // BPB_NumHeads
        put(&[0; 4]); // BPB_HiddSec
        put(&self.sectors.to_le_bytes()); // BPB_TotSec32
        put(&self.fat_sectors.to_le_bytes()); // BPB_FATSz32
        put(&[0; 4]); // BPB_ExtFlags, BPB_FSVer
        put(&ROOT_CLUSTER.to_le_bytes()); // BPB_RootClus
        put(&FSINFO_SECTOR.to_le_bytes()); // BPB_FSInfo
        put(&BACKUP_BOOT_SECTOR.to_le_bytes()); // BPB_BkBootSec
        put(&[0; 12]);
        put(&[0x80, 0, 0x29]); // BS_DrvNum, BS_Reserved1, BS_BootSig
        put(&id.to_le_bytes()); // BS_VolID
        put(label); // BS_VolLab
        put(b"FAT32   "); // BS_FilSysType
        sector.resize(510, 0);
        sector.extend([0x55, 0xaa]);
        sector
    }
}

fn fsinfo(free: u32, next_free: u32) -> Vec<u8> {
    let mut sector = b"RRaA".to_vec(); // FSI_LeadSig
    sector.resize(484, 0);
    sector.extend(b"rrAa"); // FSI_StrucSig
    sector.extend(free.to_le_bytes()); // FSI_Free_Count
    sector.extend(next_free.to_le_bytes()); // FSI_Nxt_Free
    sector.resize(508, 0);
    sector.extend([0, 0, 0x55, 0xaa]); // FSI_TrailSig
    sector
}

/// The sectors of a table and the number of clusters; `None` when not even the table fits.
fn divide(sectors: u64, cluster_sectors: u64) -> Option<(u64, u64)> {
    let entries_per_sector = SECTOR / 4;
    let rest = sectors.checked_sub(u64::from(RESERVED_SECTORS))?;
    // Each cluster needs its sectors and an entry in both tables; two entries are not clusters.
    let most = (rest * entries_per_sector) / (cluster_sectors * entries_per_sector + u64::from(FATS)) + 2;
    let fat_sectors = most.div_ceil(entries_per_sector).next_multiple_of(FAT_ALIGNMENT);
    let clusters = rest.checked_sub(u64::from(FATS) * fat_sectors)? / cluster_sectors;
    Some((fat_sectors, clusters))
}

/// The smallest volume in bytes.
fn least() -> u64 {
    let fat_sectors = (MIN_CLUSTERS + 2).div_ceil(SECTOR / 4).next_multiple_of(FAT_ALIGNMENT);
    (u64::from(RESERVED_SECTORS) + u64::from(FATS) * fat_sectors + MIN_CLUSTERS) * SECTOR
}

/// The largest volume in bytes: about 1 TiB.
fn most() -> u64 {
    MAX_CLUSTERS * MAX_CLUSTER_SECTORS * SECTOR
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_volume_is_fat32_and_smaller_ones_are_rejected() {
        let geometry = Geometry::new(least()).expect("the least");
        assert_eq!(geometry.clusters, 65_525);
        let error = Geometry::new(least() - SECTOR).expect_err("refused");
        assert_eq!(error, FatError::TooSmall { size: least() - SECTOR, least: least() });
        assert!(matches!(Geometry::new(0), Err(FatError::TooSmall { .. })));
    }

    #[test]
    fn clusters_are_as_large_as_their_number_allows() {
        let cluster = |size: u64| Geometry::new(size << 20).expect("a volume").cluster_size();
        assert_eq!([40, 128, 256, 512, 4096].map(cluster), [512, 1024, 2048, 4096, 4096]);
        assert!(matches!(Geometry::new(2 << 40), Err(FatError::TooLarge { .. })));
    }

    #[test]
    fn every_cluster_has_an_entry_and_lies_in_the_volume() {
        for size in (34 << 20..64 << 20).step_by(77 * 512).chain([256 << 20, 1 << 30, 1 << 40]) {
            let Ok(geometry) = Geometry::new(size) else { continue };
            assert!(u64::from(geometry.fat_sectors) * 128 >= u64::from(geometry.clusters) + 2, "{size}");
            assert!(geometry.cluster_offset(geometry.clusters + 2) <= size, "{size}");
            assert_eq!(geometry.cluster_offset(ROOT_CLUSTER) % 4096, 0, "{size}");
        }
    }
}
