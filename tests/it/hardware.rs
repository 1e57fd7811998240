//! Checks the drivers in docs/hardware.md against Debian's kernel packages, read with dpkg-deb.

use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::worker;

const SUITES: [&str; 2] = ["bookworm", "trixie"];
const PACKAGES: [&str; 2] = ["linux-image-cloud-{arch}", "linux-image-{arch}"];

/// Hardware and its driver. The shipped profiles keep all of these.
const KEPT: [(&str, &str); 17] = [
    ("QEMU/KVM, Google Cloud and most others: disk", "virtio_blk"),
    ("the same: SCSI", "virtio_scsi"),
    ("the same: network", "virtio_net"),
    ("Amazon EC2 (Nitro), Google Cloud, hardware: NVMe", "nvme"),
    ("Amazon EC2 (Nitro): network", "ena"),
    ("Amazon EC2, others with Intel's virtual functions: network", "ixgbevf"),
    ("Google Cloud: gVNIC", "gve"),
    ("Azure, Hyper-V: bus", "hv_vmbus"),
    ("Azure, Hyper-V: disk", "hv_storvsc"),
    ("Azure, Hyper-V: network", "hv_netvsc"),
    ("Azure: MANA", "mana"),
    ("Azure, OpenStack, hardware: NVIDIA ConnectX", "mlx5_core"),
    ("Xen, older EC2: disk", "xen-blkfront"),
    ("Xen, older EC2: network", "xen-netfront"),
    ("VMware: PVSCSI", "vmw_pvscsi"),
    ("VMware: network", "vmxnet3"),
    ("VirtualBox, hardware: SATA", "ahci"),
];

/// The same for hardware that does not occur in virtual machines.
const HARDWARE: [(&str, &str); 12] = [
    ("Broadcom MegaRAID", "megaraid_sas"),
    ("Broadcom SAS", "mpt3sas"),
    ("HPE Smart Array", "hpsa"),
    ("Microchip Smart Storage", "smartpqi"),
    ("Adaptec RAID", "aacraid"),
    ("Intel 1 Gbit/s", "igb"),
    ("Intel 1 Gbit/s, onboard", "e1000e"),
    ("Intel 10 Gbit/s", "ixgbe"),
    ("Intel 40 Gbit/s", "i40e"),
    ("Intel 100 Gbit/s", "ice"),
    ("Broadcom NetXtreme", "tg3"),
    ("Broadcom NetXtreme-E", "bnxt_en"),
];

/// The contents of a kernel package.
struct Kernel {
    modules: BTreeSet<String>,
    built_in: BTreeSet<String>,
}

impl Kernel {
    /// Builds an image with `package` of `suite` to get the package into the cache, and opens it.
    fn of(suite: &str, package: &str) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        worker::kiln(directory.path());
        let role = format!("extends: worker\nkernel:\n  package: {package}\n");
        fs::write(directory.path().join("profiles/metal.yaml"), role).expect("written");
        let out = worker::build(directory.path(), "metal", suite, "pxe");
        let text = fs::read_to_string(out.join("manifest.json")).expect("a manifest");
        let manifest: Value = serde_json::from_str(&text).expect("JSON");
        let name = format!("linux-image-{}", manifest["kernel"].as_str().expect("a kernel"));
        let inputs = manifest["inputs"].as_array().expect("inputs");
        let input = inputs.iter().find(|input| input["name"] == name.as_str()).expect("the kernel's package");
        let digest = input["sha256"].as_str().expect("a digest");
        let deb = worker::test_cache().join("kiln/blobs").join(&digest[..2]).join(digest);
        Self::read(&deb)
    }

    fn read(deb: &Path) -> Self {
        let contents = dpkg_deb(&["--contents".into(), deb.into()]);
        let modules = contents.lines().filter_map(|line| name(line.rsplit(' ').next()?)).collect();
        let directory = tempfile::tempdir().expect("a directory");
        dpkg_deb(&["--extract".into(), deb.into(), directory.path().into()]);
        let find = |root: &str| fs::read_dir(directory.path().join(root)).ok()?.flatten().next();
        let kernel = find("lib/modules").or_else(|| find("usr/lib/modules")).expect("a kernel's directory").path();
        let list = fs::read_to_string(kernel.join("modules.builtin")).expect("modules.builtin");
        Self { modules, built_in: list.lines().filter_map(name).collect() }
    }

    fn has(&self, driver: &str) -> &'static str {
        let driver = driver.replace('-', "_");
        match (self.modules.contains(&driver), self.built_in.contains(&driver)) {
            (true, _) => "module",
            (_, true) => "built in",
            _ => "–",
        }
    }
}

/// The kernel's name for the module in a file.
fn name(path: &str) -> Option<String> {
    let (name, _) = path.rsplit('/').next()?.split_once(".ko")?;
    Some(name.replace('-', "_"))
}

fn dpkg_deb(arguments: &[PathBuf]) -> String {
    let output = Command::new("dpkg-deb").args(arguments).output();
    let output = output.expect("dpkg-deb; install the Debian package dpkg");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn the_table_matches_the_packages() {
    let columns: Vec<(String, Kernel)> = PACKAGES
        .iter()
        .flat_map(|package| SUITES.map(|suite| (format!("{package}, {suite}"), Kernel::of(suite, package))))
        .collect();
    let names: Vec<String> = columns.iter().map(|(name, _)| format!("`{}`", name.replace(", ", "` "))).collect();
    let names: Vec<&str> = names.iter().map(|name| name.trim_end_matches('`')).collect();
    let mut table = format!("| for | driver | {} |\n|---|---{}|\n", names.join(" | "), "|---".repeat(columns.len()));
    for (what, driver) in KEPT.iter().chain([&("**hardware only**", "")]).chain(&HARDWARE) {
        let cells: Vec<&str> =
            columns.iter().map(|(_, kernel)| if driver.is_empty() { "" } else { kernel.has(driver) }).collect();
        let driver = if driver.is_empty() { String::new() } else { format!("`{driver}`") };
        table += &format!("| {what} | {driver} | {} |\n", cells.join(" | "));
    }

    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/hardware.md");
    let page = fs::read_to_string(&path).expect("docs/hardware.md");
    let (head, rest) = page.split_once("<!-- table -->\n").expect("a mark");
    let (found, tail) = rest.split_once("<!-- end -->\n").expect("a mark");
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        fs::write(&path, format!("{head}<!-- table -->\n{table}<!-- end -->\n{tail}")).expect("written");
        return;
    }
    assert_eq!(found, table, "docs/hardware.md does not match the packages; UPDATE_SNAPSHOTS=1 updates it");
}

/// Every driver of the first part is in the profiles' list.
#[test]
fn the_shipped_profiles_keep_the_drivers_on_the_page() {
    let base = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("profiles/base.yaml")).expect("base.yaml");
    for (_, driver) in KEPT {
        let driver = driver.replace('-', "_");
        let directories = [("nvme", "kernel/drivers/nvme/host/**"), ("hv_vmbus", "kernel/drivers/hv/**?")];
        let by_directory = directories.iter().find(|(name, _)| *name == driver).map(|(_, directory)| *directory);
        let wanted = by_directory.unwrap_or(&driver);
        let listed = |line: &str| {
            line.trim()
                .strip_prefix("- ")
                .is_some_and(|name| name.trim_end_matches('?') == wanted.trim_end_matches('?'))
        };
        assert!(base.lines().any(listed), "profiles/base.yaml does not keep {driver}");
    }
}
