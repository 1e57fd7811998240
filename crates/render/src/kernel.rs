//! Kernel modules and settings at boot: modules-load.d(5), sysctl.d(5).

use super::sysctl_reasons::reason;
use super::{RenderError, Rendered};
use kiln_profile::{Key, Profile, fields};
use std::fmt::Write as _;

const BY: &str = "kernel";

pub(super) fn render(profile: &Profile, rendered: &mut Rendered) -> Result<(), RenderError> {
    let kernel = &profile.kernel;
    let mut modules = String::from("# kernel.modules_load of the profile; see modules-load.d(5).\n");
    for module in &kernel.modules_load {
        word(fields::KERNEL_MODULES_LOAD.item(module), module)?;
        writeln!(modules, "{module}").ok();
    }
    rendered.file(BY, "usr/lib/modules-load.d/kiln.conf", modules)?;

    let mut sysctls = String::from("# kernel.sysctls of the profile; see sysctl.d(5).\n");
    for (name, value) in &kernel.sysctls {
        let key = fields::KERNEL_SYSCTL.of(name);
        word(key.clone().at_name(), name)?;
        if value.is_empty() || value.chars().any(char::is_control) {
            return Err(RenderError::BadValue { key, value: value.clone(), why: "is not one line of text" });
        }
        if let Some(reason) = reason(name) {
            writeln!(sysctls, "# {reason}").ok();
        }
        writeln!(sysctls, "{name} = {value}").ok();
    }
    // After Debian's 50-default.conf; a file of the same name in /etc/sysctl.d replaces it.
    rendered.file(BY, "usr/lib/sysctl.d/90-kiln.conf", sysctls)
}

fn word(key: impl Into<Key>, text: &str) -> Result<(), RenderError> {
    if text.is_empty() || text.starts_with(['#', ';']) || text.contains(|c: char| c.is_whitespace() || c.is_control()) {
        let why = "is not one word";
        return Err(RenderError::BadValue { key: key.into(), value: text.into(), why });
    }
    Ok(())
}
