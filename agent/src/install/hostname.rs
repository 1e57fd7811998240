//! The machine's name.

use crate::paths::HOSTNAME;
use crate::root::{Access, FileError, RootDir};

/// The machine's name from its image or from the network, unless it is a generic one.
pub fn current_hostname(root: &RootDir) -> Option<String> {
    let name = match root.is_machine() {
        true => rustix::system::uname().nodename().to_string_lossy().into_owned(),
        false => root.read(HOSTNAME).ok()??.trim().to_owned(),
    };
    let name = name.to_ascii_lowercase();
    let is_own = crate::names::is_subdomain(&name) && name != "localhost";
    (is_own && !name.starts_with("localhost.")).then_some(name)
}

/// Sets the machine's name; if the kernel does not allow it, systemd sets it at the next boot.
///
/// # Errors
/// [`FileError`].
pub(super) fn set(root: &RootDir, hostname: &str) -> Result<(), FileError> {
    root.write(HOSTNAME, format!("{hostname}\n").as_bytes(), Access::mode(0o644))?;
    if root.is_machine() && rustix::system::uname().nodename().to_bytes() != hostname.as_bytes() {
        rustix::system::sethostname(hostname.as_bytes()).ok();
    }
    Ok(())
}
