//! Turns the initramfs of a network-booted node into its root file system.

use crate::console::say;
use crate::parent;
use kiln_init::xattrs;
use std::fs::File;
use std::io::{self, Read as _};

/// Gives the root a parent mount and files their extended attributes; reports failures.
pub(crate) fn prepare() {
    if let Err(error) = parent::give_root_a_parent() {
        say(&format!("{error}; containers will not start"));
    }
    if let Err(error) = set_xattrs() {
        say(&format!("{error}; some programs may lack their file capabilities"));
    }
}

/// Applies the list at [`xattrs::FILE`] if it exists.
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
