//! The kernel: its package, modules, sysctls and command line.

use super::super::key::fields;
use super::super::model::{Arch, Kernel};
use super::super::place::{At, Fault};
use super::super::raw::{Map, RawKernel};
use super::super::suggest;
use super::{modules, names, sysctls, text, texts};
use std::collections::{BTreeMap, BTreeSet};

pub(super) fn kernel(raw: &RawKernel, arch: Arch) -> Result<Kernel, Fault> {
    let RawKernel { package, modules: modules_raw, sysctls, huge_pages, cmdline } = raw;
    let package = match package {
        Some(package) => {
            let package = At { value: package.value.replace("{arch}", arch.as_str()), pos: package.pos };
            text(&package, fields::KERNEL_PACKAGE, names::package_request)?
        }
        None => kiln_debian::KERNEL.replace("{arch}", arch.as_str()),
    };
    let mut settings = BTreeMap::new();
    for (key, value) in sysctls {
        let name = text(key, fields::KERNEL_SYSCTLS, sysctls::name)?;
        settings.insert(name, text(value, fields::KERNEL_SYSCTL.of(&key.value), sysctl_value)?);
    }
    let mut words: Vec<String> = texts(cmdline, fields::KERNEL_CMDLINE, names::cmdline_word)?;
    words.extend(self::huge_pages(huge_pages, raw, arch)?);
    let mut kernel =
        Kernel { package, modules_keep: Vec::new(), modules_load: BTreeSet::new(), sysctls: settings, cmdline: words };
    modules::modules(modules_raw, &mut kernel)?;
    Ok(kernel)
}

/// Sizes of huge pages in the notation of Kubernetes and in that of the kernel
/// (admin-guide/kernel-parameters, `hugepagesz=`; with pages of 4 KiB).
const AMD64: [(&str, &str); 2] = [("2Mi", "2M"), ("1Gi", "1G")];
const ARM64: [(&str, &str); 4] = [("64Ki", "64K"), ("2Mi", "2M"), ("32Mi", "32M"), ("1Gi", "1G")];

/// `hugepagesz=SIZE hugepages=NUMBER` for each size; after boot there may not be enough contiguous
/// memory.
fn huge_pages(pages: &Map<At<u32>>, raw: &RawKernel, arch: Arch) -> Result<Vec<String>, Fault> {
    let sizes: &[(&str, &str)] = if arch == Arch::Amd64 { &AMD64 } else { &ARM64 };
    let mut words = Vec::new();
    for (size, number) in pages {
        let Some((_, kernels)) = sizes.iter().find(|(name, _)| *name == size.value) else {
            let names: Vec<&str> = sizes.iter().map(|(name, _)| *name).collect();
            let hint = suggest::hint(&size.value, &names);
            return Err(size.fault_of(
                fields::KERNEL_HUGE_PAGES,
                format!("{arch} has no huge pages of {:?}{hint}", names::short(&size.value)),
            ));
        };
        if number.value == 0 {
            return Err(number.fault_of(
                fields::KERNEL_HUGE_PAGES,
                format!("0 pages of {} is the default; leave it out", size.value),
            ));
        }
        words.push(format!("hugepagesz={kernels} hugepages={}", number.value));
    }
    let otherwise = raw.cmdline.iter().find(|word| word.value.starts_with("hugepages"));
    let sysctl = raw.sysctls.keys().find(|name| name.value == "vm.nr_hugepages");
    match otherwise.or(sysctl) {
        Some(other) if !words.is_empty() => Err(other.fault_of(
            fields::KERNEL_HUGE_PAGES,
            format!("{:?} reserves huge pages as well; keep one of them", names::short(&other.value)),
        )),
        _ => Ok(words.iter().flat_map(|pair| pair.split(' ')).map(str::to_owned).collect()),
    }
}

fn sysctl_value(text: &str) -> Result<(), String> {
    match text.trim().is_empty() || text.chars().any(|c| c.is_control() && c != '\t') {
        true => Err(format!("{:?} is not a value of one line", names::short(text))),
        false => Ok(()),
    }
}
