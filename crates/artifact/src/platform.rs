//! The differences between architectures when a disk is booted.

use kiln_format::guid::Guid;
use kiln_format::pe;

/// The names and numbers of one architecture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Platform {
    /// The `Machine` field of its UEFI programs.
    pub machine: u16,
    /// The suffix of their names: `systemd-bootx64.efi`.
    pub efi: &'static str,
    /// The program that firmware starts from an unknown disk (UEFI 2.10, 3.5.1.1).
    pub removable: &'static str,
    /// Partition type of the root file system (UAPI.2, Discoverable Partitions Specification).
    pub root: Guid,
    /// Partition type of its hash tree.
    pub root_verity: Guid,
}

/// x86-64.
pub const AMD64: Platform = Platform {
    machine: pe::MACHINE_AMD64,
    efi: "x64",
    removable: "BOOTX64.EFI",
    root: Guid::from_u128(0x4f68bce3_e8cd_4db1_96e7_fbcaf984b709),
    root_verity: Guid::from_u128(0x2c7357ed_ebd2_46d9_aec1_23d437ec2bf5),
};

/// AArch64.
pub const ARM64: Platform = Platform {
    machine: pe::MACHINE_ARM64,
    efi: "aa64",
    removable: "BOOTAA64.EFI",
    root: Guid::from_u128(0xb921b045_1df0_41c3_af44_4c6f280d3fae),
    root_verity: Guid::from_u128(0xdf3300ce_d69f_4c92_978c_9bfb0f38d820),
};
