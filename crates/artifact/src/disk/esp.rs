//! The EFI system partition: the boot loader, its configuration and the kernel image of one
//! version.

use super::DiskError;
use crate::platform::Platform;
use kiln_format::fat::{FatError, Plan, Volume};
use std::ops::Range;

/// The number of failed boots of a new version after which another one is preferred (systemd's
/// "Automatic Boot Assessment").
/// The count of failures is also in the name, so that counting never changes the name's length.
const TRIES: &str = "+3-0";

/// There is no menu, and the command line cannot be edited at the console, because it names the
/// root hash.
const LOADER_CONF: &str = "timeout 0\neditor no\n";

/// The contents of the partition.
#[derive(Debug, Clone, Copy)]
pub(super) struct Contents<'a> {
    /// The size of the partition in bytes.
    pub size: u64,
    /// Its serial number.
    pub id: u32,
    /// The time of its files, in seconds since 1970.
    pub epoch: u32,
    /// Image id and version, which name the image.
    pub image: (&'a str, &'a str),
    /// The size of the boot loader in bytes.
    pub loader: u64,
    /// The size of the Unified Kernel Image in bytes.
    pub uki: u64,
}

/// The layout of the partition, in bytes from its beginning.
#[derive(Debug)]
pub(super) struct Esp {
    /// File system and small files.
    pub metadata: Vec<(u64, Vec<u8>)>,
    /// The boot loader, under both of its names.
    pub loaders: [Range<u64>; 2],
    /// The image.
    pub uki: Range<u64>,
}

impl Esp {
    /// Lays out the partition.
    ///
    /// # Errors
    /// [`DiskError::Esp`] when it is too small, also for a second image of the same size beside the
    /// first, which every update needs.
    pub(super) fn plan(contents: &Contents<'_>, platform: &Platform) -> Result<Self, DiskError> {
        let failed = |source| DiskError::Esp { size: contents.size, source };
        let (id, version) = contents.image;
        let removable = format!("EFI/BOOT/{}", platform.removable);
        let installed = format!("EFI/systemd/systemd-boot{}.efi", platform.efi);
        let uki = format!("EFI/Linux/{id}_{version}{TRIES}.efi");
        let mut volume = Volume::new(contents.size, contents.id, "ESP", contents.epoch).map_err(failed)?;
        let files = [
            (removable.as_str(), contents.loader),
            (&installed, contents.loader),
            (&uki, contents.uki),
            ("loader/loader.conf", LOADER_CONF.len() as u64),
        ];
        for (path, size) in files {
            volume.add(path, size).map_err(failed)?;
        }
        let Plan { mut metadata, files } = volume.plan().map_err(failed)?;
        volume.add("EFI/Linux/next", contents.uki).and_then(|()| volume.plan()).map_err(|source| match source {
            FatError::Full { needed, room } => {
                DiskError::EspTooSmall { size: contents.size, needed: needed + (contents.size - room) }
            }
            source => failed(source),
        })?;
        let at = |path: &str| files.get(path).cloned().unwrap_or_default();
        metadata.push((at("loader/loader.conf").start, LOADER_CONF.as_bytes().to_vec()));
        Ok(Self { metadata, loaders: [at(&removable), at(&installed)], uki: at(&uki) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::AMD64;

    const CONTENTS: Contents<'_> =
        Contents { size: 128 << 20, id: 7, epoch: 1, image: ("kiln-worker", "1.2"), loader: 100_000, uki: 40 << 20 };

    #[test]
    fn there_is_room_for_a_second_image_or_an_error() {
        let esp = Esp::plan(&CONTENTS, &AMD64).expect("a plan");
        assert_eq!(esp.uki.end - esp.uki.start, 40 << 20);
        let error = |size: u64| Esp::plan(&Contents { size: size << 20, ..CONTENTS }, &AMD64).expect_err("refused");
        let text = error(64).to_string();
        assert!(text.contains("64 MiB") && text.contains("82 MiB") && text.contains("disk.espSize"), "{text}");
        let text = error(20).to_string();
        assert!(text.contains("disk.espSize") && text.contains("20971520"), "{text}");
    }
}
