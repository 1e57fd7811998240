//! `/init` of a network-booted node: makes the initramfs a root file system containers can start from, sets the
//! extended attributes cpio could not carry, and becomes systemd.
//!
//! In an initramfs `/` is the kernel's own `rootfs`, a mount without a parent, and pivot_root(2) refuses those: no
//! container could start. Copying the tree to a tmpfs would need the memory twice; a bind mount of `/` over itself
//! has a parent and costs nothing.
//!
//! Whatever fails is said on the console, and systemd is started all the same: a node that boots and says what is wrong
//! helps more than one that does not.

mod root;

use kiln_init::xattrs;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};

const SYSTEMD: &str = "/usr/lib/systemd/systemd";

fn main() -> ExitCode {
    if std::process::id() != 1 {
        say("this is the first process of a node; it is of no use elsewhere");
        return ExitCode::FAILURE;
    }
    if let Err(error) = root::give_root_a_parent() {
        say(&format!("{error}; containers will not start"));
    }
    if let Err(error) = set_xattrs() {
        say(&format!("{error}; some programs may lack their file capabilities"));
    }
    let error = Command::new(SYSTEMD).args(std::env::args_os().skip(1)).exec();
    say(&format!("starting {SYSTEMD}: {error}"));
    // The kernel panics now, and reboots if it was told to (panic=).
    ExitCode::FAILURE
}

/// Applies the list at [`xattrs::FILE`], if there is one.
fn set_xattrs() -> Result<(), String> {
    let path = format!("/{}", xattrs::FILE);
    let failed = |error: io::Error| format!("reading {path}: {error}");
    let file = match File::open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        file => file.map_err(failed)?,
    };
    let mut text = String::new();
    file.take(xattrs::MAX_SIZE + 1).read_to_string(&mut text).map_err(failed)?;
    if text.len() as u64 > xattrs::MAX_SIZE {
        return Err(format!("reading {path}: it is larger than {} bytes", xattrs::MAX_SIZE));
    }
    let mut failures = Vec::new();
    for xattr in xattrs::decode(&text).map_err(|error| error.to_string())? {
        let file = format!("/{}", xattr.path);
        let flags = rustix::fs::XattrFlags::empty();
        if let Err(error) = rustix::fs::lsetxattr(file.as_str(), xattr.name.as_str(), &xattr.value, flags) {
            failures.push(format!("setting {} of {file}: {error}", xattr.name));
        }
    }
    if failures.is_empty() { Ok(()) } else { Err(failures.join(", ")) }
}

/// Prints a line on the console, which the kernel made our standard error if it could.
fn say(message: &str) {
    let line = format!("kiln-init: {message}\n");
    if io::stderr().write_all(line.as_bytes()).is_err()
        && let Ok(mut console) = File::options().write(true).open("/dev/console")
    {
        console.write_all(line.as_bytes()).ok();
    }
}
