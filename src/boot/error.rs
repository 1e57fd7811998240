//! Why something did not boot.

use kiln_profile::Arch;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// Why something did not boot.
#[derive(Debug, thiserror::Error)]
pub enum BootError {
    /// A file of the PXE set, or the disk, cannot be read.
    #[error("reading {path}: {source}; is this the output of kiln build?")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The kernel is neither of the two sorts known.
    #[error("{0} is no Linux kernel for x86-64 or AArch64")]
    NoKernel(PathBuf),
    /// Not a disk that boots.
    #[error("{path} is no disk that boots: {why}; is it the output of kiln build?")]
    NoDisk {
        /// The file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// There is no UEFI for guests.
    #[error("disks boot by UEFI only, and there is none here for {arch:?} guests: apt-get install {package}")]
    NoFirmware {
        /// The guests' architecture.
        arch: Arch,
        /// The Debian package that has it.
        package: &'static str,
    },
    /// QEMU is not installed.
    #[error("{program} is not installed: apt-get install {package}")]
    NoQemu {
        /// The program.
        program: &'static str,
        /// The Debian package that has it.
        package: &'static str,
    },
    /// QEMU does not start, or talking to it fails.
    #[error("running {program}: {source}")]
    Qemu {
        /// The program.
        program: &'static str,
        /// Why.
        source: io::Error,
    },
    /// QEMU gave up by itself.
    #[error("{program} ended with {status}{}", if .message.is_empty() { String::new() } else { format!(": {}", .message) })]
    Failed {
        /// The program.
        program: &'static str,
        /// How.
        status: std::process::ExitStatus,
        /// What it said on its standard error.
        message: String,
    },
    /// A line did not come in time.
    #[error("the guest did not report {wanted:?} within {limit:?}")]
    TimedOut {
        /// What was waited for.
        wanted: String,
        /// How long.
        limit: Duration,
    },
    /// The guest ended before it said what was waited for.
    #[error("the guest ended before it reported {wanted:?}")]
    Ended {
        /// What was waited for.
        wanted: String,
    },
}
