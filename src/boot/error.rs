//! Errors of booting.

use kiln_profile::Arch;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// A failed boot.
#[derive(Debug, thiserror::Error)]
pub enum BootError {
    /// A file of the PXE set, or the disk, cannot be read.
    #[error("reading {path}: {source}; is this the output of kiln build?")]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The file is not a kernel of a known architecture.
    #[error("{0} is not a Linux kernel for x86-64 or AArch64")]
    NoKernel(PathBuf),
    /// The file is not a bootable disk.
    #[error("{path} is not a bootable disk: {why}; is it the output of kiln build?")]
    NoDisk {
        /// The file.
        path: PathBuf,
        /// The cause.
        why: String,
    },
    /// No UEFI firmware for guests is installed.
    #[error(
        "disks boot by UEFI only, and no UEFI firmware for {arch:?} guests is installed: apt-get install {package}"
    )]
    NoFirmware {
        /// The guests' architecture.
        arch: Arch,
        /// The Debian package that contains it.
        package: &'static str,
    },
    /// QEMU is not installed.
    #[error("{program} is not installed: apt-get install {package}")]
    NoQemu {
        /// The program.
        program: &'static str,
        /// The Debian package that contains it.
        package: &'static str,
    },
    /// QEMU does not start, or communication with it fails.
    #[error("running {program}: {source}")]
    Qemu {
        /// The program.
        program: &'static str,
        /// The cause.
        source: io::Error,
    },
    /// QEMU exited with a failure.
    #[error("{program} exited with {status}{}", if .message.is_empty() { String::new() } else { format!(": {}", .message) })]
    Failed {
        /// The program.
        program: &'static str,
        /// Its exit status.
        status: std::process::ExitStatus,
        /// What it printed to standard error.
        message: String,
    },
    /// An expected line did not arrive in time.
    #[error("the guest did not report {wanted:?} within {limit:?}")]
    TimedOut {
        /// The expected line.
        wanted: String,
        /// The time limit.
        limit: Duration,
    },
    /// QEMU exited before the guest printed the expected line.
    #[error("QEMU exited before the guest reported {wanted:?}")]
    Ended {
        /// The expected line.
        wanted: String,
    },
}
