//! The kinds of output of a build. All code that makes, names, reads or checks outputs uses this
//! list: to add an output, add it here, and the compiler points to the rest.

use serde::Serialize;

/// Defines the outputs: generates the enum, the list of all variants, their names and their help
/// texts from one table.
macro_rules! outputs {
    ($(#[doc = $doc:literal] $variant:ident = $name:literal,)+) => {
        /// A kind of output.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, serde::Deserialize, schemars::JsonSchema)]
        pub enum Output {
            $(#[doc = $doc] #[serde(rename = $name)] $variant,)+
        }

        impl Output {
            /// Every kind.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// Its name in profiles and on the command line.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }

            /// Its description, for help.
            pub fn description(self) -> &'static str {
                let text = match self {
                    $(Self::$variant => $doc,)+
                };
                text.trim().trim_end_matches('.')
            }
        }
    };
}

outputs! {
    /// Kernel, initramfs, command line and iPXE script.
    Pxe = "pxe",
    /// Disk that boots by UEFI, raw and sparse.
    Disk = "disk",
    /// That disk as qcow2, compressed with zstd.
    Qcow2 = "qcow2",
    /// That disk as qcow2 for programs that cannot read zstd.
    Qcow2Zlib = "qcow2-zlib",
    /// That disk as fixed VHD, for Azure.
    Vhd = "vhd",
    /// That disk as stream-optimized VMDK with OVF, for VMware.
    Vmdk = "vmdk",
    /// That disk as tar archive, for Google Compute Engine.
    Gce = "gce",
    /// Root file system alone, ext4.
    Ext4 = "ext4",
    /// Root file system alone, tar archive.
    Tar = "tar",
}

/// The contents of an output, which determine how it is made and how it is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holds {
    /// The files that a network boot loader needs for a root in RAM.
    PxeSet,
    /// A disk.
    Disk,
    /// Only the root file system.
    Root(RootFormat),
}

/// A format of the root file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RootFormat {
    /// The file system as it is on the disk.
    Ext4,
    /// A tar archive, compressed with zstd.
    Tar,
}

impl Output {
    /// Its contents.
    pub const fn holds(self) -> Holds {
        match self {
            Self::Pxe => Holds::PxeSet,
            Self::Disk | Self::Qcow2 | Self::Qcow2Zlib | Self::Vhd | Self::Vmdk | Self::Gce => Holds::Disk,
            Self::Ext4 => Holds::Root(RootFormat::Ext4),
            Self::Tar => Holds::Root(RootFormat::Tar),
        }
    }

    /// The file that contains the root file system, relative to the output directory.
    pub const fn file(self) -> &'static str {
        match self {
            Self::Pxe => "pxe/initramfs.cpio.zst",
            Self::Disk => "disk.raw",
            Self::Qcow2 => "disk.qcow2",
            Self::Qcow2Zlib => "disk.zlib.qcow2",
            Self::Vhd => "disk.vhd",
            Self::Vmdk => "disk.vmdk",
            Self::Gce => "disk.gce.tar.gz",
            Self::Ext4 => "root.ext4",
            Self::Tar => "root.tar.zst",
        }
    }

    /// Whether the bytes of [`file`](Self::file) depend on a compressor.
    pub const fn is_compressed(self) -> bool {
        match self {
            Self::Disk | Self::Vhd | Self::Ext4 => false,
            Self::Pxe | Self::Qcow2 | Self::Qcow2Zlib | Self::Vmdk | Self::Gce | Self::Tar => true,
        }
    }

    /// The outputs that are the disk in a format other than raw.
    pub fn encodings() -> impl Iterator<Item = Self> {
        Self::ALL.iter().copied().filter(|output| output.is_encoding())
    }

    /// Whether it is the disk in a format other than raw.
    pub fn is_encoding(self) -> bool {
        self.holds() == Holds::Disk && self != Self::Disk
    }

    /// Every kind, sorted by the time to read its root file system, fastest first.
    pub fn fastest_first() -> Vec<Self> {
        let mut all = Self::ALL.to_vec();
        all.sort_by_key(|output| output.slowness());
        all
    }

    const fn slowness(self) -> u8 {
        match self {
            Self::Pxe => 0,
            Self::Disk => 1,
            Self::Ext4 => 2,
            Self::Vhd => 3,
            Self::Qcow2 => 4,
            Self::Qcow2Zlib => 5,
            Self::Vmdk => 6,
            Self::Tar => 7,
            Self::Gce => 8,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn outputs_have_distinct_files_and_speeds() {
        let files: BTreeSet<&str> = Output::ALL.iter().map(|output| output.file()).collect();
        let places: BTreeSet<u8> = Output::ALL.iter().map(|output| output.slowness()).collect();
        assert_eq!((files.len(), places.len()), (Output::ALL.len(), Output::ALL.len()));
        assert_eq!(Output::encodings().count(), 5);
    }

    #[test]
    fn profiles_spell_an_output_as_the_command_line_does() {
        for output in Output::ALL {
            assert_eq!(serde_json::to_value(output).expect("a name"), output.as_str());
        }
    }
}
