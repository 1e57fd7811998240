//! `/init` of a node: starts from what firmware and boot loader provide, sets up a root file system
//! with all mounts that systemd cannot make itself, and then executes systemd.
//!
//! It is in two kinds of initramfs. The initramfs of a network-booted node *is* the root file
//! system; it needs a parent mount and the extended attributes that cpio cannot store. The
//! initramfs of a disk contains only this program and drivers: the root is found by its hash and
//! verified at every read. The following steps are the same for both: the state, and what is bound
//! to it.
//!
//! If a network-booted node can do without something, the failure is reported on the console and
//! the boot continues. Every other failure ends the boot: one line reports the reason, and the
//! machine restarts according to `panic=` on the kernel command line. A node never runs with a root
//! that was not verified, or without the state that it was configured to have.

mod console;
mod disks;
mod drivers;
mod firmware;
mod ioctl;
mod mounts;
mod parent;
mod ram_root;
mod search;
mod seed;
mod state;
mod verified_root;

use console::{give_up, say};
use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, ExitCode};

const SYSTEMD: &str = "/usr/lib/systemd/systemd";

fn main() -> ExitCode {
    if std::process::id() != 1 {
        say("this is the first process of a node; it is of no use elsewhere");
        return ExitCode::FAILURE;
    }
    match boot() {
        Ok(never) => match never {},
        Err(error) => give_up(&error),
    }
}

fn boot() -> Result<std::convert::Infallible, String> {
    mounts::kernel_file_systems()?;
    let cmdline = fs::read_to_string("/proc/cmdline").map_err(|error| format!("reading /proc/cmdline: {error}"))?;
    if Path::new(SYSTEMD).exists() {
        ram_root::prepare();
        if let Some(name) = kiln_init::cmdline::value(&cmdline, "kiln.state") {
            state::named(name)?;
        }
    } else {
        let disk = verified_root::enter(&cmdline)?;
        mounts::overlay_etc()?;
        state::on_root_disk(&disk)?;
    }
    state::bind()?;
    let error = Command::new(SYSTEMD).args(std::env::args_os().skip(1)).env_remove("PATH").exec();
    Err(format!("starting {SYSTEMD}: {error}"))
}
