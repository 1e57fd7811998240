//! `/init` of a node: gets from what firmware and boot loader left to a root file system with everything mounted that
//! systemd cannot mount for itself, and becomes systemd.
//!
//! It is in two kinds of initramfs. That of a network-booted node *is* the root file system, and needs a parent mount and the extended
//! attributes cpio could not carry. That of a disk holds nothing but this program and drivers: the root is found by
//! its hash and verified from then on. What comes after is the same for both: state, and what is bound to it.
//!
//! What a network-booted node can live without is said on the console, and the boot goes on. Everything else ends it: one line
//! says why, and the machine restarts as `panic=` on the kernel command line says. A node never runs on a root that was not verified,
//! or without the state it was told to have.

mod console;
mod disks;
mod drivers;
mod ioctl;
mod mounts;
mod parent;
mod ram_root;
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
        if kiln_init::cmdline::value(&cmdline, "kiln.state") == Some("disk") {
            state::from_labelled_disk()?;
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
