//! Finds UEFI firmware for guests: disks boot in no other way.

use super::BootError;
use kiln_profile::Arch;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Debian's package of the firmware, and its paths of the code and of the empty variable store,
/// preferred first.
const AMD64: (&str, &[(&str, &str)]) = (
    "ovmf",
    &[
        ("/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"),
        ("/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_VARS.fd"),
    ],
);
const ARM64: (&str, &[(&str, &str)]) =
    ("qemu-efi-aarch64", &[("/usr/share/AAVMF/AAVMF_CODE.fd", "/usr/share/AAVMF/AAVMF_VARS.fd")]);

/// Firmware that is installed on this machine.
#[derive(Debug, Clone)]
pub(super) struct Firmware {
    code: PathBuf,
    variables: PathBuf,
}

impl Firmware {
    /// Finds the firmware for `arch`, without Secure Boot keys.
    ///
    /// # Errors
    /// [`BootError::NoFirmware`] with the package to install.
    pub(super) fn find(arch: Arch) -> Result<Self, BootError> {
        let (package, places) = match arch {
            Arch::Amd64 => AMD64,
            Arch::Arm64 => ARM64,
        };
        let there = |(code, variables): &(&str, &str)| Path::new(code).exists() && Path::new(variables).exists();
        let (code, variables) = places.iter().copied().find(there).ok_or(BootError::NoFirmware { arch, package })?;
        Ok(Self { code: code.into(), variables: variables.into() })
    }

    /// QEMU's arguments. Variables are empty at every power-on, as on a machine that never booted
    /// this disk.
    pub(super) fn arguments(&self) -> Vec<OsString> {
        let flash = |unit, file: &Path, access: &str| {
            let file = file.display().to_string().replace(',', ",,");
            format!("if=pflash,unit={unit},format=raw,file={file},{access}")
        };
        let (code, variables) = (flash(0, &self.code, "readonly=on"), flash(1, &self.variables, "snapshot=on"));
        ["-drive".into(), code.into(), "-drive".into(), variables.into()].into()
    }
}
