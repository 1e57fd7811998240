//! Kernel, modules, sysctls, command line.

use super::super::model::{Arch, Kernel};
use super::super::place::{At, Fault};
use super::super::raw::{RawKernel, RawModules};
use super::{glob, names, text, texts};
use std::collections::BTreeMap;

pub(super) fn kernel(raw: &RawKernel, arch: Arch) -> Result<Kernel, Fault> {
    let RawKernel { package, modules: RawModules { keep, load }, sysctls, cmdline } = raw;
    let package = match package {
        Some(package) => {
            let package = At { value: package.value.replace("{arch}", arch.word()), pos: package.pos };
            text(&package, "kernel.package", names::package_request)?
        }
        None => format!("linux-image-cloud-{}", arch.word()),
    };
    let mut settings = BTreeMap::new();
    for (key, value) in sysctls {
        let name = text(key, "kernel.sysctls", names::sysctl)?;
        settings.insert(name, text(value, &format!("kernel.sysctls.{}", key.value), sysctl_value)?);
    }
    Ok(Kernel {
        package,
        modules_keep: texts(keep, "kernel.modules.keep", glob)?,
        modules_load: texts(load, "kernel.modules.load", names::module)?,
        sysctls: settings,
        cmdline: texts(cmdline, "kernel.cmdline", names::cmdline_word)?,
    })
}

fn sysctl_value(text: &str) -> Result<(), String> {
    match text.trim().is_empty() || text.chars().any(|c| c.is_control() && c != '\t') {
        true => Err(format!("{:?} is not a value on one line", names::short(text))),
        false => Ok(()),
    }
}
