//! Checks the PXE set.

use super::report::{Check, Report};
use super::{OutputDir, Tree, records};
use kiln_image::initramfs::{BOOT_PATHS, Initramfs};
use std::io::{self, Read};

/// The path of the archive in the output directory.
const INITRAMFS: &str = "pxe/initramfs.cpio.zst";
/// The paths of the kernel in the output directory and in the tree.
const KERNEL: [&str; 2] = ["pxe/vmlinuz", "boot/vmlinuz-"];
/// The longest text that is read, in bytes.
const MAX_TEXT: u64 = 64 << 10;

/// Checks the set and returns its tree.
pub(super) fn check(output: OutputDir<'_>, report: &mut Report) -> Option<Tree> {
    kernel(output, report);
    texts(output, report);
    let tree = match Tree::read(&Initramfs::new(&output.directory.join(INITRAMFS)), true) {
        Ok(tree) => tree,
        Err(error) => {
            report.failed("initramfs", format!("{INITRAMFS}: {error}"));
            return None;
        }
    };
    let findings = records::compare(&tree.listing, output.records_without_boot(), &BOOT_PATHS);
    let what = format!("{} paths, their bytes, modes, owners, times and attributes", tree.listing.paths.len());
    report.add(Check::new("initramfs", what, findings));
    Some(tree)
}

/// Checks that the kernel beside the initramfs is the one in the tree.
fn kernel(output: OutputDir<'_>, report: &mut Report) {
    let path = format!("{}{}", KERNEL[1], output.manifest.kernel);
    let wanted = output.manifest.files.iter().find(|record| record.path.as_str() == path).and_then(|it| it.sha256);
    let given = output.manifest.outputs.iter().find(|output| output.path == KERNEL[0]).map(|it| it.sha256);
    let findings = match (wanted, given) {
        (Some(wanted), Some(given)) if wanted == given => vec![],
        (None, _) => vec![format!("the manifest has no file /{path}")],
        (_, None) => vec![format!("{} is not in the manifest", KERNEL[0])],
        _ => vec![format!("{} is not /{path}", KERNEL[0])],
    };
    report.add(Check::new("kernel", format!("{} is {}", KERNEL[0], output.manifest.kernel), findings));
}

/// Checks the command line in its two places.
fn texts(output: OutputDir<'_>, report: &mut Report) {
    let cmdline = &output.manifest.cmdline;
    let mut findings = Vec::new();
    match read(output, "pxe/cmdline") {
        Ok(text) if text.trim_end_matches('\n') == cmdline => {}
        Ok(text) => {
            findings.push(format!("pxe/cmdline contains {:?}, but the manifest has {cmdline:?}", text.trim_end()))
        }
        Err(error) => findings.push(format!("pxe/cmdline: {error}")),
    }
    match read(output, "pxe/boot.ipxe") {
        Ok(text) => findings.extend(script(&text, cmdline)),
        Err(error) => findings.push(format!("pxe/boot.ipxe: {error}")),
    }
    report.add(Check::new("cmdline", format!("{cmdline:?}"), findings));
}

/// Returns the defect of an iPXE script (<https://ipxe.org/scripting>).
fn script(text: &str, cmdline: &str) -> Option<String> {
    if !text.starts_with("#!ipxe\n") {
        return Some("pxe/boot.ipxe is not an iPXE script".into());
    }
    let words = |command: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(command)?.strip_prefix(' '));
        line.unwrap_or_default().split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    let kernel: Vec<String> =
        words("kernel").into_iter().filter(|word| word != "vmlinuz" && !word.starts_with("initrd=")).collect();
    if kernel != cmdline.split_whitespace().collect::<Vec<_>>() {
        return Some(format!("pxe/boot.ipxe starts the kernel with {:?}, not {cmdline:?}", kernel.join(" ")));
    }
    (words("initrd") != ["initramfs.cpio.zst"]).then(|| "pxe/boot.ipxe does not load the initramfs".into())
}

fn read(output: OutputDir<'_>, path: &str) -> io::Result<String> {
    let mut text = String::new();
    kiln_file::open(&output.directory.join(path))?.take(MAX_TEXT).read_to_string(&mut text)?;
    Ok(text)
}
