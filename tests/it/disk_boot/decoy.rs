//! A machine with other disks that sort before the node's own and claim to be it.

use crate::disk_boot::disks::{self, GIB, fresh, partition_start, tool};
use crate::disk_boot::esp::kernel;
use crate::disk_boot::guest::{machine, run_on, turn};
use kiln::boot::{DiskImage, Handout, Machine};
use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

const STATE: &str = include_str!("state.sh");
const DECOY: &str = include_str!("decoy.sh");

/// The number of the partition with a node's state.
const NUMBER: u32 = 6;

/// Makes a disk in `directory` as everybody who has the image can: a copy of it, with a state in
/// which the file `decoy` is planted.
fn copy_with_state(image: &DiskImage, directory: &Path) -> PathBuf {
    let path = directory.join("copy.raw");
    let text = path.to_string_lossy();
    tool("cp", "coreutils", &["--sparse=always", &image.path.to_string_lossy(), &text]);
    let size = image.size + 2 * GIB;
    File::options().write(true).open(&path).and_then(|file| file.set_len(size)).expect("its size");
    let typed = format!("{NUMBER}:4d21b016-b534-45c2-a9fb-5c16e091fd2d");
    let named = format!("{NUMBER}:kiln-state");
    tool("sgdisk", "gdisk", &["-e", "-n", &format!("{NUMBER}:0:0"), "-t", &typed, "-c", &named, &text]);
    let planted = directory.join("planted");
    fs::create_dir(&planted).and_then(|()| fs::write(planted.join("decoy"), "planted")).expect("written");
    let start = partition_start(&DiskImage { path: path.clone(), ..image.clone() }, NUMBER);
    let offset = format!("offset={start}");
    tool("mke2fs", "e2fsprogs", &["-q", "-t", "ext4", "-E", &offset, "-d", &planted.to_string_lossy(), &text, "1G"]);
    path
}

/// QEMU's arguments for more disks, which get the first names.
fn attached(disks: &[(&str, &Path)]) -> Vec<OsString> {
    let arguments = disks.iter().zip(0..).flat_map(|((format, path), number)| {
        let path = path.display();
        let drive = format!("if=none,id=decoy{number},format={format},cache=unsafe,file={path}");
        ["-drive".to_owned(), drive, "-device".to_owned(), format!("virtio-blk-pci,drive=decoy{number}")]
    });
    arguments.map(OsString::from).collect()
}

#[test]
#[ignore = "make boots boots it"]
fn root_and_state_are_on_the_disk_that_firmware_booted() {
    let image = disks::image("trixie");
    let guests = fresh(image, 2 * GIB as i64);
    // The same GUIDs, and a table that claims more than the disk has.
    let absurd = fresh(image, -(2 << 20));
    // Another release of the same role.
    let other = fresh(disks::image("bookworm"), 2 * GIB as i64);
    let directory = tempfile::tempdir().expect("a directory");
    let copy = copy_with_state(image, directory.path());
    let _turn = turn();
    let more = attached(&[("qcow2", &absurd.path), ("raw", &copy), ("qcow2", &other.path)]);
    let machine = Machine { more, ..machine(&guests.disk) };
    let report = run_on(&machine, &guests.disk, Handout::none(), &format!("{STATE}{DECOY}"));
    report.check("disks", "vda vdb vdc vdd");
    report.check("root", "/dev/vdd2");
    report.check("var", &format!("/dev/vdd{NUMBER}"));
    report.check("planted", "");
    assert_eq!(report.all("failed"), [""; 0], "failed units\n{}", report.console);
    report.check("state", "running");
    let console = &report.console;
    // Firmware named the disk, so nothing was concluded from what is on the others.
    assert!(!console.contains("kiln-init: firmware does not say"), "{console}");
    assert!(!console.contains("from which firmware says it started"), "{console}");
    assert!(console.contains("kiln-init: made the partition kiln-state on disk /dev/vdd"), "{console}");
    // The boot was marked as good on that disk, too.
    assert_eq!(kernel(&guests, image), "kiln-probed_1.20.2.efi", "{console}");
}
