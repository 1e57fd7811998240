//! The channels by which a virtual machine gets its seed, each prepared by `kiln seed`.

use crate::cluster::delivery::kiln;
use crate::cluster::sources::serve;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Channel {
    Smbios,
    FwCfg,
    Iso,
    Vfat,
    Url,
}

impl Channel {
    /// The agent's name for it.
    pub(super) fn source(self) -> &'static str {
        match self {
            Self::Smbios | Self::FwCfg => "systemd credential kiln.seed",
            Self::Iso => "NoCloud volume /dev/sr0",
            Self::Vfat => "NoCloud volume /dev/vd",
            Self::Url => "kernel command line http://10.0.2.2:",
        }
    }
}

/// What a machine needs to find its seed.
#[derive(Default)]
pub(super) struct Delivery {
    /// QEMU's arguments.
    pub arguments: Vec<OsString>,
    /// Kernel parameters.
    pub cmdline: Option<String>,
    /// The volume with the seed.
    pub volume: Option<PathBuf>,
}

/// Delivers the seed `text`; files for that are written to `directory`.
pub(super) fn deliver(channel: Channel, text: &str, directory: &Path) -> Delivery {
    fs::write(directory.join("seed.yaml"), text).expect("written");
    let seed = |words: &[&str]| kiln(directory, &[&["seed", "seed.yaml"], words].concat());
    let volume = |kind: &str, options: &str, device: &str| {
        let file = directory.join(format!("seed.{kind}"));
        seed(&[&format!("--{kind}"), &file.display().to_string()]);
        let drive = format!("if=none,id=seed,format=raw,{options}file={}", file.display());
        let arguments = ["-drive", &drive, "-device", &format!("{device},drive=seed")].map(OsString::from).into();
        Delivery { arguments, volume: Some(file), ..Delivery::default() }
    };
    let by_file = |option: &str| {
        let file = directory.join("credential");
        let said = seed(&[option, &file.display().to_string()]);
        let arguments = said.trim_end().split(' ').map(OsString::from).collect();
        Delivery { arguments, ..Delivery::default() }
    };
    match channel {
        Channel::Smbios => by_file("--smbios"),
        Channel::FwCfg => by_file("--qemu"),
        Channel::Iso => volume("iso", "media=cdrom,readonly=on,", "ide-cd"),
        Channel::Vfat => volume("vfat", "cache=unsafe,", "virtio-blk-pci"),
        Channel::Url => {
            let said = seed(&["--url", &format!("http://10.0.2.2:{}/seed", serve(text.into()))]);
            Delivery { cmdline: Some(said.trim_end().into()), ..Delivery::default() }
        }
    }
}
