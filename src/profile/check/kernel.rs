//! Kernel, modules, sysctls, command line.

use super::super::model::{Arch, Kernel};
use super::super::place::{At, Fault};
use super::super::raw::{RawKernel, RawModules};
use super::{distinct, glob, names, text, texts};
use std::collections::{BTreeMap, BTreeSet};

pub(super) fn kernel(raw: &RawKernel, arch: Arch) -> Result<Kernel, Fault> {
    let RawKernel { package, modules: RawModules { keep, load }, sysctls, cmdline } = raw;
    let package = match package {
        Some(package) => {
            let package = At { value: package.value.replace("{arch}", arch.as_str()), pos: package.pos };
            text(&package, "kernel.package", names::package_request)?
        }
        None => format!("linux-image-cloud-{}", arch.as_str()),
    };
    let mut settings = BTreeMap::new();
    for (key, value) in sysctls {
        let name = text(key, "kernel.sysctls", names::sysctl)?;
        settings.insert(name, text(value, &format!("kernel.sysctls.{}", key.value), sysctl_value)?);
    }
    let mut modules_keep: Vec<String> = texts(keep, "kernel.modules.keep", module_pattern)?;
    let modules_load: BTreeSet<String> = texts(load, "kernel.modules.load", names::module)?;
    if !modules_keep.is_empty() {
        // An empty list keeps all modules; any other must have those that are loaded.
        modules_keep.extend(modules_load.iter().cloned());
    }
    Ok(Kernel {
        package,
        modules_keep: distinct(modules_keep),
        modules_load,
        sysctls: settings,
        cmdline: texts(cmdline, "kernel.cmdline", names::cmdline_word)?,
    })
}

/// A name or glob; a `?` at the end makes it optional and is no part of the glob.
fn module_pattern(text: &str) -> Result<(), String> {
    glob(text.strip_suffix('?').unwrap_or(text))
}

fn sysctl_value(text: &str) -> Result<(), String> {
    match text.trim().is_empty() || text.chars().any(|c| c.is_control() && c != '\t') {
        true => Err(format!("{:?} is not a value on one line", names::short(text))),
        false => Ok(()),
    }
}
